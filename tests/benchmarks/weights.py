"""One fit, its weights quantised tensor by tensor and with compensation.

    python -m tests.benchmarks.weights PICTURE... [--crop 384x256] [--steps 500] [--lambda 1e-3] [--threads 1]

The loss is 1000 (D + lambda R) with the bits of the weights, before entropy coding; the seconds are of the processor.
"""

import argparse
import math
import time
from pathlib import Path

import torch

from i2compress.config import EncodeSettings
from i2compress.fit.compensate import PyramidTrial, compensated
from i2compress.fit.distortion import SquaredError
from i2compress.fit.problem import Problem
from i2compress.fit.quantise import search
from i2compress.fit.schedule import Schedule
from i2compress.fit.stages import fit_pyramid
from i2compress.media.image.encode import pyramid_spec
from i2compress.memory import keep_freed_memory
from tests.benchmarks.steps import source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--crop", help="WxH: only the top left part")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--lambda", dest="lam", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device = torch.device("cpu")
    for path in options.pictures:
        signal = source(path, options.crop)
        samples = math.prod(signal.grid)
        spec = pyramid_spec(signal.grid, signal.channels, EncodeSettings(lam=options.lam))
        problem = Problem(SquaredError(signal.values, device=device), spec, options.lam, device=device, schedule=Schedule(steps=options.steps))
        fitted = fit_pyramid(problem)
        latents = [torch.from_numpy(grid).float()[None, None] for grid in fitted.latents]
        for name in ("tensor by tensor", "compensated"):
            began = time.process_time()
            found = compensated(problem, fitted) if name == "compensated" else search(PyramidTrial(problem, fitted))
            assert found is not None
            seconds = time.process_time() - began
            parts = [(problem.distortion_of(latents, window), problem.rate_of(latents, window)) for window in problem.windows]
            distortion, rate = (sum(part) / len(parts) for part in zip(*parts, strict=True))
            loss = 1e3 * (distortion + options.lam * (rate + found.bits / samples))
            print(f"{path.stem}  {name:16}  loss {loss:.4f}  weights {found.bits / samples:.4f} bits a sample  {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
