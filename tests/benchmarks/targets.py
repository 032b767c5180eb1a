"""What meeting a target costs: python -m tests.benchmarks.targets PICTURE... [--crop 256x192] [--sizes 3k,6k] [--effort 3] [--tune T]

Of each picture and size: how near the file comes, its steps and seconds of the processor (one thread) in those of one plain fit at the lambda that it
came to, and its loss D + lambda R, D as the tune weighs errors, in that of the plain fit, whose size is another one.

With --psnr 30,34 or --ssimulacra2 50,70 in place of sizes: the quality found, steps, seconds and bytes, and those that it would have at the target by
the usual slope.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

from i2compress import EncodeSettings, Signal, codec
from i2compress.cli.options import parse_bytes
from i2compress.codec import Encoded, I2File
from i2compress.config import Target
from i2compress.errors import TargetError
from i2compress.fit import ssimulacra2

from .steps import source

GROWTH = {"psnr": 0.2, "ssimulacra2": 0.026}  # ln(bytes) for each dB and each point of four photographs at some 2 to 6 kB of 256x192 pixels


def timed(picture: Signal, settings: EncodeSettings) -> tuple[Encoded, float]:
    """An encode and its seconds."""
    began = time.process_time()
    made = codec.encode(picture, settings)
    return made, time.process_time() - began


def loss(made: Encoded, lam: float) -> float:
    """D + lambda R of a file."""
    distortion = made.coded.distortion_of
    error = 10 ** (-made.psnr / 10) if distortion is None else distortion(I2File.from_bytes(made.data, threads=1).content)
    return error + lam * made.bpp


def quality(picture: Signal, made: Encoded, measure: str) -> float:
    """PSNR in dB, or SSIMULACRA 2, of a file."""
    return made.psnr if measure == "psnr" else ssimulacra2(picture.values, I2File.from_bytes(made.data, threads=1).render().values)


def qualities(pictures: list[Path], crop: str, settings: EncodeSettings, measure: str, targets: list[float]) -> None:
    """The table of targets of a quality."""
    print(f"| picture | {measure} | found | steps | seconds | bytes | at the target |", "|---|---|---|---|---|---|---|", sep="\n")
    rows: list[tuple[float, float, float, float]] = []
    for path in pictures:
        picture = source(path, crop)
        codec.encode(picture, replace(settings, steps=5))  # whose first steps load what is compiled
        for target in targets:
            try:
                made, seconds = timed(picture, replace(settings, target=Target(psnr=target) if measure == "psnr" else Target(ssimulacra2=target)))
            except TargetError as error:
                print(f"| {path.name} | {target:g} | {error} | | | | |")
                continue
            found = quality(picture, made, measure)
            size = len(made.data) * math.exp((target - found) * GROWTH[measure])
            rows.append((found - target, made.coded.steps, seconds, size))
            print(f"| {path.name} | {target:g} | {found:.2f} | {made.coded.steps} | {seconds:.1f} | {len(made.data)} | {size:.0f} |", flush=True)
    above, steps, seconds = (sum(column) / len(rows) for column in list(zip(*rows, strict=True))[:3])
    size = math.exp(sum(math.log(row[3]) for row in rows) / len(rows))
    print(f"| {len(rows)}, mean | | {above:+.2f} | {steps:.0f} | {seconds:.1f} | | {size:.0f} |")


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--crop", default="256x192")
    parser.add_argument("--sizes", default="3k,6k")
    for measure in ("psnr", "ssimulacra2"):
        parser.add_argument(f"--{measure}", type=lambda text: [float(part) for part in text.split(",")])
    parser.add_argument("--effort", type=int, default=3)
    parser.add_argument("--tune")
    asked = parser.parse_args()
    settings = EncodeSettings(effort=asked.effort, tune=asked.tune, threads=1, device="cpu")
    for measure in ("psnr", "ssimulacra2"):
        if (targets := getattr(asked, measure)) is not None:
            return qualities(asked.pictures, asked.crop, settings, measure, targets)
    print("| picture | size | found | steps | seconds | loss | plain fit |", "|---|---|---|---|---|---|---|", sep="\n")
    ratios: list[tuple[float, float, float]] = []
    for path in asked.pictures:
        picture = source(path, asked.crop)
        codec.encode(picture, replace(settings, steps=5))  # whose first steps load what is compiled
        for size in map(parse_bytes, asked.sizes.split(",")):
            try:
                made, seconds = timed(picture, replace(settings, target=Target(size=size)))
            except TargetError as error:
                print(f"| {path.name} | {size} | {error} | | | | |")
                continue
            lam = made.coded.lam
            assert lam is not None  # a picture's fit is steered
            plain, usual = timed(picture, replace(settings, lam=lam))
            ratios.append((made.coded.steps / plain.coded.steps, seconds / usual, loss(made, lam) / loss(plain, lam)))
            found = f"{len(made.data)}, {100 * (len(made.data) / size - 1):+.1f} %"
            print(f"| {path.name} | {size} | {found} | {' | '.join(f'{number:.3f}' for number in ratios[-1])} | {len(plain.data)} |", flush=True)
    means = [math.exp(sum(map(math.log, column)) / len(ratios)) for column in zip(*ratios, strict=True)]
    print(f"| {len(ratios)}, geometric mean | | | {' | '.join(f'{mean:.3f}' for mean in means)} | |")


if __name__ == "__main__":
    main()
