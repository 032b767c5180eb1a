"""Estimates of what work takes beside what it took, in seconds of one core: python -m tests.benchmarks.cost, or with --encodes [FILE...]

Without it, views are decoded. With it, pictures, sound and video that are made here are encoded, in pyramids and in coordinate fields, or each file:
shapes on two grids, and in coordinate fields of all that they can be fitted to, others as they are. Other work on the machine makes them take up to
twice as long.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from i2compress import EncodeSettings, Signal, View, codec, media
from i2compress.config import SURFACES
from i2compress.errors import UsageError
from i2compress.kinds import Kind
from i2compress.media.protocol import Resampling, Source
from i2compress.media.table import medium_of, medium_of_file

VIEWS = {"whole": View(), "twice": View(scale=2), "thumbnail": View(max_size=64), "a sample at 1000": View(crop=(9, 9, 1, 1), scale=1000)}


def picture(height: int, width: int) -> Signal:
    """Smooth colours with noise, so that there are latents to decode."""
    rows, columns = np.mgrid[0:height, 0:width] / 40
    waves = np.stack([128 + 90 * np.sin((c + 1) * rows + columns) for c in range(3)], -1)
    noise = np.random.default_rng(0).normal(0, 9, waves.shape)
    return Signal.from_codes((waves + noise).clip(0, 255).astype(np.uint8))


def sound(seconds: float) -> Signal:
    """A chord with noise."""
    t = np.arange(int(16000 * seconds)) / 16000
    values = 0.2 * np.sin(2000 * t) + 0.1 * np.sin(5000 * t) + np.random.default_rng(0).normal(0, 0.02, len(t))
    return Signal(values=values[:, None].astype(np.float32), kind=Kind.AUDIO, bit_depth=16, rate=16000)


def show(name: str, data: bytes, view: View) -> None:
    """One line."""
    began = time.process_time()
    file = codec.I2File.from_bytes(data, threads=1)
    opened = time.process_time()
    for _ in file.blocks(view):
        pass
    took = time.process_time() - began
    foreseen = medium_of_file(data).cost(data, view)
    print(
        f"{name:40} opened in {opened - began:6.2f} s, took {took:6.2f} s, foreseen {foreseen.seconds:6.2f} s, {foreseen.memory / 1e6:8.1f} MB",
        flush=True,
    )


def clip(frames: int, height: int, width: int) -> Signal:
    """A picture that moves, with noise."""
    t, y, x = np.mgrid[:frames, :height, :width]
    values = 0.5 + 0.3 * np.sin(x / 9 + t / 3) * np.cos(y / 7) + np.random.default_rng(0).normal(0, 0.03, t.shape)
    return Signal(values=np.repeat(values[..., None], 3, -1).astype(np.float32).clip(0, 1), kind=Kind.VIDEO, rate=25)


PLAIN = EncodeSettings(steps=25, threads=1, device="cpu")
PICTURES = [replace(PLAIN, tune="psnr"), PLAIN, replace(PLAIN, steps=200)]
SIREN = replace(PLAIN, field="siren")
FIELDS = [
    SIREN,
    replace(SIREN, width=32),
    replace(SIREN, width=128),
    replace(SIREN, layers=3),
    replace(SIREN, explicit=True),
    replace(SIREN, field="gabor"),
    replace(SIREN, field="fourier"),
]
GRIDS = (48, 96)


def made() -> Iterator[tuple[str, Signal, EncodeSettings]]:
    """Cases of every kind of media but shapes: what to call each, and what is encoded how."""
    for side in (64, 256, 512):
        for settings in PICTURES:
            yield f"picture {side}x{side}", picture(side, side), settings
    for seconds, settings in ((2, PLAIN), (60, PLAIN), (20, replace(PLAIN, bitrate=24000.0))):
        yield f"sound {seconds} s", sound(seconds), settings
    for frames, height, width in ((8, 96, 96), (16, 144, 176)):
        yield f"video {frames}x{height}x{width}", clip(frames, height, width), replace(PLAIN, steps=10)
    for side in (64, 128, 300):
        for settings in FIELDS if side == 128 else FIELDS[:1]:
            yield f"picture {side}x{side}", picture(side, side), settings
    yield "sound 4 s", sound(4), SIREN


def encodes(name: str, source: Source, settings: EncodeSettings) -> float:
    """One line; the estimate in what was taken."""
    foreseen = medium_of(source.layout.kind).encode_seconds(source, settings)
    began = time.process_time()
    codec.encode(source, settings)
    took = time.process_time() - began
    asked = {key: value for key, value in vars(settings).items() if value != getattr(EncodeSettings(), key) and key not in ("threads", "device")}
    words = ", ".join(f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in asked.items())
    print(f"| {name} | {words} | {took:.2f} | {foreseen:.2f} | {foreseen / took:.2f} |", flush=True)
    return foreseen / took


def encode_table(paths: list[Path]) -> None:
    """The table of encodes."""
    codec.compile_loops(EncodeSettings(threads=1, device="cpu"), None)
    print("| source | settings | took, s | foreseen, s | foreseen / took |", "|---|---|---|---|---|", sep="\n")
    shares = [encodes(name, media.SignalSource(signal), settings) for name, signal, settings in made()] if not paths else []
    for path in paths:
        with media.open_source(path) as opened:
            source = opened.source
            grids = GRIDS if isinstance(source, Resampling) else (None,)
            shares += [encodes(path.name, source, replace(PLAIN, grid=grid)) for grid in grids]
            if isinstance(source, Resampling):
                for surface in SURFACES:
                    with suppress(UsageError):  # points and surfaces are not fitted to the same
                        shares.append(encodes(path.name, source, replace(SIREN, grid=GRIDS[0], surface=surface)))
    print(f"| {len(shares)}, least and most | | | | {min(shares):.2f}, {max(shares):.2f} |")


def decode_table() -> None:
    """The table."""
    for field, width in (("pyramid", None), ("pyramid", 32), ("siren", 64), ("gabor", 128)):
        settings = EncodeSettings(steps=20, threads=1, device="cpu", field=field, width=width)
        for height, signal in ((512, picture(384, 512)), (96, picture(96, 96)), (0, sound(4))):
            if field != "pyramid" and height == 512:
                continue
            data = codec.encode(signal, settings).data
            for view_name, view in VIEWS.items() if height else [("whole", View()), ("other rate", View(rate=22050))]:
                show(f"{field} {width or ''} {signal.layout.grid} {view_name}", data, view)


def main() -> None:
    """One of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encodes", nargs="*", type=Path, metavar="FILE")
    asked = parser.parse_args()
    if asked.encodes is None:
        decode_table()
    else:
        encode_table(asked.encodes)


if __name__ == "__main__":
    main()
