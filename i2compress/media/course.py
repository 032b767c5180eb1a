"""One course of the fits of all parts of a source, such as segments or groups of pictures, which are fitted one after the other."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..fit import StepInfo

FITTING = 0.9  # share of a fit in what a part takes; the rest is what follows it
UNITS = 10000  # that steps are counted in, of the whole


class Parts:
    """Tells of the fits of parts as of one: steps are shares of the whole, and the time left is that of the whole.

    Args:
        on_step: what is told; None for nobody.
        length: of the source along its first axis.
        count: of parts; the steps of a single one are told as they are.
        noun: what a part is called.
        clock: seconds.
    """

    def __init__(
        self, on_step: "Callable[[StepInfo], None] | None", *, length: int, count: int, noun: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_step, self._length, self._count, self._noun, self._clock = on_step, length, count, noun, clock
        self._began, self._furthest = clock(), 0.0

    def of(self, number: int, start: int, stop: int, fits: tuple[float, float] = (0.0, 1.0)) -> "Callable[[StepInfo], None] | None":
        """What a fit is to call.

        Args:
            number: of the part, from 0 on.
            start, stop: of the part.
            fits: from which share of the part's work to which this fit is, where it is one of several.
        """
        on_step = self._on_step
        if on_step is None or (self._count == 1 and fits == (0.0, 1.0)):
            return on_step

        def told(info: "StepInfo") -> None:
            if info.phase == "compile":  # before the first fit, and no part of it
                on_step(info)
                return
            within = info.step / max(1, info.steps)
            within = FITTING * within if info.phase == "fit" else FITTING + (1 - FITTING) * within
            share = fits[0] + (fits[1] - fits[0]) * within
            # A fit that turns out to be needed once more does not take the bar back.
            self._furthest = done = max(self._furthest, (start + (stop - start) * share) / self._length)
            elapsed = self._clock() - self._began
            eta = elapsed * (1 / done - 1) if done else math.inf
            phase = info.phase if self._count == 1 else f"{self._noun} {number + 1} of {self._count}"
            on_step(replace(info, phase=phase, step=round(done * UNITS), steps=UNITS, elapsed=elapsed, eta=eta, after=0.0))

        return told
