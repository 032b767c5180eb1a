"""The two halves of the loss as functions of the weights that each alone depends on; see compensate.

The distortion depends on the tensors of the field, the rate on those of the context model, and both are quantised and
measured without regard to the other. Each knows its outputs at sampled places, how its cost bends with them, and its true cost.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..coding.context_model import NETWORK
from ..field.spatial import contraction
from ..field.spec import MAX_CONTRACTION
from .loop import Problem
from .network_bits import fisher_information, inputs, outputs
from .windows import Window, cut, cut_all, windows

SAMPLES = 12288  # places whose outputs are differentiated
DIFFERENCE = 2.0**-10  # of a weight, for finite differences
SAMPLE_CORE = {2: 64, 3: 16}  # side of the windows that the places are in
PATCH = {2: 40, 3: 16}  # side of the part of each that the field is solved on
MARGIN = 4  # of it, whose values its end reaches
LOSS_CORE = {2: 256, 3: 32}  # side of the windows on which the true loss is measured
SAMPLE_WINDOWS, LOSS_WINDOWS = 16, 6
FLOOR = 300.0  # bits that a move of 1 costs beside what H says, times two: H may not have seen where a weight matters
NEWTON_STEPS = (1.0, 0.5, 0.25)

FloatArray = npt.NDArray[np.float64]


class Abandoned(Exception):
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
            Abandoned: what is asked for is no longer wanted.
        """
        self._check()
        with torch.no_grad():
            return float(self.bits())

    def _check(self) -> None:
        if self.abandoned.is_set():
            raise Abandoned

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

    def newton(self, names: Sequence[str], matrix: FloatArray, damping: float) -> None:
        """Move the tensors towards the least true cost, where that lowers it."""
        cost = self.bits()
        gradients = torch.autograd.grad(cost, [self.tensors[name] for name in names], allow_unused=True)
        zeros = [torch.zeros_like(self.tensors[name]) if g is None else g for name, g in zip(names, gradients, strict=True)]
        gradient = np.concatenate([g.cpu().double().numpy().ravel() for g in zeros])
        start, least = self.flat(names), float(cost.detach())
        step = np.linalg.solve(damped(matrix, damping), gradient)
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
        self.measured = loss_windows(problem, LOSS_WINDOWS)
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
        self._weight *= 2 * samples(problem) / (problem.lam * problem.spec.channels * len(self._places))
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
        return torch.stack(parts).mean() * (samples(problem) / problem.lam)


class ContextHalf(Half):
    """The rate, and the tensors of the context model."""

    def __init__(self, problem: Problem, latents: list[Tensor]) -> None:
        plan = problem.spec.context.tensors
        stages = [[name for name in plan if plan[name].layer == layer] for layer in sorted({tensor.layer for tensor in plan.values()})]
        super().__init__(dict(problem.context.tensors), problem.prior, stages, problem.spec.max_exponent)
        self.problem, self.latents = problem, latents
        sampled, self.measured = _spread(problem, SAMPLE_CORE, SAMPLE_WINDOWS), loss_windows(problem, LOSS_WINDOWS)
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
        maps = self.problem.spec.context.maps_by_name
        if changed is None:
            self._inputs = [self._of_grid(number) for number in range(len(self.latents))]
        elif changed in maps:
            self._inputs[maps[changed]] = self._of_grid(maps[changed])
        if changed is None or changed in maps:
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
        return torch.stack(parts).mean() * samples(self.problem)


def damped(matrix: FloatArray, damping: float) -> FloatArray:
    """`matrix` with its diagonal raised by that share of it, and by FLOOR."""
    diagonal = np.diag(matrix)
    return matrix + np.diag(damping * diagonal + FLOOR)


def samples(problem: Problem) -> float:
    """Of the signal, as its bits count them: see SAMPLES_FLOOR of loop."""
    return math.prod(problem.spec.grid) * problem.samples


def loss_windows(problem: Problem, count: int) -> list[Window]:
    """At most so many, spread over the signal, on which the true loss is measured."""
    return _spread(problem, LOSS_CORE, count)


def _spread(problem: Problem, cores: dict[int, int], count: int) -> list[Window]:
    pieces = windows(problem.spec, cores[problem.spec.axes])
    return pieces[len(pieces) // (2 * count) :: math.ceil(len(pieces) / count)]


def _middle(size: int, wanted: int) -> slice:
    start = (size - wanted) // 2
    return slice(start, start + wanted)


def _chosen(count: int, device: torch.device) -> Tensor:
    """At most SAMPLES of that many places, in order, the same every time."""
    return torch.from_numpy(np.sort(np.random.default_rng(0).permutation(count)[:SAMPLES])).to(device)
