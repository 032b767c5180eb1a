"""Processor seconds of one step of the fit and of its parts; the rate model in blocks beside the same in one piece, in turns.

    python -m tests.benchmarks.step PICTURE [--lambda 1e-3] [--threads 1] [--rounds 5]

Medians over the rounds; a first one warms up and is not counted.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from i2compress.codec import pyramid_spec
from i2compress.config import EncodeSettings
from i2compress.fit import network_bits
from i2compress.fit.loop import Fit, Problem, Schedule
from i2compress.media import read
from i2compress.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--lambda", dest="lam", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    signal = read(options.picture)
    spec = pyramid_spec(signal, EncodeSettings(lam=options.lam))
    problem = Problem(signal.values, spec, options.lam, device=torch.device("cpu"), schedule=Schedule(steps=1000))
    run = Fit(problem, seed=0, on_step=None, stop=None)
    window = problem.windows[0]
    latents = [tensor.detach().requires_grad_() for tensor in run._seen(run.cores[0][0], window, 0.1)]
    blocks = network_bits.BLOCK

    def rate(limit: int) -> None:
        network_bits.BLOCK = {"cpu": limit}
        problem.rate(latents, window).backward()  # type: ignore[no-untyped-call]
        network_bits.BLOCK = blocks

    parts: dict[str, Callable[[], object]] = {
        "step": lambda: run.step(0.1),
        "rate": lambda: rate(blocks["cpu"]),
        "rate, one block": lambda: rate(1 << 40),
        "distortion": lambda: problem.distortion(latents, window).backward(),  # type: ignore[no-untyped-call]
        "of it interpolation": lambda: problem.field.features(latents).sum().backward(),  # type: ignore[no-untyped-call]
    }
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(options.rounds + 1):
        for name, part in parts.items():
            began = time.process_time()
            part()
            if number:  # the first round warms up
                seconds[name].append(time.process_time() - began)
    for name, taken in seconds.items():
        print(f"{name:20} {statistics.median(taken):.3f} s")


if __name__ == "__main__":
    main()
