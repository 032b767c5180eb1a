"""What each choice of the schedule gives: loss and seconds of files whose fits go otherwise, as ratios to those as they are.

    python -m tests.benchmarks.levers photos [--only NAME,...] [--steps 60,250] [--tunes psnr,visual] [--codes 50] [--start auto]

The pictures are squares from the middle of the photographs that a training on the folder holds out, as in tests.benchmarks.start. The loss is
that of the whole file, D / lambda + bits a sample, measured on the decoded file; the seconds are of the processor, one thread.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import i2compress.fit
from i2compress.arrays import Float32Array, Shape
from i2compress.config import SQUARES, EncodeSettings
from i2compress.fit.schedule import Coarse, Schedule, pyramid_schedule
from i2compress.train.loop import lambda_of
from tests.benchmarks.start import held_out, measure, square

# What each sets in the schedule; of what is an object there, only these of its fields.
LEVERS: dict[str, dict[str, Any]] = {
    "as-it-is": {},
    "whole": {"coarse": None},
    "one-halving": {"coarse": {"samples": 1 << 16}},
    "no-guess": {"coarse": {"guesses": False}},
    "more-coarse-steps": {"coarse": {"steps": 1.5}},
    "few-as-many": {"coarse": {"steps": Coarse.steps, "fewest": Coarse.fewest}, "latent_rate": 1e-2},
    "short": {"coarse": {"steps": 0.8}, "recursion_rate": 2.0, "frozen_from": 0.9},
    "middle": {"coarse": {"steps": 0.5}, "recursion_rate": 1.0, "frozen_from": 0.93},
    "long": {"coarse": {"steps": 0.3}, "recursion_rate": 0.5, "frozen_from": 0.95},
    "refresh-every-1": {"refresh_every": 1},
    "refresh-every-4": {"refresh_every": 4},
    "iterations-1": {"iterations": 1},
    "iterations-2": {"iterations": 2},
    "iterations-4": {"iterations": 4},
}


def losses(pictures: list[Float32Array], lever: str, settings: list[EncodeSettings]) -> tuple[list[float], float]:
    """Of all pictures with all settings, and the seconds of the processor."""

    def schedule(settings: EncodeSettings, grid: Shape = (), *, trained: bool = False) -> Schedule:
        made = pyramid_schedule(settings, grid, trained=trained)
        changes = {name: replace(getattr(made, name), **value) if isinstance(value, dict) else value for name, value in LEVERS[lever].items()}
        return replace(made, **changes)

    began = time.process_time()
    with mock.patch.object(i2compress.fit, "pyramid_schedule", schedule):
        found = [measure(values, each)["loss"] for each in settings for values in pictures]
    return found, time.process_time() - began


def rows(given: argparse.Namespace, pictures: list[Float32Array]) -> Iterator[dict[str, float | str]]:
    """A line for each lever, tune and number of steps."""
    for tune in given.tunes.split(","):
        for steps in map(int, given.steps.split(",")):
            settings = [
                EncodeSettings(lam=lambda_of(int(code)), steps=steps, tune=tune, threads=1, device="cpu", start=given.start)
                for code in given.codes.split(",")
            ]
            first: list[float] = []
            for lever in given.only.split(","):
                found, seconds = losses(pictures, lever, settings)
                first = first or found
                ratios = np.log(np.array(found) / first)
                yield {
                    "lever": lever, "tune": tune, "steps": steps, "start": given.start, "ratio": round(float(np.exp(ratios.mean())), 4),
                    "spread": round(float(ratios.std()), 4), "loss": round(float(np.exp(np.mean(np.log(found)))), 4),
                    "seconds": round(seconds / len(found), 2),
                }  # fmt: skip


def main() -> None:
    """Run it all; one line a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--only", default=",".join(LEVERS), help=f"some of: {', '.join(LEVERS)}; the first is what the others are compared with")
    parser.add_argument("--steps", default="60,250")
    parser.add_argument("--tunes", default=f"{SQUARES},visual")
    parser.add_argument("--codes", default="50", help="step codes; lambda is 1e-3 at 50, and doubles every 4")
    parser.add_argument("--start", default="auto")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--pictures", type=int, default=5)
    given = parser.parse_args()
    for row in rows(given, [square(path, given.side) for path in held_out(given.photos)[: given.pictures]]):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
