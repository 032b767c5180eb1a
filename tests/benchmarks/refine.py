"""Does more effort on a file pay more from its own weights and latents, or anew? python -m tests.benchmarks.refine PICTURE... [--crop 144x96]

Of each picture a file is fitted; then, with as many steps each, one anew and two that begin where the file stands: at the rates of a fit
with a trained start, and at lower ones with little noise. The loss is D + lambda R of the whole coded plane; seconds are the processor's.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from i2compress import EncodeSettings, Signal, codec, container
from i2compress.config import SQUARES
from i2compress.fit import Schedule, Start, trained_schedule
from i2compress.kinds import Kind
from i2compress.media.image.encode import ITERATION_PART, pyramid_spec
from i2compress.planes import FittedPlane, PlaneJob, code_tolerance, fit_pyramid

from .steps import source

STEPS = ((100, 200), (200, 300))  # of the file, and of what refines it
LOW = {"latent_rate": 3e-3, "weight_rate": 6e-3, "anneal_from": 0.0, "temperatures": (0.15, 0.08), "noises": (0.15, 0.15)}


def fits(picture: Signal, steps: int, more: int) -> Iterator[tuple[str, float, int, float]]:
    """(what, loss, bytes, seconds) of the file and of each way to refine it."""
    settings = EncodeSettings(steps=steps, tune=SQUARES, threads=1, device="cpu", start="none")
    spec = pyramid_spec(picture.layout.grid, picture.channels, settings)

    def fit(count: int, start: Start | None = None, schedule: Schedule | None = None) -> tuple[FittedPlane, float, int, float]:
        asked = replace(settings, steps=count)
        job = PlaneJob(values=picture.values, kind=Kind.IMAGE, bit_depth=8, settings=asked, tolerance=code_tolerance(8))
        began = time.process_time()
        fitted = fit_pyramid(job, spec, part=ITERATION_PART, start=start, schedule=schedule)
        seconds, data = time.process_time() - began, container.write(fitted.content)
        error = 10 ** (-codec.I2File.from_bytes(data, threads=1).score(picture)["psnr"] / 10)
        return fitted, error + settings.rate_weight * 8 * len(data) / picture.layout.samples, len(data), seconds

    file, *found = fit(steps)
    yield f"the file, {steps} steps", found[0], int(found[1]), found[2]
    start = Start(weights=file.weights, latents=[grid.astype(np.float32) for grid in file.latents])
    schedule = trained_schedule(replace(settings, steps=more))
    ways: dict[str, tuple[Start | None, Schedule | None]] = {
        "anew": (None, None),
        "from the file": (start, schedule),
        "from the file, low rates": (start, replace(schedule, **LOW)),  # type: ignore[arg-type]  # fields of it, by name
    }
    for name, (begin, how) in ways.items():
        _, loss, size, seconds = fit(more, begin, how)
        yield f"{name}, {more} steps", loss, size, seconds


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--crop", default="144x96")
    asked = parser.parse_args()
    print("| picture | fit | 1000 x loss | bytes | processor, s |", "|---|---|---|---|---|", sep="\n")
    for path in asked.pictures:
        picture = source(path, asked.crop)
        for steps, more in STEPS:
            for name, loss, size, seconds in fits(picture, steps, more):
                print(f"| {path.name} | {name} | {1e3 * loss:.4f} | {size} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
