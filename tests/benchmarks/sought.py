"""What targets of videos and shapes cost: python -m tests.benchmarks.sought FILE [--lambdas 2e-3,1e-3,5e-4,2.5e-4] [--size 3k,6k] [--psnr 33,36]

Parts of videos are named as `i2c bench video` takes them ('VIDEO#xywh=X,Y,W,H&frames=A:B'). Of each target: how near the file comes, its steps in
those of one whole fit, seconds of the processor (one thread) in those of one, and its PSNR above that of whole fits of its size: a straight line
(least squares, PSNR against ln(bytes)) through those at the given lambdas.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from i2compress import EncodeSettings, codec, media
from i2compress.bench.i2c import read_video
from i2compress.cli.options import parse_bytes
from i2compress.codec import Encoded
from i2compress.config import Target
from i2compress.errors import TargetError
from i2compress.media import SignalSource, Source
from i2compress.memory import keep_freed_memory

from .video_fit import signal_of


def timed(source: Source, settings: EncodeSettings) -> tuple[Encoded, float]:
    """An encode and its seconds."""
    began = time.process_time()
    made = codec.encode(source, settings)
    return made, time.process_time() - began


def table(source: Source, settings: EncodeSettings, lambdas: list[float], targets: list[Target]) -> None:
    """A line for each target."""
    codec.encode(source, replace(settings, steps=2))  # loads what is compiled
    whole = [timed(source, replace(settings, lam=lam)) for lam in lambdas]
    passes, seconds = whole[0][0].coded.passes, sum(taken for _, taken in whole) / len(whole)
    print("whole fits:", ", ".join(f"{len(made.data)} B {made.psnr:.2f} dB" for made, _ in whole), flush=True)
    slope, offset = np.polyfit([math.log(len(made.data)) for made, _ in whole], [made.psnr for made, _ in whole], 1)
    print("| target | found | off | steps | seconds | PSNR above whole fits |\n|---|---:|---:|---:|---:|---:|")
    for target in targets:
        name = f"{target.size} B" if target.size else f"{target.psnr:g} dB"
        try:
            made, taken = timed(source, replace(settings, target=target))
        except TargetError as error:
            print(f"| {name} | {error} | | | | |", flush=True)
            continue
        off = f"{100 * (len(made.data) / target.size - 1):+.1f} %" if target.size else f"{made.psnr - (target.psnr or 0.0):+.2f} dB"
        above = made.psnr - (slope * math.log(len(made.data)) + offset)
        cost = f"{made.coded.passes / passes:.2f} | {taken / seconds:.2f}"
        print(f"| {name} | {len(made.data)} B, {made.psnr:.2f} dB | {off} | {cost} | {above:+.2f} |", flush=True)


def main() -> None:
    """The table of one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--lambdas", default="2e-3,1e-3,5e-4,2.5e-4")
    parser.add_argument("--size", default="")
    parser.add_argument("--psnr", default="")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--effort", type=int, help="instead of --steps")
    parser.add_argument("--grid", type=int)
    asked = parser.parse_args()
    keep_freed_memory()
    targets = [Target(size=parse_bytes(size)) for size in asked.size.split(",") if size]
    targets += [Target(psnr=float(psnr)) for psnr in asked.psnr.split(",") if psnr]
    length = {"steps": asked.steps} if asked.effort is None else {"effort": asked.effort}
    settings, lambdas = EncodeSettings(**length, grid=asked.grid, threads=1, device="cpu"), list(map(float, asked.lambdas.split(",")))
    if "#" in asked.file:
        table(SignalSource(signal_of(read_video(asked.file))), settings, lambdas, targets)
        return
    with media.open_source(Path(asked.file).read_bytes()) as opened:
        table(opened.source, settings, lambdas, targets)


if __name__ == "__main__":
    main()
