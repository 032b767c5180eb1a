"""A pyramid's weights to integers, the error of each made up for by those that come after it.

Around the end of a fit the cost in bits, N (D / lambda + R), is a quadratic of the weights with the Gauss-Newton matrix
H = J^T F J: J the derivatives of the outputs (values of the field; means and scales of the context model) by the weights, F the
curvature of the cost by the outputs. An error e of weight i costs h e^2 / 2, with h what is left of H_ii once all
later weights have followed: far less than H_ii, as weights do much the same as their neighbours. So larger steps will do
(the optimal brain surgeon of Hassibi and Stork 1993; the order and the Cholesky factor are those of GPTQ, Frantar et al. 2023).

The quadratic holds nearby only. So tensors are taken in stages; before each, the weights that are left make a Newton step
of the true loss, and within each, the damping of H and the size of the steps are tried out on the true loss.
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..arrays import Float64Array
from ..coding.laplace import LIMIT
from ..coding.weights import WeightGroup, symbol_bits, weight_bits
from ..field.spatial import contraction
from ..field.spec import MAX_CONTRACTION
from .loss_terms import SAMPLING, Abandoned, DistortionTerm, LossTerm, RateTerm, Sampling, damped, loss_windows, samples
from .parallel import Pair
from .problem import FittedPyramid, Problem
from .quantise import Quantised, group_bits, search

TRIAL_WINDOWS = 2  # on which the plain search measures the true loss
DAMPING = 3.0  # a unit of damping is a factor so large
FIRST_DAMPING = 0.1
LEAST_UNIT, MOST_UNIT = -3, 7
FIRST_SHIFT, SHIFTS_PER_OCTAVE = 1, 2
LEAST_SHIFT, MOST_SHIFT = -4, 8


def quantise(problem: Problem, fitted: FittedPyramid, on_part: Callable[[int, int], None] | None = None) -> Quantised:
    """The integers for `fitted`'s weights; the problem's networks are left holding the values that the decoder will see.

    With compensation where the fit says so and there is time for it, else tensor by tensor.

    Args:
        problem, fitted: a fit and what it found.
        on_part: called with the parts of the weights that are done, and how many there are.
    """
    found = compensated(problem, fitted, on_part) if fitted.compensate else None
    return search(PyramidTrial(problem, fitted), on_part, until=fitted.until) if found is None else found


def compensated(
    problem: Problem, fitted: FittedPyramid, on_stage: Callable[[int, int], None] | None = None, *, sampling: Sampling = SAMPLING
) -> Quantised | None:
    """As `quantise`, with compensation in any case; None where it finds nothing that is allowed, or it is time for what follows."""
    latents = _begin(problem, fitted)
    distortion, rate = DistortionTerm(problem, latents, sampling), RateTerm(problem, latents, sampling)
    stages = distortion.stages + rate.stages
    done: list[None] = []

    def tell() -> None:
        if on_stage is not None:
            on_stage(len(done), len(stages))

    def both() -> None:
        done.append(None)
        if time.monotonic() > fitted.until and len(done) < len(stages):
            distortion.abandoned.set()
        tell()

    # What is asked to report progress is called in this thread only.
    pair = Pair(problem.device, math.prod(problem.spec.grid), serial_up_to=problem.schedule.serial_up_to)
    rate.abandoned = distortion.abandoned
    parts = pair(lambda: _all_stages(distortion, both), lambda: _all_stages(rate, lambda: done.append(None)))
    tell()
    if parts[0] is None or parts[1] is None:
        return None
    groups = {name: (parts[0] | parts[1])[name] for name in problem.prior}
    return Quantised(groups=groups, bits=sum(group_bits(group) for group in groups.values()), moved=True)


class PyramidTrial:
    """A pyramid whose tensors are quantised one by one; see quantise.Trial.

    Args:
        problem, fitted: a fit and what it found.
        sampling: where the loss is measured.
        windows: on how many of its windows, at most; None: all of them.
    """

    def __init__(self, problem: Problem, fitted: FittedPyramid, *, sampling: Sampling = SAMPLING, windows: int | None = TRIAL_WINDOWS) -> None:
        self.problem = problem
        self.weights, self.prior, self.lam, self.samples = fitted.weights, problem.prior, problem.lam, samples(problem)
        self.max_exponent = problem.spec.max_exponent
        self._latents = _begin(problem, fitted)
        self._windows = loss_windows(problem, sampling, windows)

    def load(self, name: str, value: Float64Array) -> None:
        """See Trial."""
        self.problem.weights()[name].data.copy_(torch.from_numpy(value))

    def allows(self, name: str) -> bool:
        """See Trial: an implicit layer has to contract."""
        tensors = self.problem.field.tensors
        return name not in ("A", "K") or contraction(tensors["A"], tensors["K"]) <= MAX_CONTRACTION

    def loss(self, name: str) -> float:
        """See Trial."""
        measure, weight = (self.problem.rate_of, self.lam) if self.problem.spec.is_context(name) else (self.problem.distortion_of, 1.0)
        return weight * sum(measure(self._latents, window) for window in self._windows) / len(self._windows)


def _all_stages(term: LossTerm, told: Callable[[], None]) -> dict[str, WeightGroup] | None:
    """All tensors of a term of the loss, `told` after each stage; None where one fails or the other term has. Then the other term is abandoned."""
    groups: dict[str, WeightGroup] = {}
    at = (0, FIRST_SHIFT)
    try:
        for number in range(len(term.stages)):
            found = _stage(term, number, at)
            if found is None:
                term.abandoned.set()
                return None
            groups |= found[0]
            at = found[1]
            told()
    except Abandoned:
        return None
    except BaseException:
        term.abandoned.set()
        raise
    return groups


def _stage(term: LossTerm, number: int, at: tuple[int, int]) -> tuple[dict[str, WeightGroup], tuple[int, int]] | None:
    """Quantise the tensors of a stage, beginning at the damping and step size `at` in their units; and where they ended.

    None where every try has an infinite cost.
    """
    names, rest = term.stages[number], [name for stage in term.stages[number:] for name in stage]
    matrix = term.hessian(rest)
    term.newton(rest, matrix, FIRST_DAMPING / DAMPING)
    start = term.flat(rest)
    prior = np.concatenate([term.prior[name].ravel() for name in rest])
    tried: dict[tuple[int, int], tuple[float, dict[str, WeightGroup], Float64Array]] = {}
    factors: dict[int, Float64Array] = {}

    def cost(unit: int, shift: int) -> float:
        if not (LEAST_UNIT <= unit <= MOST_UNIT and LEAST_SHIFT <= shift <= MOST_SHIFT):
            return math.inf
        if (unit, shift) not in tried:
            if unit not in factors:
                factors[unit] = np.linalg.cholesky(np.linalg.inv(damped(matrix, FIRST_DAMPING * DAMPING**unit))).T
            shapes = {name: term.prior[name].shape for name in names}
            groups, values = _quantise(start - prior, factors[unit], shapes, [term.max_exponent(name) for name in names], shift / SHIFTS_PER_OCTAVE)
            term.load(rest, values + prior)
            found = term.cost() + sum(group_bits(group) for group in groups.values())
            tried[unit, shift] = found if math.isfinite(found) else math.inf, groups, values + prior
        return tried[unit, shift][0]

    best, previous = at, None
    while cost(*best) == math.inf and best != (MOST_UNIT, MOST_SHIFT):  # towards plain rounding in small steps
        best = (min(best[0] + 2, MOST_UNIT), min(best[1] + 1, MOST_SHIFT))
    while best != previous:
        previous = best
        around = [(best[0] + a, best[1] + b) for a, b in itertools.product((0, -1, 1), (0, -1, 1)) if not a or not b]
        best = min(around, key=lambda place: cost(*place))
    least, groups, values = tried[best]
    term.load(rest, values)
    return None if least == math.inf else (groups, best)


def _quantise(
    x: Float64Array, factor: Float64Array, shapes: dict[str, tuple[int, ...]], largest: Sequence[int], shift: float
) -> tuple[dict[str, WeightGroup], Float64Array]:
    """Round the first tensors of `x` one number after the other, each error followed by all numbers after it.

    Args:
        x: the weights less their prior.
        factor: upper Cholesky factor of the inverse of H.
        shapes: of the tensors to be rounded.
        largest: exponents of their steps.
        shift: octaves by which the steps are finer than that at which an error's cost is that of an ideal entropy-coded quantiser.

    Returns:
        The groups by name, and all of `x`, rounded and moved.
    """
    x, groups, begin = x.copy(), {}, 0
    left = np.diag(factor) ** -2.0  # h of the module's docstring
    for (name, shape), limit in zip(shapes.items(), largest, strict=True):
        end = begin + math.prod(shape)
        # The error costs h step^2 / 24 on average and the bits are -log2(step): least where h step^2 / 12 = 1 / ln 2.
        ideal = math.sqrt(12 / math.log(2)) * math.exp(-0.5 * float(np.log(left[begin:end]).mean()))
        room = math.floor(math.log2(LIMIT / 2 / max(float(np.abs(x[begin:end]).max()), 2.0**-limit)))
        exponent = max(min(round(shift - math.log2(ideal)), limit, room), 0)
        symbols = np.zeros(end - begin, np.int64)
        plain = np.rint(x[begin:end] * 2.0**exponent).clip(-LIMIT, LIMIT)
        price = symbol_bits(weight_bits(plain.astype(np.int64))[1])
        for i in range(begin, end):
            value = x[i] * 2.0**exponent
            low = min(max(math.floor(value), -LIMIT), LIMIT - 1)  # what is too far for the format is cut
            choices = (low, low + 1)
            costs = [left[i] / 2 * ((value - q) * 2.0**-exponent) ** 2 + price[q + LIMIT] for q in choices]
            q = choices[int(costs[1] < costs[0])]
            symbols[i - begin] = q
            x[i + 1 :] -= (x[i] - q * 2.0**-exponent) / factor[i, i] * factor[i, i + 1 :]
            x[i] = q * 2.0**-exponent
        groups[name] = WeightGroup(symbols=symbols.reshape(shape), exponent=exponent)
        begin = end
    return groups, x


def _begin(problem: Problem, fitted: FittedPyramid) -> list[Tensor]:
    """Load what a fit found; the latents."""
    for name, tensor in problem.weights().items():
        tensor.data.copy_(torch.from_numpy(fitted.weights[name]))
    return [torch.from_numpy(grid.astype(np.float32))[None, None].to(problem.device) for grid in fitted.latents]
