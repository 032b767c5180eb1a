"""One bar for the whole of a file, whose parts are worked on one after the other: segments, groups of pictures, tracks, one fit after another."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..fit import StepInfo

# Where each phase of a fit begins and ends in what is told of it as a whole; any other phase is the whole of it.
PHASES = {"compile": (0.0, 0.0), "motion": (0.0, 0.0), "fit": (0.0, 0.9), "quantise": (0.9, 1.0)}
UNITS = 10000  # that steps are counted in, of the whole


def share_of(phase: str, step: int, steps: int) -> float:
    """How much of a fit is done, 0 to 1."""
    start, stop = PHASES.get(phase, (0.0, 1.0))
    return start + (stop - start) * step / max(1, steps)


class Parts:
    """Tells of the work on parts as of one: steps are shares of the whole, and the time left is that of the whole.

    Args:
        on_step: what is told; None for nobody.
        works: what each part takes, in any unit; the steps of a single one are told as they are.
        names: of the phases of each part; {} stands for what the part says itself.
        clock: seconds.
    """

    def __init__(
        self,
        on_step: "Callable[[StepInfo], None] | None",
        works: Sequence[float],
        names: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_step, self._works, self._names, self._clock = on_step, works, names, clock
        self._began, self._furthest = clock(), 0.0

    @staticmethod
    def named(noun: str, count: int) -> list[str]:
        """The names of so many parts that are called so."""
        return ["{}"] if count == 1 else [f"{noun} {number + 1} of {count}" for number in range(count)]

    def of(self, number: int, fits: tuple[float, float] = (0.0, 1.0), *, name: str | None = None) -> "Callable[[StepInfo], None] | None":
        """What a fit is to call.

        Args:
            number: of the part, from 0 on.
            fits: from which share of the part's work to which this fit is, where it is one of several.
            name: of its phases, where several are worked on at once in this part; None for that of the part.
        """
        on_step = self._on_step
        if on_step is None or (len(self._works) == 1 and fits == (0.0, 1.0)):
            return on_step
        before, total = sum(self._works[:number]), sum(self._works)

        def told(info: "StepInfo") -> None:
            if info.phase == "compile":  # before the first fit, and no part of it
                on_step(info)
                return
            share = fits[0] + (fits[1] - fits[0]) * share_of(info.phase, info.step, info.steps)
            # A fit that turns out to be needed once more does not take the bar back.
            self._furthest = done = max(self._furthest, (before + self._works[number] * share) / total)
            elapsed = self._clock() - self._began
            eta = elapsed * (1 / done - 1) if done else math.inf
            phase = (name or self._names[number]).format(info.phase)
            on_step(replace(info, phase=phase, step=round(done * UNITS), steps=UNITS, elapsed=elapsed, eta=eta, after=0.0))

        return told
