"""Spectrograms of a source and of what codecs made of it at about the same rate, on the same axes: one PNG a clip."""

import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np

from .audio import FLOOR_DB, FloatArray, read, spectrogram
from .audio_codecs import CODECS, onto
from .parts import Files, Point, Source

BITRATE = 24_000  # that the points shown are next to
SHOWN = ("i2c", "i2c-snr", "opus")
_COLOURS = 128  # of a palette: half the bytes of true colour, and no plainer


def spectrograms(points: Sequence[Point], sources: Sequence[Source], files: Files) -> dict[str, bytes]:
    """PNG files by name: every clip beside its i2c and anchor files of about 24 kbps, and what earlier runs have drawn of others.

    Files of older results that are gone are made again, except where their picture is there.
    """
    made: dict[str, bytes] = {}
    for name in dict.fromkeys(point.source for point in points):
        path, chosen = files.folder / f"spectrogram-{name}.png", nearest(points, name)
        source = next((source for source in sources if source.name == name), None)
        if path.exists() and (source is None or not all(files.holds(source, point) for point in chosen)):
            made[path.name] = path.read_bytes()
        elif source is not None and chosen:
            made[path.name] = _clip(source, chosen, files)
    return made


def _clip(source: Source, points: Sequence[Point], files: Files) -> bytes:
    original = read(source.path)
    panels = [(f"{source.name}, source", original.values)]
    for point in points:
        codec = CODECS[point.codec]
        decoded = onto(original, codec.decode(files.coded(source, point), 1))
        panels.append((f"{codec.note}, {point.bpp / 1000:.1f} kbps", decoded.values))
    return draw(panels, original.rate)


def nearest(points: Sequence[Point], source: str) -> list[Point]:
    """The point of each codec of SHOWN whose rate is next to BITRATE, in that order."""
    found = [[p for p in points if p.source == source and p.codec == codec] for codec in SHOWN]
    return [min(curve, key=lambda p: abs(math.log(p.bpp / BITRATE))) for curve in found if curve]


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
