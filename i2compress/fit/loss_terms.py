"""The two terms of the loss as functions of the weights that each alone depends on; see compensate.

The distortion depends on the tensors of the field, the rate on those of the context model, and both are quantised and
measured without regard to the other. Each knows its outputs at sampled places, how its cost bends with them, and its true cost.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Float64Array
from ..coding.context_model import NETWORK
from ..field.spatial import contraction
from ..field.spec import MAX_CONTRACTION
from .network_bits import fisher_information, inputs, outputs
from .problem import Problem
from .windows import Window, cut, cut_all, windows

DIFFERENCE = 2.0**-10  # by which a weight is changed for finite differences
FLOOR = 300.0  # bits that a move of 1 costs beside what H says, times two: H may not have seen where a weight matters
NEWTON_STEPS = (1.0, 0.5, 0.25)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """On which parts of a signal its loss is differentiated and measured. Pairs are for 2 and for 3 axes.

    Args:
        places: outputs that are differentiated.
        windows: in which they are, at most.
        sides: of those.
        patches: sides of the part of each that the field is solved on.
        margin: of a patch, whose values its end reaches.
        loss_windows: on which the true loss is measured, at most.
        loss_sides: of those.
    """

    places: int = 12288
    windows: int = 16
    sides: tuple[int, int] = (64, 16)
    patches: tuple[int, int] = (40, 16)
    margin: int = 4
    loss_windows: int = 6
    loss_sides: tuple[int, int] = (256, 32)


SAMPLING = Sampling()


class Abandoned(Exception):
    """The other term has failed, or was interrupted."""


class LossTerm(ABC):
    """One of the two sums of the loss, and the tensors that it alone depends on.

    Args:
        tensors: by name.
        prior: what they are coded as differences from.
        stages: their names in the order in which they are quantised.
        max_exponent: of a tensor's step 2**-e.
    """

    def __init__(
        self, tensors: dict[str, Tensor], prior: dict[str, Float64Array], stages: Sequence[Sequence[str]], max_exponent: Callable[[str], int]
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

    def load(self, names: Sequence[str], values: Float64Array) -> None:
        """Set tensors to consecutive parts of `values`."""
        for name, part in zip(names, np.split(values, np.cumsum([self.tensors[name].numel() for name in names])[:-1]), strict=True):
            self.tensors[name].data.copy_(torch.from_numpy(part.reshape(self.tensors[name].shape)))

    def flat(self, names: Sequence[str]) -> Float64Array:
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

    def hessian(self, names: Sequence[str]) -> Float64Array:
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

    def newton(self, names: Sequence[str], matrix: Float64Array, damping: float) -> None:
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


class DistortionTerm(LossTerm):
    """The distortion, and the field's tensors; its outputs are those of patches side by side."""

    def __init__(self, problem: Problem, latents: list[Tensor], sampling: Sampling = SAMPLING) -> None:
        stages = [["A", "K", "R1", "R2", "up"], ["B", "c"], ["W", "S", "b"]]
        super().__init__(dict(problem.field.tensors), problem.prior, stages, problem.spec.max_exponent)
        self.problem, self.latents = problem, latents
        self.measured = loss_windows(problem, sampling)
        self._seen = [(cut_all(latents, window), window) for window in _sampled(problem, sampling)]
        side, margin = sampling.patches[problem.spec.axes - 2], sampling.margin
        sizes = [min(side, *(part.stop - part.start for part in parts)) for parts in zip(*(w.whole[0] for _, w in self._seen), strict=True)]
        self._patches = [tuple(_middle(part.stop - part.start, size) for part, size in zip(w.whole[0], sizes, strict=True)) for _, w in self._seen]
        inside = torch.zeros(sizes, dtype=torch.bool)
        inside[tuple(slice(margin, size - margin) if size > 2 * margin else slice(None) for size in sizes)] = True
        places = torch.cat([inside] * len(self._seen), -1).flatten().nonzero()[:, 0].to(problem.device)
        self._places = places[_chosen(len(places), sampling, problem.device)]
        curvatures = [problem.distortion.curvature(window, patch) for (_, window), patch in zip(self._seen, self._patches, strict=True)]
        self._weight = torch.cat(curvatures, -1)[0].flatten(1)[:, self._places]
        self._weight *= samples(problem) / (problem.lam * problem.spec.channels * len(self._places))
        self._features = torch.empty(0)

    def outputs(self, changed: str | None = None) -> Tensor:
        """See LossTerm."""
        field = self.problem.field
        if changed in (None, "up"):
            whole = [field.features(latents, window.origins) for latents, window in self._seen]
            self._features = torch.cat([cut(h, patch) for h, patch in zip(whole, self._patches, strict=True)], -1)
        return field.values(self._features)[0].flatten(1)[:, self._places]

    def bend(self, jacobian: Tensor) -> Tensor:
        """See LossTerm."""
        return jacobian * self._weight

    def bits(self) -> Tensor:
        """See LossTerm."""
        tensors, problem = self.tensors, self.problem
        if "A" in tensors and contraction(tensors["A"], tensors["K"]) > MAX_CONTRACTION:
            return torch.tensor(math.inf)
        parts = [problem.distortion_on(cut_all(self.latents, window), window) for window in self.measured]
        return torch.stack(parts).mean() * (samples(problem) / problem.lam)


class RateTerm(LossTerm):
    """The rate, and the tensors of the context model."""

    def __init__(self, problem: Problem, latents: list[Tensor], sampling: Sampling = SAMPLING) -> None:
        plan = problem.spec.context.tensors
        stages = [[name for name in plan if plan[name].layer == layer] for layer in sorted({tensor.layer for tensor in plan.values()})]
        super().__init__(dict(problem.context.tensors), problem.prior, stages, problem.spec.max_exponent)
        self.problem, self.latents = problem, latents
        sampled, self.measured = _sampled(problem, sampling), loss_windows(problem, sampling)
        self._seen = [(cut_all(latents, window), window) for window in sampled]
        self._coded = [number for number in range(len(latents)) if number not in problem.silent]
        self._inputs: dict[int, list[Tensor]] = {}
        self._x = torch.empty(0)
        counts = [math.prod(part.stop - part.start for part in window.core[g]) for g in self._coded for window in sampled]
        self._places = _chosen(sum(counts), sampling, problem.device)
        area = sum(math.prod(part.stop - part.start for part in window.core[0]) for window in sampled)
        self._scale = math.prod(problem.spec.grid) / area * sum(counts) / len(self._places)
        self._fisher = torch.empty(0)

    def outputs(self, changed: str | None = None) -> Tensor:
        """See LossTerm."""
        context = self.problem.context
        maps = self.problem.spec.context.maps_by_name
        if changed is None:
            self._inputs = {number: self._of_grid(number) for number in self._coded}
        elif changed in maps and maps[changed] in self._coded:
            self._inputs[maps[changed]] = self._of_grid(maps[changed])
        if changed is None or changed in maps:
            self._x = torch.cat([x for parts in self._inputs.values() for x in parts], 1)[:, self._places]
        found = outputs([context.tensors[name] for name in NETWORK], self._x)
        if changed is None:
            self._fisher = fisher_information(found) * self._scale
        return found

    def _of_grid(self, number: int) -> list[Tensor]:
        context = self.problem.context
        return [inputs(context.offsets, context.grid(latents, number, window)) for latents, window in self._seen]

    def bend(self, jacobian: Tensor) -> Tensor:
        """See LossTerm: the Fisher information of the discretised Laplace distribution."""
        (mean, both), (_, scale) = self._fisher
        return torch.stack([jacobian[:, 0] * mean + jacobian[:, 1] * both, jacobian[:, 0] * both + jacobian[:, 1] * scale], 1)

    def bits(self) -> Tensor:
        """See LossTerm."""
        parts = [self.problem.rate_on(cut_all(self.latents, window), window) for window in self.measured]
        return torch.stack(parts).mean() * samples(self.problem)


def damped(matrix: Float64Array, damping: float) -> Float64Array:
    """`matrix` with its diagonal raised by that share of it, and by FLOOR."""
    diagonal = np.diag(matrix)
    return matrix + np.diag(damping * diagonal + FLOOR)


def samples(problem: Problem) -> float:
    """Samples of the signal, as its bits count them: see problem.SAMPLES_FLOOR."""
    return math.prod(problem.spec.grid) * problem.samples


def loss_windows(problem: Problem, sampling: Sampling, count: int | None = None) -> list[Window]:
    """At most `count` (None: as many as `sampling` says), spread over the signal, on which the true loss is measured."""
    return _spread(problem, sampling.loss_sides, count or sampling.loss_windows)


def _sampled(problem: Problem, sampling: Sampling) -> list[Window]:
    return _spread(problem, sampling.sides, sampling.windows)


def _spread(problem: Problem, sides: tuple[int, int], count: int) -> list[Window]:
    pieces = problem.telling(windows(problem.spec, sides[problem.spec.axes - 2], problem.distortion.reach))
    return pieces[len(pieces) // (2 * count) :: math.ceil(len(pieces) / count)]


def _middle(size: int, wanted: int) -> slice:
    start = (size - wanted) // 2
    return slice(start, start + wanted)


def _chosen(count: int, sampling: Sampling, device: torch.device) -> Tensor:
    """At most `sampling.places` of that many places, in order, the same every time."""
    return torch.from_numpy(np.sort(np.random.default_rng(0).permutation(count)[: sampling.places])).to(device)
