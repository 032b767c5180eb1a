"""Estimates of what decoding takes beside what it took, on one core: python -m tests.benchmarks.cost"""

import time

import numpy as np

from i2compress import EncodeSettings, Signal, View, codec
from i2compress.kinds import Kind
from i2compress.media.table import medium_of_file

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


def main() -> None:
    """The table."""
    for field, width in (("pyramid", None), ("pyramid", 32), ("siren", 64), ("gabor", 128)):
        settings = EncodeSettings(steps=20, threads=1, device="cpu", field=field, width=width)
        for height, signal in ((512, picture(384, 512)), (96, picture(96, 96)), (0, sound(4))):
            if field != "pyramid" and height == 512:
                continue
            data = codec.encode(signal, settings).data
            for view_name, view in VIEWS.items() if height else [("whole", View()), ("other rate", View(rate=22050))]:
                show(f"{field} {width or ''} {signal.layout.grid} {view_name}", data, view)


if __name__ == "__main__":
    main()
