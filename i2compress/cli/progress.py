"""What a terminal shows while files are worked on: a line for all of them, and one for each that is under way."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output import Course, duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..fit import StepInfo


class Pace:
    """How far a run is: by what its files take, those under way with the share of them that is done.

    Args:
        works: what each file takes, in any unit; where one is not known all count alike.
        clock: seconds.
    """

    def __init__(self, works: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        known = all(work > 0 for work in works)
        self._weights = [float(work) if known else 1.0 for work in works]
        self._shares, self._lefts = [0.0] * len(works), [0.0] * len(works)
        self._clock, self._began = clock, clock()

    def set(self, number: int, share: float, left: float = 0.0) -> None:
        """A file is done to that share, 0 to 1, and will be done in so many seconds."""
        self._shares[number], self._lefts[number] = share, left if math.isfinite(left) else 0.0

    def leave_out(self, number: int) -> None:
        """A file that needs no time."""
        self._weights[number] = 0.0

    @property
    def share(self) -> float:
        """Of the whole run, 0 to 1."""
        total = sum(self._weights)
        return sum(weight * share for weight, share in zip(self._weights, self._shares, strict=True)) / total if total else 1.0

    @property
    def left(self) -> float:
        """Seconds to its end, at the pace so far, and no less than a file under way takes; nan where nothing is done yet."""
        share = self.share
        return max((self._clock() - self._began) * (1 - share) / share, *self._lefts, 0.0) if share else math.nan


class Display:
    """The lines on a terminal. Nothing is shown where standard error is none, and for `quiet`.

    Args:
        names: of the files.
        weigh: gives what they take, see Pace; asked where anything is shown.
        quiet: show nothing.
    """

    def __init__(self, names: Sequence[str], weigh: Callable[[], Sequence[float]], *, quiet: bool) -> None:
        self.shows = not quiet and sys.stderr.isatty() and bool(names)
        self._names, self._pace, self._finished = names, Pace(weigh() if self.shows and len(names) > 1 else [0.0] * len(names)), 0
        self._bar: Progress | None = None
        self._lines: dict[int, tuple[TaskID, Course]] = {}
        self._whole: TaskID | None = None

    def __enter__(self) -> "Display":
        if self.shows:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TextColumn("{task.fields[state]}")
            # What is said meanwhile is printed between the frames, by `aside`: standard output must stay standard output.
            console = Console(stderr=True)
            self._bar = Progress(*columns, console=console, transient=True, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False)
            self._bar.start()
            if len(self._names) > 1:
                self._whole = self._bar.add_task("", total=1.0, state="")
                self._refresh()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The lines are gone while something else is printed."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()

    def start(self, number: int) -> None:
        """A file is begun."""
        if self._bar is not None and number not in self._lines:
            self._lines[number] = self._bar.add_task(self._named(number), total=1.0, state="loading"), Course()

    def step(self, number: int, info: "StepInfo") -> None:
        """A step of a file's fit."""
        if self._bar is None or number not in self._lines:
            return
        task, course = self._lines[number]
        done, left = course.at(info.phase, info.step, info.steps, info.eta + info.after)
        shown = ((info.psnr, f"{info.psnr:.2f} dB"), (info.bpp, f"{info.bpp:.3f} bpp"))
        state = "  ".join([*(text for value, text in shown if math.isfinite(value)), f"{duration(left)} left"])
        self._bar.update(task, description=f"{self._named(number)} {info.phase}", completed=done, state=state)
        self._pace.set(number, done, left)
        self._refresh()

    def finish(self, number: int, *, worked: bool) -> None:
        """A file is over; not `worked`: without any work."""
        self._finished += 1
        if worked:
            self._pace.set(number, 1.0)
        else:
            self._pace.leave_out(number)
        if self._bar is not None and number in self._lines:
            self._bar.refresh()  # its last state is seen, however short the work was
            self._bar.remove_task(self._lines.pop(number)[0])
        self._refresh()

    def drop(self, number: int) -> None:
        """A file whose worker died: it is begun again, or given up."""
        self._pace.set(number, 0.0)
        if self._bar is not None and number in self._lines:
            self._bar.remove_task(self._lines.pop(number)[0])

    def _named(self, number: int) -> str:
        from rich.markup import escape

        return escape(self._names[number])

    def _refresh(self) -> None:
        if self._bar is not None and self._whole is not None:
            text = f"{self._finished} of {len(self._names)}"
            self._bar.update(self._whole, description=text, completed=self._pace.share, state=f"{duration(self._pace.left)} left")
