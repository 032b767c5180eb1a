"""What a large picture takes, and what a trained start gives it.

    python -m tests.benchmarks.large PHOTOS [--tiles 4x3] [--efforts 1,5] [--starts none,trained] [--tune psnr] [--jpeg 35]

The picture is a mosaic of the first photographs of a folder that are large enough, each cut to --tile pixels: their detail is that of real
photographs, pixel by pixel. The loss is 1000 (D + lambda R) of the whole file, where squared errors are what is minimised.
"""

import argparse
import time
from itertools import product
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from i2compress import EncodeSettings, Signal
from i2compress.codec import encode
from i2compress.memory import keep_freed_memory
from i2compress.metrics import psnr


def mosaic(folder: Path, tiles: tuple[int, int], tile: tuple[int, int]) -> Signal:
    """The picture, of rows and columns of tiles of so many rows and columns. Raises ValueError where there are too few photographs."""
    (rows, columns), (height, width) = tiles, tile
    found: list[np.ndarray] = []
    for path in sorted(folder.glob("*.jpg")):
        size = iio.improps(path).shape
        if len(size) == 3 and size[0] >= height and size[1] >= width:
            found.append(iio.imread(path)[:height, :width])
        if len(found) == rows * columns:
            return Signal.from_codes(np.concatenate([np.concatenate(found[row * columns : (row + 1) * columns], 1) for row in range(rows)]))
    raise ValueError(f"{folder} has {len(found)} photographs of at least {width}x{height}; expected {rows * columns}")


def jpeg(signal: Signal, quality: int) -> str:
    """A line of the table: the picture as JPEG of that quality (Pillow, optimised)."""
    codes = np.round(signal.values * 255).astype(np.uint8)
    data = iio.imwrite("<bytes>", codes, extension=".jpg", quality=quality, optimize=True)
    error = np.mean((iio.imread(data) / np.float32(255) - signal.values) ** 2)
    return f"| {codes.size / 3e6:.1f} | | JPEG {quality} | - | {psnr(float(error)):.2f} | {len(data)} | | |"


def pair(given: str) -> tuple[int, int]:
    """The two numbers of `RxC`."""
    rows, columns = given.split("x")
    return int(rows), int(columns)


def main() -> None:
    """Prints a line for each fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--tiles", default="4x3", help="rows x columns")
    parser.add_argument("--tile", default="811x1216", help="rows x columns of each")
    parser.add_argument("--efforts", default="1,5")
    parser.add_argument("--starts", default="none")
    parser.add_argument("--quality", type=float, default=EncodeSettings.quality)
    parser.add_argument("--tune")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jpeg", default="", help="qualities of JPEG to compare with")
    options = parser.parse_args()
    keep_freed_memory()
    tiles, tile = (pair(given) for given in (options.tiles, options.tile))
    signal = mosaic(options.photos, tiles, tile)
    print("| megapixels | effort | start | loss | PSNR | bytes | seconds elapsed | of the processor |\n|---|---|---|---|---|---|---|---|")
    for quality in map(int, filter(None, options.jpeg.split(","))):
        print(jpeg(signal, quality), flush=True)
    for effort, start in product(map(int, filter(None, options.efforts.split(","))), options.starts.split(",")):
        settings = EncodeSettings(effort=effort, start=start, quality=options.quality, tune=options.tune, threads=options.threads)
        began, used = time.monotonic(), time.process_time()
        made = encode(signal, settings)
        elapsed, used = time.monotonic() - began, time.process_time() - used
        loss = "-" if made.loss is None else f"{1e3 * made.loss:.3f}"
        figures = f"{loss} | {made.psnr:.2f} | {len(made.data)} | {elapsed:.0f} | {used:.0f}"
        print(f"| {signal.layout.samples / 1e6:.1f} | {effort} | {start} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
