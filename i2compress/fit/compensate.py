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
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..coding.laplace import LIMIT
from ..coding.weights import WeightGroup, symbol_bits, weight_bits
from ..field.spatial import contraction
from ..field.spec import MAX_CONTRACTION
from .loop import Fitted, Problem
from .network_bits import NETWORK, fisher_information, inputs, outputs
from .parallel import Pair
from .quantise import HEADER_BITS, Quantised, search
from .windows import Window, cut, cut_all, windows

SAMPLES = 12288  # places whose outputs are differentiated
DIFFERENCE = 2.0**-10  # of a weight, for finite differences
SAMPLE_CORE = {2: 64, 3: 16}  # side of the windows that the places are in
PATCH = {2: 40, 3: 16}  # side of the part of each that the field is solved on
MARGIN = 4  # of it, whose values its end reaches
LOSS_CORE = {2: 256, 3: 32}  # side of the windows on which the true loss is measured
SAMPLE_WINDOWS, LOSS_WINDOWS, TRIAL_WINDOWS = 16, 6, 2
FLOOR = 300.0  # bits that a move of 1 costs beside what H says, times two: H may not have seen where a weight matters

DAMPING = 3.0  # a unit of damping is a factor so large
FIRST_DAMPING = 0.1
LEAST_UNIT, MOST_UNIT = -3, 7
FIRST_SHIFT, SHIFTS_PER_OCTAVE = 1, 2
LEAST_SHIFT, MOST_SHIFT = -4, 8
NEWTON_STEPS = (1.0, 0.5, 0.25)

FloatArray = npt.NDArray[np.float64]


class _Abandoned(Exception):
    """The other half has failed, or was interrupted."""


class Half(ABC):
    """One of the two sums of the loss, and the tensors that it alone depends on.

    Args:
        tensors: by name.
        prior: what they are coded as differences from.
        stages: their names in the order in which they are quantised.
        max_exponent: of a tensor's step 2**-e.
    """

    def __init__(
        self, tensors: dict[str, Tensor], prior: dict[str, FloatArray], stages: Sequence[Sequence[str]], max_exponent: Callable[[str], int]
    ) -> None:
        self.tensors, self.prior, self.max_exponent = tensors, prior, max_exponent
        self.abandoned = threading.Event()
        self.stages = [present for stage in stages if (present := [name for name in stage if name in tensors])]

    @abstractmethod
    def outputs(self, changed: str | None = None) -> Tensor:
        """`[O, M]` at the sampled places, after only tensor `changed` was changed since the call with None."""

    @abstractmethod
    def bend(self, jacobian: Tensor) -> Tensor:
        """F times the derivatives `[P, O, M]`, in bits of the whole signal."""

    @abstractmethod
    def bits(self) -> Tensor:
        """The true cost in bits of the whole signal, a differentiable scalar; infinite where the weights are not allowed."""

    def load(self, names: Sequence[str], values: FloatArray) -> None:
        """Set tensors to consecutive parts of `values`."""
        for name, part in zip(names, np.split(values, np.cumsum([self.tensors[name].numel() for name in names])[:-1]), strict=True):
            self.tensors[name].data.copy_(torch.from_numpy(part.reshape(self.tensors[name].shape)))

    def flat(self, names: Sequence[str]) -> FloatArray:
        """The tensors' values, one after the other."""
        return np.concatenate([self.tensors[name].detach().cpu().double().numpy().ravel() for name in names])

    def cost(self) -> float:
        """`bits` as a number.

        Raises:
            _Abandoned: what is asked for is no longer wanted.
        """
        self._check()
        with torch.no_grad():
            return float(self.bits())

    def _check(self) -> None:
        if self.abandoned.is_set():
            raise _Abandoned

    def hessian(self, names: Sequence[str]) -> FloatArray:
        """The Gauss-Newton matrix of the tensors."""
        with torch.no_grad():
            base = self.outputs()
            columns = torch.empty(sum(self.tensors[name].numel() for name in names), *base.shape, device=base.device)
            column = 0
            for name in names:
                self._check()
                values = self.tensors[name].data.view(-1)
                for index in range(len(values)):
                    kept = values[index].clone()
                    values[index] += DIFFERENCE
                    columns[column] = (self.outputs(name) - base) / (values[index] - kept)
                    values[index] = kept
                    column += 1
                self.outputs(name)
            product = self.bend(columns).flatten(1) @ columns.flatten(1).t()
        matrix = product.cpu().double().numpy()
        return np.asarray((matrix + matrix.T) / 2)

    def newton(self, names: Sequence[str], matrix: FloatArray) -> None:
        """Move the tensors towards the least true cost, where that lowers it."""
        cost = self.bits()
        gradients = torch.autograd.grad(cost, [self.tensors[name] for name in names], allow_unused=True)
        zeros = [torch.zeros_like(self.tensors[name]) if g is None else g for name, g in zip(names, gradients, strict=True)]
        gradient = np.concatenate([g.cpu().double().numpy().ravel() for g in zeros])
        start, least = self.flat(names), float(cost.detach())
        step = np.linalg.solve(_damped(matrix, FIRST_DAMPING / DAMPING), gradient)
        for length in NEWTON_STEPS:
            self.load(names, start - length * step)
            if self.cost() < least:
                return
        self.load(names, start)


class FieldHalf(Half):
    """The distortion, and the field's tensors; its outputs are those of patches side by side."""

    def __init__(self, problem: Problem, latents: list[Tensor]) -> None:
        stages = [["A", "K", "R1", "R2", "up"], ["B", "c"], ["W", "S", "b"]]
        super().__init__(dict(problem.field.tensors), problem.prior, stages, problem.spec.max_exponent)
        self.problem, self.latents = problem, latents
        self.measured = _spread(problem, LOSS_CORE, LOSS_WINDOWS)
        self._seen = [(cut_all(latents, window), window) for window in _spread(problem, SAMPLE_CORE, SAMPLE_WINDOWS)]
        axes = problem.spec.axes
        sizes = [min(PATCH[axes], *(part.stop - part.start for part in parts)) for parts in zip(*(w.whole[0] for _, w in self._seen), strict=True)]
        self._patches = [tuple(_middle(part.stop - part.start, size) for part, size in zip(w.whole[0], sizes, strict=True)) for _, w in self._seen]
        inside = torch.zeros(sizes, dtype=torch.bool)
        inside[tuple(slice(MARGIN, size - MARGIN) if size > 2 * MARGIN else slice(None) for size in sizes)] = True
        places = torch.cat([inside] * len(self._seen), -1).flatten().nonzero()[:, 0].to(problem.device)
        self._places = places[_chosen(len(places), problem.device)]
        self._weight = torch.ones(problem.spec.channels, len(self._places), device=problem.device)
        if problem.importance is not None:
            weights = [cut(cut(problem.importance, window.whole[0]), patch) for (_, window), patch in zip(self._seen, self._patches, strict=True)]
            self._weight = torch.cat(weights, -1)[0].flatten(1)[:, self._places]
        self._weight *= 2 * _samples(problem) / (problem.lam * problem.spec.channels * len(self._places))
        self._features = torch.empty(0)

    def outputs(self, changed: str | None = None) -> Tensor:
        """See Half."""
        field = self.problem.field
        if changed in (None, "up"):
            whole = [field.features(latents, window.origins) for latents, window in self._seen]
            self._features = torch.cat([cut(h, patch) for h, patch in zip(whole, self._patches, strict=True)], -1)
        return field.values(self._features)[0].flatten(1)[:, self._places]

    def bend(self, jacobian: Tensor) -> Tensor:
        """See Half: the squared error has the same curvature everywhere."""
        return jacobian * self._weight

    def bits(self) -> Tensor:
        """See Half."""
        tensors, problem = self.tensors, self.problem
        if "A" in tensors and contraction(tensors["A"], tensors["K"]) > MAX_CONTRACTION:
            return torch.tensor(math.inf)
        parts = [problem.distortion(cut_all(self.latents, window), window) for window in self.measured]
        return torch.stack(parts).mean() * (_samples(problem) / problem.lam)


class ContextHalf(Half):
    """The rate, and the tensors of the context model."""

    def __init__(self, problem: Problem, latents: list[Tensor]) -> None:
        maps = [name for name in problem.context.tensors if name not in NETWORK]
        super().__init__(
            dict(problem.context.tensors), problem.prior, [[*maps, "w1", "b1"], ["w2", "b2"], ["w3", "b3", "ws"]], problem.spec.max_exponent
        )
        self.problem, self.latents = problem, latents
        sampled, self.measured = _spread(problem, SAMPLE_CORE, SAMPLE_WINDOWS), _spread(problem, LOSS_CORE, LOSS_WINDOWS)
        self._seen = [(cut_all(latents, window), window) for window in sampled]
        self._inputs: list[list[Tensor]] = []
        self._x = torch.empty(0)
        counts = [math.prod(part.stop - part.start for part in window.core[g]) for g in range(len(latents)) for window in sampled]
        self._places = _chosen(sum(counts), problem.device)
        area = sum(math.prod(part.stop - part.start for part in window.core[0]) for window in sampled)
        self._scale = math.prod(problem.spec.grid) / area * sum(counts) / len(self._places)
        self._fisher = torch.empty(0)

    def outputs(self, changed: str | None = None) -> Tensor:
        """See Half."""
        context = self.problem.context
        maps = changed is not None and changed not in NETWORK
        if changed is None:
            self._inputs = [self._of_grid(number) for number in range(len(self.latents))]
        elif maps:
            number = int(changed.removeprefix("m"))
            self._inputs[number] = self._of_grid(number)
        if changed is None or maps:
            self._x = torch.cat([x for parts in self._inputs for x in parts], 1)[:, self._places]
        found = outputs([context.tensors[name] for name in NETWORK], self._x)
        if changed is None:
            self._fisher = fisher_information(found) * self._scale
        return found

    def _of_grid(self, number: int) -> list[Tensor]:
        context = self.problem.context
        return [inputs(context.offsets, context.grid(latents, number, window)) for latents, window in self._seen]

    def bend(self, jacobian: Tensor) -> Tensor:
        """See Half: the Fisher information of the discretised Laplace distribution."""
        (mean, both), (_, scale) = self._fisher
        return torch.stack([jacobian[:, 0] * mean + jacobian[:, 1] * both, jacobian[:, 0] * both + jacobian[:, 1] * scale], 1)

    def bits(self) -> Tensor:
        """See Half."""
        parts = [self.problem.rate(cut_all(self.latents, window), window) for window in self.measured]
        return torch.stack(parts).mean() * _samples(self.problem)


def quantise(problem: Problem, fitted: Fitted, on_part: Callable[[int, int], None] | None = None) -> Quantised:
    """The integers for `fitted`'s weights; the problem's networks are left holding the values that the decoder will see.

    With compensation where the fit says so, else tensor by tensor.

    Args:
        problem, fitted: a fit and what it found.
        on_part: called with the parts of the weights that are done, and how many there are.
    """
    found = compensated(problem, fitted, on_part) if fitted.compensate else None
    return search(PyramidTrial(problem, fitted), on_part) if found is None else found


def compensated(problem: Problem, fitted: Fitted, on_stage: Callable[[int, int], None] | None = None) -> Quantised | None:
    """As `quantise`, with compensation in any case; None where it finds nothing that is allowed."""
    latents = _begin(problem, fitted)
    field, context = FieldHalf(problem, latents), ContextHalf(problem, latents)
    stages = field.stages + context.stages
    done: list[None] = []

    def tell() -> None:
        if on_stage is not None:
            on_stage(len(done), len(stages))

    def both() -> None:
        done.append(None)
        tell()

    # What is asked to report progress is called in this thread only.
    pair = Pair(problem.device, math.prod(problem.spec.grid))
    context.abandoned = field.abandoned
    parts = pair(lambda: _all_stages(field, both), lambda: _all_stages(context, lambda: done.append(None)))
    tell()
    if parts[0] is None or parts[1] is None:
        return None
    groups = {name: (parts[0] | parts[1])[name] for name in problem.prior}
    return Quantised(groups=groups, bits=sum(_group_bits(group) for group in groups.values()))


class PyramidTrial:
    """A pyramid whose tensors are quantised one by one; see quantise.Trial."""

    def __init__(self, problem: Problem, fitted: Fitted) -> None:
        self.problem = problem
        self.weights, self.prior, self.lam, self.samples = fitted.weights, problem.prior, problem.lam, _samples(problem)
        self.max_exponent = problem.spec.max_exponent
        self._latents = _begin(problem, fitted)
        self._windows = _spread(problem, LOSS_CORE, TRIAL_WINDOWS)

    def load(self, name: str, value: FloatArray) -> None:
        """See Trial."""
        self.problem.weights()[name].data.copy_(torch.from_numpy(value))

    def loss(self, name: str) -> float:
        """See Trial."""
        half, weight = (self.problem.rate_of, self.lam) if self.problem.spec.is_context(name) else (self.problem.distortion_of, 1.0)
        return weight * sum(half(self._latents, window) for window in self._windows) / len(self._windows)


def _all_stages(half: Half, told: Callable[[], None]) -> dict[str, WeightGroup] | None:
    """All tensors of a half, `told` after each stage; None where one fails or the other half has. Then the other half is abandoned."""
    groups: dict[str, WeightGroup] = {}
    at = (0, FIRST_SHIFT)
    try:
        for number in range(len(half.stages)):
            found = _stage(half, number, at)
            if found is None:
                half.abandoned.set()
                return None
            groups |= found[0]
            at = found[1]
            told()
    except _Abandoned:
        return None
    except BaseException:
        half.abandoned.set()
        raise
    return groups


def _stage(half: Half, number: int, at: tuple[int, int]) -> tuple[dict[str, WeightGroup], tuple[int, int]] | None:
    """Quantise the tensors of a stage, beginning at the damping and step size `at` in their units; and where they ended.

    None where every try has an infinite cost.
    """
    names, rest = half.stages[number], [name for stage in half.stages[number:] for name in stage]
    matrix = half.hessian(rest)
    half.newton(rest, matrix)
    start = half.flat(rest)
    prior = np.concatenate([half.prior[name].ravel() for name in rest])
    tried: dict[tuple[int, int], tuple[float, dict[str, WeightGroup], FloatArray]] = {}
    factors: dict[int, FloatArray] = {}

    def cost(unit: int, shift: int) -> float:
        if not (LEAST_UNIT <= unit <= MOST_UNIT and LEAST_SHIFT <= shift <= MOST_SHIFT):
            return math.inf
        if (unit, shift) not in tried:
            if unit not in factors:
                factors[unit] = np.linalg.cholesky(np.linalg.inv(_damped(matrix, FIRST_DAMPING * DAMPING**unit))).T
            shapes = {name: half.prior[name].shape for name in names}
            groups, values = _quantise(start - prior, factors[unit], shapes, [half.max_exponent(name) for name in names], shift / SHIFTS_PER_OCTAVE)
            half.load(rest, values + prior)
            found = half.cost() + sum(_group_bits(group) for group in groups.values())
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
    half.load(rest, values)
    return None if least == math.inf else (groups, best)


def _quantise(
    x: FloatArray, factor: FloatArray, shapes: dict[str, tuple[int, ...]], largest: Sequence[int], shift: float
) -> tuple[dict[str, WeightGroup], FloatArray]:
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


def _damped(matrix: FloatArray, damping: float) -> FloatArray:
    diagonal = np.diag(matrix)
    return matrix + np.diag(damping * diagonal + FLOOR)


def _group_bits(group: WeightGroup) -> float:
    return weight_bits(group.symbols)[0] + HEADER_BITS


def _samples(problem: Problem) -> float:
    return math.prod(problem.spec.grid) * problem.samples


def _spread(problem: Problem, cores: dict[int, int], count: int) -> list[Window]:
    """At most so many windows, spread over the signal."""
    pieces = windows(problem.spec, cores[problem.spec.axes])
    return pieces[len(pieces) // (2 * count) :: math.ceil(len(pieces) / count)]


def _begin(problem: Problem, fitted: Fitted) -> list[Tensor]:
    """Load what a fit found; the latents."""
    for name, tensor in problem.weights().items():
        tensor.data.copy_(torch.from_numpy(fitted.weights[name]))
    return [torch.from_numpy(grid.astype(np.float32))[None, None].to(problem.device) for grid in fitted.latents]


def _middle(size: int, wanted: int) -> slice:
    start = (size - wanted) // 2
    return slice(start, start + wanted)


def _chosen(count: int, device: torch.device) -> Tensor:
    """At most SAMPLES of that many places, in order, the same every time."""
    return torch.from_numpy(np.sort(np.random.default_rng(0).permutation(count)[:SAMPLES])).to(device)
