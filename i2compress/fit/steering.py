"""A fit that comes to a wanted size or quality: lambda is moved while it goes on, by what its rounded state says of the end.

The bits of a fit change until its end much the same in all fits, so what they are on the way tells what they will be. Lambda is moved in the first
part of a fit, while that costs nothing: later, bits that were spent come back slowly, and are no use meanwhile. Where the file then is off, mostly
by what its weights take, the last part is made once more under another lambda (pyramid.PyramidFit.again).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..arrays import Float32Array
from ..config import Aim
from .problem import Problem
from .windows import cut, cut_all

LOOKS = 25  # at the rounded state in a whole fit, of which those between FROM and UNTIL are made
FROM, UNTIL = 0.12, 0.6  # shares of a fit: its first steps say little, and lambda is moved no later
SLOPE = -0.9  # of ln(bytes) for each ln(lambda), about
GAIN = 0.35  # share of what is foreseen to be missing that one look makes up for
EARLY, MOST_MOVES = 0.4, (0.5, 0.06)  # of ln(lambda) at one look, at most, before that share of a fit and after it
LATE, MOST_LATE = 0.45, 1.0  # share of its usual effect that lambda has in the last part of a fit; and how far ln(lambda) is moved for that
LATE_RANGE = (0.2, 1.2)  # in which that share is taken as two ends of one fit say it
MOST = 4.0  # how far ln(lambda) is moved in all, either way
# Until SETTLED, bits fall, the more the fewer they are: ln(rate) by FALL over the rate in bits a sample, MOST_FALL at most, for each share left.
SETTLED, FALL, MOST_FALL = 0.8, 0.15, 1.2
LEAST_RATE = 1e-3
# Bits of a weight with and without compensation where the latents take BYTES_AT bytes at LAMBDA_AT, and more of them for each ln(bytes / lambda): the
# more there is to describe, and the better, the finer are the weights that describe it.
WEIGHT_BITS, BYTES_AT, LAMBDA_AT, MORE_BITS, LEAST_BITS = (3.5, 4.5), 2000.0, 5e-4, 0.3, 1.5
FRAMING = 40  # bytes of a file beside weights and latents, about


class Quality(NamedTuple):
    """How a quality goes with lambda and with a fit.

    Args:
        slope: for each ln(lambda), about, for what it lacks to `most`, or in dB where that is infinite.
        most: what it cannot pass.
        rise, settled: under one lambda it rises by rise (settled - share)**2 from that share of a fit to its end, and no more after `settled`.
    """

    slope: float
    most: float
    rise: float
    settled: float

    def slope_at(self, value: float) -> float:
        """For each ln(lambda), about."""
        return self.slope if math.isinf(self.most) else self.slope * max(self.most - value, LEAST_LACK)


# Of 4 pictures at 2 lambdas each: halfway through a fit, single ones differ from that rise by 0.3 dB and 4 points, at UNTIL by half as much.
QUALITIES = {"psnr": Quality(-2.8, math.inf, 3.5, 0.7), "ssimulacra2": Quality(-0.38, 100.0, 50.0, 0.76)}
LEAST_LACK = 5.0
LATE_QUALITY = 0.9  # share of its effect on a quality that lambda has in the last part of a fit


class Steering:
    """Moves a problem's lambda so that what its file comes to is what is wanted: bytes, see SizeSteering, or a quality, see QualitySteering.

    Args:
        problem: what is fitted.
    """

    slope: float  # of what is found for each ln(lambda), about
    late: float  # share of its usual effect that lambda has in the last part of a fit
    settled_in = 0  # steps before which what is found says nothing of the end
    moves: tuple[float, float]  # of ln(lambda) at one look, at most, before EARLY and after it

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._first, self._looks = problem.lam, 0
        self._ends: list[tuple[float, float]] = []  # ln(lambda) and how far off the fit was, each time that it came to its end

    def look(self, share: float, latents: Callable[[], list[Tensor]]) -> None:
        """Move lambda where it is time for it: that share of the fit is done, and these are the latents `[1, 1, *grid]` as they would be coded."""
        looks = math.floor(share * LOOKS)
        if looks <= self._looks or not max(FROM, self.settled_in / self._problem.schedule.steps) <= share <= UNTIL:
            return
        self._looks = looks
        self._move(-GAIN * self._off(self._foreseen(latents(), share)) / self.slope, self.moves[share >= EARLY])

    def corrigible(self, found: float) -> bool:
        """Whether a fit that came to that is so near that its last part alone can make up for it."""
        return abs(self._off(found) / self.slope) <= self.late * MOST_LATE

    def missed(self, lam: float, found: float) -> None:
        """Move lambda for the last part of the fit, which came to that with that ln(lambda)."""
        self._ends.append((lam, self._off(found)))
        self._move(self._end() - math.log(self._problem.lam), MOST_LATE)

    def state(self) -> dict[str, Any]:
        """All that later looks depend on."""
        return {"lam": self._problem.lam, "looks": self._looks, "ends": [*self._ends]}

    def restore(self, state: dict[str, Any]) -> None:
        """Undoes `state`."""
        self._problem.lam, self._looks, self._ends = state["lam"], state["looks"], [*state["ends"]]

    def _end(self) -> float:
        """ln(lambda) at which the last part is to end: between one end that was too high and one that was too low, else as far as they say."""
        over, under = ([end for end in self._ends if (end[1] > 0) == large] for large in (True, False))
        if over and under:
            a, b = (min(ends, key=lambda end: abs(end[1])) for ends in (over, under))
            return a[0] + (b[0] - a[0]) * a[1] / (a[1] - b[1])
        lam, off = min(self._ends, key=lambda end: abs(end[1]))
        effects = [(off - other) / (lam - place) / self.slope for place, other in self._ends if place != lam]
        effect = min(max(effects[-1], LATE_RANGE[0]), LATE_RANGE[1]) if effects else self.late
        return lam - off / (effect * self.slope)

    def _move(self, step: float, most: float) -> None:
        moved = math.log(self._problem.lam / self._first) + min(max(step, -most), most)
        self._problem.lam = self._first * math.exp(min(max(moved, -MOST), MOST))

    def _off(self, found: float) -> float:
        """How far what was found is above what is wanted, in the unit of `slope`."""
        raise NotImplementedError

    def _foreseen(self, latents: list[Tensor], share: float) -> float:
        """What the file will come to, where that share of the fit is done."""
        raise NotImplementedError


class SizeSteering(Steering):
    """Towards a size.

    Args:
        problem: what is fitted.
        wanted: bytes that its file is to come to.
    """

    slope, late, moves = SLOPE, LATE, MOST_MOVES

    def __init__(self, problem: Problem, wanted: float) -> None:
        super().__init__(problem)
        self._wanted = wanted
        weights, schedule = sum(tensor.numel() for tensor in problem.weights().values()), problem.schedule
        compensation, samples = schedule.compensation, math.prod(problem.spec.grid)
        compensates = compensation is not None and compensation.pays(steps=schedule.steps, samples=samples, weights=weights)
        self._weights, self._weight_bits = weights / 8, WEIGHT_BITS[0 if compensates else 1]

    def _off(self, found: float) -> float:
        """In ln(bytes)."""
        return math.log(found / self._wanted)

    def _foreseen(self, latents: list[Tensor], share: float) -> float:
        """Bytes that the latents and the weights will take at the end."""
        problem, left = self._problem, max(0.0, SETTLED - share)
        counts = [math.prod(part.stop - part.start for part in window.core[0]) for window in problem.windows]
        bits = sum(count * problem.rate_of(latents, window) for count, window in zip(counts, problem.windows, strict=True))
        rate = max(bits / sum(counts), LEAST_RATE)
        count = rate * math.exp(-min(FALL / rate, MOST_FALL) * left) * problem.samples * math.prod(problem.spec.grid) / 8
        weight = max(LEAST_BITS, self._weight_bits + MORE_BITS * math.log(count / BYTES_AT * LAMBDA_AT / problem.lam))
        return float(FRAMING + weight * self._weights + count)


class QualitySteering(Steering):
    """Towards a quality of what the field makes of the rounded latents, which in the first steps is the same whatever lambda is.

    Args:
        problem: what is fitted.
        aim: that quality, one of QUALITIES.
        judge: it, of decoded values `[*grid, D]`.
    """

    settled_in = 18

    def __init__(self, problem: Problem, aim: Aim, judge: Callable[[Float32Array], float]) -> None:
        super().__init__(problem)
        self._wanted, self._judge = aim.value, judge
        self._quality = QUALITIES[aim.measure]
        self.slope, self.late, self.moves = self._quality.slope_at(aim.value), LATE_QUALITY, MOST_MOVES

    def _off(self, found: float) -> float:
        """In dB or points."""
        return found - self._wanted

    def _foreseen(self, latents: list[Tensor], share: float) -> float:
        """What is found now, and what it will rise by."""
        return self._judge(decoded(self._problem, latents)) + self._quality.rise * max(0.0, self._quality.settled - share) ** 2


def decoded(problem: Problem, latents: list[Tensor]) -> Float32Array:
    """`[*grid, D]`: what the field makes of latents of the whole signal."""
    spec = problem.spec
    values = np.empty((*spec.grid, spec.channels), np.float32)
    with torch.no_grad():
        for window in problem.windows:
            made = cut(problem.values_on(cut_all(latents, window), window), window.inner[0])
            values[window.core[0]] = made[0].movedim(0, -1).cpu().numpy()
    return values
