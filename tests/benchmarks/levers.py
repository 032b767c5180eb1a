"""What each way to make a fit faster gives, alone and together: loss and seconds of fits with and without it.

    python -m tests.benchmarks.levers PICTURE... [--crop 384x256] [--lambda 3e-4,1e-3] [--steps 150] [--only NAME,...]

The loss is 1000 (D + lambda R) of the fit, before its weights are quantised and without their bits; the seconds are of the processor, one thread.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from i2compress.config import EncodeSettings
from i2compress.fit.distortion import SquaredError
from i2compress.fit.problem import Problem
from i2compress.fit.pyramid import fit_pyramid
from i2compress.fit.schedule import Coarse, pyramid_schedule
from i2compress.media.image.encode import pyramid_spec
from i2compress.memory import keep_freed_memory
from tests.benchmarks.steps import source

LEVERS: dict[str, dict[str, Any]] = {
    "all": {},
    "whole": {"coarse": None},
    "one-halving": {"coarse": Coarse(samples=1 << 16)},
    "more-coarse-steps": {"coarse": Coarse(steps=1.5)},
    "refresh-every-1": {"refresh_every": 1},
    "refresh-every-4": {"refresh_every": 4},
    "iterations-2": {"iterations": 2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--crop", help="WxH: only the top left part")
    parser.add_argument("--lambda", dest="lambdas", default="3e-4,1e-3")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--only", help=f"some of: {', '.join(LEVERS)}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    device = torch.device("cpu")
    for name in options.only.split(",") if options.only else LEVERS:
        losses, seconds = [], 0.0
        for path in options.pictures:
            signal = source(path, options.crop)
            for lam in map(float, options.lambdas.split(",")):
                spec = pyramid_spec(signal.grid, signal.channels, EncodeSettings(lam=lam))
                schedule = replace(pyramid_schedule(EncodeSettings(steps=options.steps)), **{"compensation": None, **LEVERS[name]})
                problem = Problem(SquaredError(signal.values, device=device), spec, lam, device=device, schedule=schedule)
                began = time.process_time()
                losses.append(1e3 * fit_pyramid(problem).loss)
                seconds += time.process_time() - began
        mean = math.exp(sum(map(math.log, losses)) / len(losses))
        print(f"{name:20} {mean:.4f} (geometric mean of {' '.join(f'{loss:.4f}' for loss in losses)})  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
