"""Seconds of one step of the fit and of its parts, on several numbers of threads and with several tunes in turns.

    python -m tests.benchmarks.step PICTURE|VIDEO [--lambda 1e-3] [--threads 1,2] [--tunes psnr,visual] [--rounds 5] [--out step.json]

Medians over the rounds; a first one warms up and is not counted. Elapsed, and in brackets those of the processor. A video is one group.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from i2compress.bench.files import to_json
from i2compress.config import SQUARES, EncodeSettings
from i2compress.fit import cpu_threads
from i2compress.fit.perceptual import DISTORTIONS
from i2compress.fit.problem import Problem
from i2compress.fit.pyramid import PyramidFit
from i2compress.fit.schedule import Schedule
from i2compress.kinds import Kind
from i2compress.media import read
from i2compress.media.image.encode import pyramid_spec
from i2compress.media.video import group
from i2compress.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--lambda", dest="lam", type=float, default=1e-3)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--tunes", default="psnr")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    kinds = [(tune, int(count)) for tune in options.tunes.split(",") for count in options.threads.split(",")]
    fits = {}
    for tune, count in kinds:
        with cpu_threads(count):
            fits[tune, count] = begun(options.picture, options.lam, tune)
    taken: dict[str, list[tuple[float, float]]] = {}
    for number in range(options.rounds + 1):
        for tune, count in kinds:
            with cpu_threads(count):
                for name, part in parts(fits[tune, count]).items():
                    began = time.perf_counter(), time.process_time()
                    part()
                    if number:  # the first round warms up
                        kind = f"{name}, {count} threads" + ("" if tune == SQUARES else f", {tune}")
                        taken.setdefault(kind, []).append((time.perf_counter() - began[0], time.process_time() - began[1]))
    found = {name: [round(statistics.median(seconds), 3) for seconds in zip(*rounds, strict=True)] for name, rounds in sorted(taken.items())}
    for name, (elapsed, processor) in found.items():
        print(f"{name:40} {elapsed:.3f} ({processor:.3f}) s")
    if options.out:
        options.out.write_text(to_json({"picture": options.picture.name, "lambda": options.lam, "seconds": found}))


def begun(picture: Path, lam: float, tune: str) -> PyramidFit:
    """A fit of the picture, before its first step."""
    signal, settings = read(picture), EncodeSettings(lam=lam)
    if signal.kind == Kind.VIDEO:
        spec = group.pyramid_spec(signal.grid, signal.channels, settings, longest=len(signal.values))
    else:
        spec = pyramid_spec(signal.grid, signal.channels, settings)
    device = torch.device("cpu")
    problem = Problem(DISTORTIONS[tune](signal.values, None, device=device), spec, lam, device=device, schedule=Schedule(steps=1000))
    return PyramidFit(problem, seed=0, on_step=None, stop=None)


def parts(run: PyramidFit) -> dict[str, Callable[[], object]]:
    """What is timed; the parts of a step as they run alone, with all threads."""
    problem, window = run.problem, run.problem.windows[0]
    latents = [tensor.detach().requires_grad_() for tensor in run._seen(run.places[0], False)]
    return {
        "step": lambda: run.step(0.1),
        "rate": lambda: problem.rate_on(latents, window).backward(),  # type: ignore[no-untyped-call]
        "distortion": lambda: problem.distortion_on(latents, window).backward(),  # type: ignore[no-untyped-call]
        "distortion: interpolation": lambda: problem.field.features(latents, window.origins).sum().backward(),  # type: ignore[no-untyped-call]
    }


if __name__ == "__main__":
    main()
