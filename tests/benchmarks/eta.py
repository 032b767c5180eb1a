"""How right the time left was in hindsight: python -m tests.benchmarks.eta FILE... [--effort 5] [--steps N] [--threads 1]

What the bar would have said at tenths of an encode, and what was really left until the file was there, figures included; then the same of
all files as one batch, and of one whose files count by their bytes.
"""

import argparse
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from i2compress import EncodeSettings, codec, media
from i2compress.cli.output import Course
from i2compress.cli.progress import Pace
from i2compress.cli.work import Job
from i2compress.cli.works import works
from i2compress.fit import StepInfo


@dataclass
class Watch:
    """What was said when: (moment, seconds left) of a file and of the batches."""

    paces: tuple[Pace, Pace]
    number: int = 0
    course: Course = field(default_factory=Course)
    file: list[tuple[float, float]] = field(default_factory=list)
    batches: tuple[list[tuple[float, float]], list[tuple[float, float]]] = field(default_factory=lambda: ([], []))

    def step(self, info: StepInfo) -> None:
        """As cli.progress.Display does."""
        done, left = self.course.at(info.phase, info.step, info.steps, info.eta + info.after)
        self.file.append((time.monotonic(), left))
        for pace, batch in zip(self.paces, self.batches, strict=True):
            pace.set(self.number, done, left)
            batch.append((time.monotonic(), pace.left))


def row(name: str, said: list[tuple[float, float]], began: float, end: float) -> str:
    """A line of the table: said / real at tenths of the time, and the median error where 10 to 90 % are done, in % of what was left."""
    cells, errors = [], []
    for share in np.arange(1, 10) / 10:
        moment = began + share * (end - began)
        before = [left for when, left in said if when <= moment]
        if not before or not math.isfinite(before[-1]):
            cells.append("-")
            continue
        real = end - max(when for when, _ in said if when <= moment)
        errors.append(before[-1] / real - 1)
        cells.append(f"{before[-1]:.1f}/{real:.1f}")
    median = f"{100 * float(np.median(np.abs(errors))):.0f} %" if errors else "-"
    return f"| {name} | {' | '.join(cells)} | {median} |"


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--effort", type=int, default=5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--bitrate", type=float)
    asked = parser.parse_args()
    settings = EncodeSettings(effort=asked.effort, steps=asked.steps, threads=asked.threads, bitrate=asked.bitrate)
    tenths = " | ".join(f"{share} %" for share in range(10, 100, 10))
    print(f"| said/real, s, at | {tenths} | median error |", "|---|" + "---|" * 10, sep="\n")
    jobs = [Job(source=str(path), target="") for path in asked.files]
    paces = (Pace(works(jobs, settings)), Pace([path.stat().st_size for path in asked.files]))
    batches: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    start = time.monotonic()
    for number, path in enumerate(asked.files):
        watch, began = Watch(paces=paces, number=number, batches=batches), time.monotonic()
        with media.open_source(path) as opened:
            codec.encode(opened.source, settings, on_step=watch.step)
        for pace in paces:
            pace.set(number, 1.0)
        print(row(path.name, watch.file, began, time.monotonic()), flush=True)
    for name, batch in zip(("all of them", "the same by bytes"), batches, strict=True):
        print(row(name, batch, start, time.monotonic()), flush=True)


if __name__ == "__main__":
    main()
