"""Float weights -> integers: the step of each tensor that makes D + lambda R least, R with the bits of the weights.

Tensors are taken one after the other; those already done are held at their quantised values, so later ones can answer
for earlier ones. The search over exponents is a descent from the neighbour's best, since the cost is unimodal but for noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..coding.laplace import LIMIT
from ..coding.weights import WeightGroup, weight_bits
from .loop import Fitted, Problem
from .windows import cut, windows

FIRST_EXPONENT = 6
HEADER_BITS = 7.0  # of a group: its exponent and its scale
SEARCH_CORE = {2: 256, 3: 32}  # side of the windows on which steps are tried
SEARCH_WINDOWS = 2


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """Integer weights by name, in the order of the spec, and their bits."""

    groups: dict[str, WeightGroup]
    bits: float


def quantise(problem: Problem, fitted: Fitted, on_tensor: Callable[[int, int], None] | None = None) -> Quantised:
    """The integers for `fitted`'s weights; the problem's networks are left holding the values that the decoder will see."""
    latents = [torch.from_numpy(grid.astype(np.float32))[None, None].to(problem.device) for grid in fitted.latents]
    search = _Search(problem, fitted, latents)
    groups: dict[str, WeightGroup] = {}
    exponent, bits = FIRST_EXPONENT, 0.0
    shapes = problem.spec.weight_shapes
    for number, name in enumerate(shapes):
        groups[name], cost = search.best(name, exponent)
        exponent, bits = groups[name].exponent, bits + cost
        if on_tensor is not None:
            on_tensor(number + 1, len(shapes))
    return Quantised(groups=groups, bits=bits)


class _Search:
    def __init__(self, problem: Problem, fitted: Fitted, latents: list[Tensor]) -> None:
        self.problem, self.fitted, self.latents = problem, fitted, latents
        self.tensors = problem.weights()
        self.samples = math.prod(problem.spec.grid) * problem.samples
        pieces = windows(problem.spec, SEARCH_CORE[problem.spec.axes])
        self.windows = pieces[len(pieces) // 3 :: max(1, math.ceil(len(pieces) / SEARCH_WINDOWS))] or pieces

    def best(self, name: str, start: int) -> tuple[WeightGroup, float]:
        """The group of least cost and its bits; its dequantised values are left in the network."""
        costs: dict[int, tuple[float, WeightGroup, float]] = {}
        largest = self.problem.spec.max_exponent(name)

        def cost(exponent: int) -> float:
            if not 0 <= exponent <= largest:
                return math.inf
            if exponent not in costs:
                costs[exponent] = self._cost(name, exponent)
            return costs[exponent][0]

        at = min(start, largest)
        while cost(at) == math.inf and at > 0:
            at -= 1
        for way in (1, -1):
            # Two steps ahead, because one may be a ripple.
            while min(cost(at + way), cost(at + 2 * way)) < cost(at):
                at += way
        at = min(costs, key=lambda e: costs[e][0])
        _, group, bits = costs[at]
        self._load(name, group)
        return group, bits

    def _cost(self, name: str, exponent: int) -> tuple[float, WeightGroup, float]:
        symbols = np.round((self.fitted.weights[name] - self.problem.prior[name]) * 2.0**exponent).astype(np.int64)
        if np.abs(symbols).max(initial=0) > LIMIT:
            return math.inf, WeightGroup(symbols=np.zeros_like(symbols), exponent=exponent), math.inf
        group = WeightGroup(symbols=symbols, exponent=exponent)
        self._load(name, group)
        bits = weight_bits(symbols)[0] + HEADER_BITS
        return self._loss(self.problem.spec.is_context(name)) + self.problem.lam * bits / self.samples, group, bits

    def _load(self, name: str, group: WeightGroup) -> None:
        value = self.problem.prior[name] + group.symbols * 2.0**-group.exponent
        self.tensors[name].data.copy_(torch.from_numpy(value))

    def _loss(self, context: bool) -> float:
        """What this kind of tensor changes: R for the context model, D for the field."""
        total = 0.0
        with torch.no_grad():
            for window in self.windows:
                seen = [cut(grid, part) for grid, part in zip(self.latents, window.whole, strict=True)]
                total += self.problem.lam * float(self.problem.rate(seen, window)) if context else float(self.problem.distortion(seen, window))
        return total / len(self.windows)
