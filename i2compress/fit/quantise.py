"""A field's weights to integers, tensor by tensor: the step of each tensor that makes D + lambda R least, R with the bits of the weights.

Tensors are taken one after the other; those already done are held at their quantised values, so later ones can answer
for earlier ones. The search over exponents is a descent from the neighbour's best, since the cost is unimodal but for noise.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..arrays import Float64Array
from ..coding.laplace import LIMIT
from ..coding.weights import WeightGroup, weight_bits
from ..field.spec import Arrays

FIRST_EXPONENT = 6
HEADER_BITS = 7.0  # what a group takes for its exponent and its scale


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """Integer weights by name, in the order of the spec, and their bits; `moved`: what they are rounded from are no longer the fitted values."""

    groups: dict[str, WeightGroup]
    bits: float
    moved: bool = False


class Trial(Protocol):
    """A field whose weights are to be quantised: what they start from, and what a value of them costs.

    `weights` are the fitted values and `prior` what they are coded as differences from, by name in the order of the file;
    `lam` is the rate weight a sample, `samples` how many there are.
    """

    weights: Arrays
    prior: Arrays
    lam: float
    samples: float

    def max_exponent(self, name: str) -> int:
        """Largest exponent e of a tensor's step 2**-e."""

    def load(self, name: str, value: Float64Array) -> None:
        """Set one tensor of the field."""

    def allows(self, name: str) -> bool:
        """Whether a decoder would take tensor `name` as it is."""

    def loss(self, name: str) -> float:
        """What the field's values cost as far as tensor `name` matters, bits of weights left out."""


def search(trial: Trial, on_tensor: Callable[[int, int], None] | None = None, *, until: float = math.inf) -> Quantised:
    """The integers for a trial's weights; its field is left holding the values that the decoder will see.

    Args:
        trial: what is quantised.
        on_tensor: called with the tensors that are done, and how many there are.
        until: the time.monotonic() after which tensors get the step of those before them, and no loss is measured any more.
    """
    groups: dict[str, WeightGroup] = {}
    exponent, bits = FIRST_EXPONENT, 0.0
    for number, name in enumerate(trial.prior):
        groups[name], cost = _best(trial, name, exponent, until)
        exponent, bits = groups[name].exponent, bits + cost
        if on_tensor is not None:
            on_tensor(number + 1, len(trial.prior))
    return Quantised(groups=groups, bits=bits)


def _best(trial: Trial, name: str, start: int, until: float) -> tuple[WeightGroup, float]:
    """The group of least cost and its bits; its dequantised values are left in the network."""
    costs: dict[int, tuple[float, WeightGroup, float]] = {}
    largest, measured = trial.max_exponent(name), time.monotonic() < until

    def cost(exponent: int) -> float:
        if not 0 <= exponent <= largest:
            return math.inf
        if exponent not in costs:
            costs[exponent] = _cost(trial, name, exponent, measured=measured)
        return costs[exponent][0]

    # The nearest step that is allowed: coarser ones are where symbols are too large, finer ones where a field would not contract.
    at = next((e for e in sorted(range(largest + 1), key=lambda e: abs(e - start)) if cost(e) < math.inf), 0)
    for way in (1, -1):
        # Two steps ahead, because one may be a ripple.
        while time.monotonic() < until and min(cost(at + way), cost(at + 2 * way)) < cost(at):
            at += way
    at = min(costs, key=lambda e: costs[e][0])
    _, group, bits = costs[at]
    load(trial, name, group)
    return group, bits


def _cost(trial: Trial, name: str, exponent: int, *, measured: bool) -> tuple[float, WeightGroup, float]:
    symbols = np.round((trial.weights[name] - trial.prior[name]) * 2.0**exponent).astype(np.int64)
    if exponent == 0:  # the coarsest step: what is still too far is cut
        symbols = symbols.clip(-LIMIT, LIMIT)
    if np.abs(symbols).max(initial=0) > LIMIT:
        return math.inf, WeightGroup(symbols=np.zeros_like(symbols), exponent=exponent), math.inf
    group = WeightGroup(symbols=symbols, exponent=exponent)
    load(trial, name, group)
    if not trial.allows(name):
        return math.inf, group, math.inf
    bits = group_bits(group)
    return (trial.loss(name) if measured else 0.0) + trial.lam * bits / trial.samples, group, bits


def group_bits(group: WeightGroup) -> float:
    """What a group takes in a file, about."""
    return weight_bits(group.symbols)[0] + HEADER_BITS


def load(trial: Trial, name: str, group: WeightGroup) -> None:
    """Set one tensor of a trial's field to what a decoder makes of a group."""
    trial.load(name, trial.prior[name] + group.symbols * 2.0**-group.exponent)
