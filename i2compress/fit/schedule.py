"""How a fit goes: its steps, rates and relaxation from beginning to end, its windows, and what follows it.

Another way to fit is another object, or another entry here:

- pyramid_schedule: a pyramid from nothing;
- trained_schedule: a picture's, which begins with a trained start;
- started_schedule: a pyramid whose latents start at their places;
- coordinate_schedule: a coordinate field.

A share is the part of a fit that is done, by steps or by time, 0..1. The values are measured choices (docs/design.md).
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..arrays import Shape
from ..config import WINDOW_SIDES, EncodeSettings, Search
from ..efforts import COMPENSATED_FROM, COMPENSATED_UP_TO, COORDINATE_STEPS, EFFORTS, STARTED_STEPS, effort_steps
from ..field.coordinate_field import Solving
from ..field.solver import ONE_STEP, Gradient
from ..field.spec import PyramidSpec

HURRIED_COARSE = 2.0  # times its share of the steps is the share of a time limit that the fit on the halved signal may take
REFRESHED_LESS_FROM = 120  # steps: shorter fits need the bases of their weights sooner
# Steps of a fit of a picture that still takes many of them on the halved signal, moves A and K fast and freezes its latents early, and of one
# that does so no more; see pyramid_schedule, and docs/results/speed.md for what that gives.
FEW, MANY = 60, 250
FEWEST = 4  # steps of a fit of a picture that has some on the halved signal

# Of the implicit layer, in fits of fewer than MANY steps of pictures whose weights begin at nothing: it learns little in them that more would tell.
FEW_ITERATIONS = 2

SHORTEST = 20  # steps of a fit that is to say anything of a longer one


def cosine(share: float, begin: float, end: float) -> float:
    """Half a wave: 1 up to `begin`, then down to 0 at `end`."""
    return 0.5 * (1 + math.cos(math.pi * min(max((share - begin) / (end - begin), 0.0), 1.0)))


class Rates(NamedTuple):
    """Learning rates of a step: of A and K (`recursion`), of the field's other tensors, of the context model's, and of the latents."""

    field: float
    recursion: float
    context: float
    latents: float


@dataclass(frozen=True, kw_only=True)
class Compensation:
    """Which fits' weights are quantised with compensation (fit.compensate).

    Args:
        steps: fits of at least so many; in shorter ones as many seconds of further steps gain more.
        samples: signals of at most so many; the weights of larger ones are next to nothing beside their latents.
        weights: fields and context models of at most so many, as it costs their square.
    """

    steps: int = COMPENSATED_FROM
    samples: int = COMPENSATED_UP_TO
    weights: int = 2500

    def pays(self, *, steps: int, samples: int, weights: int) -> bool:
        """Whether a fit of so many steps is quantised with it."""
        return steps >= self.steps and samples <= self.samples and weights <= self.weights

    def cost(self, samples: int) -> int:
        """It takes as long as about so many steps of a signal of so many samples."""
        return round(25 + 8_000_000 / samples)


@dataclass(frozen=True, kw_only=True)
class Coarse:
    """How the fit on the halved signal goes (fit.coarse). The values are measured, see docs/results/speed.md.

    Args:
        steps: made there for each one that follows on the whole signal.
        rate: what lambda is multiplied with there. With a quarter (of two axes) a bit would weigh as much against the squared errors of
            what is left of the signal as it does later; somewhat more leaves out what the finest grid will do better.
        joined: the share of the schedule at which the fit of the whole signal begins; before, it stands still at its beginning.
        samples: signals of at least so many, so that a step there is much cheaper indeed.
        levels: and pyramids of at least so many.
        fewest: steps of the shortest fit that has it.
        guesses: whether the finest grids of a fit that begins without a trained prior begin as guess.guess_finest says, and not at 0.
    """

    steps: float = 0.8
    rate: float = 0.4
    joined: float = 0.05
    samples: int = 1 << 14
    levels: int = 4
    fewest: int = 20
    guesses: bool = False

    def pays(self, spec: PyramidSpec, steps: int) -> bool:
        """Whether a pyramid of that spec is fitted at half its resolution first, with so many steps in all."""
        large = steps >= self.fewest and math.prod(spec.grid) >= self.samples and spec.levels >= self.levels
        halved = not (spec.steady | spec.sharp) & 1  # along all axes, from the finest grid to the next
        return large and halved and (spec.planes == 1 or spec.split > 0)

    def share(self, axes: int) -> float:
        """What the steps on the halved signal cost, for each one on the whole."""
        return float(self.steps / 2**axes)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a pyramid is fitted.

    Args:
        steps: optimiser steps on each window; those on the halved signal count as what they cost.
        coarse: how the fit on the halved signal goes that comes first; None for none.
        span: the part of what follows that this fit goes through; its own shares are mapped to it.
        candidates: of which the best goes on after `candidate_share`.
        time_limit: seconds; None for no limit.
        weight_rate: learning rate of the context model's tensors.
        field_rate, recursion_rate: those of the field's other tensors and of A and K, as multiples of it.
        latent_rate: learning rate of the latents.
        weight_betas, latent_betas: of the moments. Little momentum: with 0.9 and more the latents overshoot, and bits once spent come back slowly.
        refresh_every: steps from one refreshing of the weights' bases to the next; see soap.
        temperatures, noises: of the relaxed latents at first, and when they are frozen.
        warm_up: steps in which the rates rise.
        warm_up_each: whether those are steps on each window.
        anneal_from: the share after which they fall.
        frozen_from: the share from which on the latents are rounded and frozen, while the weights settle.
        settling_rate: from there on the weights' rates as shares of the first ones: at its beginning and at the end.
        least_rate: and what they are at least before.
        silent_from: the share of its steps after which grids that are 0 everywhere stay so, at no cost; None for never. Once latents are
            frozen, so do those that are worth less than their bits.
        rho: what A and K are scaled to contract with.
        iterations, gradient: of the implicit layer, while fitting.
        window_sides: of the windows of a large signal, of 2 and of 3 axes; None where it is always fitted whole.
        serial_up_to: signals of up to so many samples get one thread; see parallel.Pair.
        compensation: which fits are quantised with it; None for none.
    """

    steps: int
    coarse: Coarse | None = Coarse()
    span: tuple[float, float] = (0.0, 1.0)
    candidates: int = 1
    candidate_share: float = 0.05
    time_limit: float | None = None
    weight_rate: float = 2e-2
    field_rate: float = 1.0
    recursion_rate: float = 2.0
    latent_rate: float = 1e-2
    weight_betas: tuple[float, float] = (0.9, 0.95)
    latent_betas: tuple[float, float] = (0.7, 0.999)
    refresh_every: int = 1
    temperatures: tuple[float, float] = (0.5, 0.08)
    noises: tuple[float, float] = (0.25, 0.15)
    warm_up: int = 10
    warm_up_each: bool = False
    anneal_from: float = 0.25
    frozen_from: float = 0.9
    settling_rate: tuple[float, float] = (0.05, 0.005)
    least_rate: float = 0.02
    silent_from: float | None = 0.5
    rho: float = 0.8
    iterations: int = 4
    gradient: Gradient = ONE_STEP
    window_sides: tuple[int, ...] | None = WINDOW_SIDES
    serial_up_to: int = 1 << 15
    compensation: Compensation | None = Compensation()

    def frozen(self, share: float) -> bool:
        """Whether the latents are rounded and no longer move."""
        return self._placed(share) >= self.frozen_from

    def temperature(self, share: float) -> float:
        """Of the soft rounding, before the latents are frozen."""
        return self._between(self.temperatures, share)

    def noise(self, share: float) -> float:
        """Standard deviation of the noise on latents, before they are frozen."""
        return self._between(self.noises, share)

    def _between(self, ends: tuple[float, float], share: float) -> float:
        return ends[0] + (ends[1] - ends[0]) * (self._placed(share) / self.frozen_from)

    def _placed(self, share: float) -> float:
        return self.span[0] + (self.span[1] - self.span[0]) * share

    def rates(self, share: float, done: int, windows: int = 1) -> Rates:
        """Of the step after `done` ones on so many windows."""
        warm = min(1.0, (done / (windows if self.warm_up_each else 1) + 1) / self.warm_up)
        placed = self._placed(share)
        fall = cosine(placed, self.anneal_from, self.frozen_from)
        weights = warm * max(fall, self.least_rate)
        if self.frozen(share):
            first, last = self.settling_rate
            weights = first * (1 - (1 - last / first) * (placed - self.frozen_from) / (1 - self.frozen_from))
        return Rates(
            field=self.weight_rate * self.field_rate * weights,
            recursion=self.weight_rate * self.recursion_rate * weights,
            context=self.weight_rate * weights,
            latents=self.latent_rate * warm * fall,
        )

    def with_coarse(self, spec: PyramidSpec) -> tuple["Schedule", "Schedule"] | None:
        """The schedules of the fit on the halved signal and of what follows, together of as many steps and seconds; None where there is none."""
        if self.coarse is None or not self.coarse.pays(spec, self.steps):
            return None
        cost = self.coarse.share(spec.axes)
        steps = max(1, round(self.steps / (1 + cost)))
        # At most; the other has what is left. Where time is short, steps on the halved signal are what it is best spent on.
        limit = None if self.time_limit is None else self.time_limit * HURRIED_COARSE * cost / (1 + HURRIED_COARSE * cost)
        first = replace(self, steps=max(1, round(self.coarse.steps * steps)), time_limit=limit, span=(0.0, 0.0), candidates=1, compensation=None)
        begin, end = self.span
        return first, replace(self, steps=steps, coarse=None, span=(begin + (end - begin) * self.coarse.joined, end))

    def shortened(self, search: Search | None) -> "Schedule":
        """Of a fit of a search for a target that makes a share of the steps."""
        if search is None or search.share == 1:
            return self
        steps = min(self.steps, max(SHORTEST, round(search.share * self.steps)))
        return replace(self, steps=steps, candidates=1, compensation=None)

    def window_side(self, axes: int) -> int | None:
        """Of the windows of a signal of 2 or 3 axes; None where there is one."""
        return None if self.window_sides is None else self.window_sides[axes - 2]


def pyramid_schedule(settings: EncodeSettings, grid: Shape = (), *, trained: bool = False) -> Schedule:
    """Of a pyramid of those sides, from nothing or, `trained`, from a trained prior."""
    steps = effort_steps(settings.effort, math.prod(grid)) if settings.steps is None else settings.steps
    # In a limited time there may be few of them, and what is for many then fails by more than it gains otherwise. Video gained nothing from
    # it, and lost where much moves.
    many = 0.0 if settings.time_limit is not None or len(grid) > 2 else min(max(math.log(max(steps, 1) / FEW) / math.log(MANY / FEW), 0.0), 1.0)
    # In so few steps latents get to where they should be only if they go further in each, and coarse ones where steps cost little.
    picture = len(grid) <= 2  # of video it is not measured
    short = max(1.0, FEW / max(steps, 1)) if picture else 1.0
    return Schedule(
        steps=steps,
        latent_rate=Schedule.latent_rate * math.sqrt(short),
        warm_up_each=picture,  # the first step of Adam on a window moves all its latents by as much, whether they matter or not
        coarse=Coarse(steps=(0.8 - 0.5 * many) * short, fewest=FEWEST if picture else Coarse.fewest, guesses=len(grid) == 2),
        candidates=EFFORTS[settings.effort].candidates,
        time_limit=settings.time_limit,
        recursion_rate=2.0 * 4.0**-many,
        frozen_from=0.9 + 0.05 * many,
        refresh_every=2 if steps >= REFRESHED_LESS_FROM else 1,
        iterations=FEW_ITERATIONS if len(grid) == 2 and not trained and steps < MANY else Schedule.iterations,
        window_sides=tuple(side >> settings.halvings for side in WINDOW_SIDES),
    )


def trained_schedule(settings: EncodeSettings) -> Schedule:
    """Of a picture that begins with a trained start: from the middle of the anneal on.

    Its rates are those of a fit from nothing: with a third of them a hardly trained start ended higher (docs/results/training.md).
    """
    return replace(pyramid_schedule(settings), candidates=1, coarse=None, temperatures=(0.3, 0.08), noises=(0.2, 0.15))


def started_schedule(settings: EncodeSettings) -> Schedule:
    """Of a pyramid of one grid whose latents start at their places. It is fitted whole, and its few weights need no compensation."""
    return Schedule(
        steps=STARTED_STEPS[settings.effort] if settings.steps is None else settings.steps,
        time_limit=settings.time_limit,
        latent_rate=1.5e-3,
        field_rate=0.05,
        recursion_rate=0.05,
        anneal_from=0.5,
        iterations=2,
        window_sides=None,
        coarse=None,
        compensation=None,
        silent_from=None,
    )


def sparse_schedule(settings: EncodeSettings, *, trained: bool) -> Schedule:
    """Of a sparse pyramid, whose latents start at the distances of their cells.

    Weights that start from a trained prior are near where they should be, and move more slowly.
    """
    return Schedule(
        steps=EFFORTS[settings.effort].steps if settings.steps is None else settings.steps,
        time_limit=settings.time_limit,
        latent_rate=2e-2,
        weight_rate=1e-2 if trained else Schedule.weight_rate,
        window_sides=None,
        coarse=None,
        compensation=None,
        silent_from=None,
    )


@dataclass(frozen=True, kw_only=True)
class CoordinateSchedule:
    """How a coordinate field is fitted; the defaults are those of (Implicit)^2.

    Args:
        steps: optimiser steps.
        time_limit: seconds; None for no limit.
        optimiser: "adam" or "soap".
        rate: its learning rate.
        anneal_from: the share after which it falls to a hundredth; None for never.
        batch: points of a step; None for all of few points and some of many.
        reuse: whether each step starts from the last z* of its points.
        solving: how each step solves; None for one application with reuse, more without.
    """

    steps: int
    time_limit: float | None = None
    optimiser: str = "adam"
    rate: float = 1e-3
    anneal_from: float | None = None
    batch: int | None = None
    reuse: bool = True
    solving: Solving | None = None

    def learning_rate(self, share: float) -> float:
        """Of a step."""
        return self.rate if self.anneal_from is None else self.rate * max(cosine(share, self.anneal_from, 1.0), 0.01)


def coordinate_schedule(settings: EncodeSettings) -> CoordinateSchedule:
    """Of a coordinate field; SOAP at this rate is in few steps well above Adam at 1e-3."""
    steps = COORDINATE_STEPS[settings.effort] if settings.steps is None else settings.steps
    return CoordinateSchedule(steps=steps, time_limit=settings.time_limit, optimiser="soap", rate=1e-2, anneal_from=0.5)
