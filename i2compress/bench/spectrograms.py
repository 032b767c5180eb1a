"""Spectrograms of a source and of what codecs made of it at about the same rate, on the same axes: one PNG a clip."""

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from .audio import ANCHOR, FLOOR_DB, AudioPoint, FloatArray, aligned, keep, kept, spectrogram
from .audio_codecs import codecs

BITRATE = 24_000  # that the points shown are next to
SHOWN = ("i2c", "i2c-snr", ANCHOR)
_COLOURS = 128  # of a palette: half the bytes of true colour, and no plainer


def spectrograms(paths: Sequence[str], points: Sequence[AudioPoint], folder: Path, *, effort: int) -> list[str]:
    """Draw every clip beside its i2c and anchor files of about 24 kbps; coded files that `folder` lacks are made again.

    Returns:
        Names of the pictures in `folder` of any source of `points`: those of earlier runs too.

    Raises:
        SignalError: a source that cannot be read.
    """
    from .. import media

    for path in paths:
        signal, name = media.read(path), Path(path).stem
        samples, table = signal.values.astype(np.float64), codecs(effort=effort, depth=(signal.bit_depth, signal.floating))
        panels = [(f"{name}, source", samples)]
        for point in nearest(points, name):
            codec = table[point.codec]
            file = kept(folder, name, codec, point.point)
            if not file.exists():
                keep(folder, name, codec, point.point, codec.encode(samples, signal.rate, point.point))
            decoded = aligned(samples, codec.decode(file.read_bytes(), signal.rate))
            panels.append((f"{codec.note}, {point.bitrate / 1000:.1f} kbps", decoded))
        if len(panels) > 1:
            (folder / _name(name)).write_bytes(draw(panels, signal.rate))
    names = [_name(source) for source in dict.fromkeys(p.source for p in points)]
    return [name for name in names if (folder / name).exists()]


def nearest(points: Sequence[AudioPoint], source: str) -> list[AudioPoint]:
    """The point of each codec of SHOWN whose rate is next to BITRATE, in that order."""
    found = [[p for p in points if p.source == source and p.codec == codec] for codec in SHOWN]
    return [min(curve, key=lambda p: abs(math.log(p.bitrate / BITRATE))) for curve in found if curve]


def draw(panels: Sequence[tuple[str, FloatArray]], rate: int) -> bytes:
    """PNG of titled sounds `[n, C]`, one below the other, in dB under the loudest place of the first; channels by their mean power."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(8.0, 0.6 + 1.7 * len(panels)), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    powers = [spectrogram(samples).mean(1).T for _, samples in panels]
    loudest = float(powers[0].max()) + 1e-30
    extent = (0.0, len(panels[0][1]) / rate, 0.0, rate / 2000)
    rows = figure.subplots(len(panels), sharex=True, sharey=True, squeeze=False).ravel()
    for axes, power, (title, _) in zip(rows, powers, panels, strict=True):
        levels = 10 * np.log10(np.maximum(power / loudest, 10 ** (FLOOR_DB / 10)))
        image = axes.imshow(levels, origin="lower", aspect="auto", extent=extent, vmin=FLOOR_DB, vmax=0, cmap="magma", interpolation="antialiased")
        axes.set_title(title, fontsize="medium")
        axes.set_ylabel("kHz")
    rows[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=list(rows), label="dB")
    drawn, picture = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(picture, "PNG", optimize=True)
    return picture.getvalue()


def _name(source: str) -> str:
    return f"spectrogram-{source}.png"
