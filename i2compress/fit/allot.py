"""The weights of a finished fit once more, in fewer or in more bits: what brings a file to a size without another fit.

A tensor may have other steps than it got, and be rounded towards its prior, which takes fewer bits than rounding to the nearest. What each of these
choices does to the loss is measured. The context model comes first, tensor after tensor: all that its errors cost is bits of latents, so what makes
these and it smaller costs nothing. If that is not enough, what costs least for each bit of the field is done, one change after the other, until the
budget is kept: a walk along the convex hulls of the tensors' choices (Shoham and Gersho 1988). Together changes can do more harm than alone, as when
two tensors shrink the same values; so each is measured again where the walk has come to, and undone if it is too dear.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..coding.laplace import LIMIT
from ..coding.weights import WeightGroup
from .quantise import Quantised, Trial, group_bits, load, search

NEAREST = 0.5
# Octaves by which the steps of a tensor become finer, and what a magnitude gets then before it is cut to an integer; first what there is.
CHOICES = ((0, NEAREST), (0, 0.42), (0, 0.34), (0, 0.26), (-1, NEAREST), (-1, 0.4), (-1, 0.3), (-2, NEAREST), (1, NEAREST))
# What a bit more has to save and what a bit less may cost, in bits: bits that are worth less only fill the file, and what is dearer spoils more than
# another fit costs.
LEAST, MOST = 0.5, 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """One way to write a tensor: its bits, and what latents take more with it; and what its errors cost, in bits at the fit's lambda."""

    group: WeightGroup
    bits: float
    harm: float


def allotted(
    trial: Trial,
    exponents: dict[str, int],
    budget: float,
    *,
    is_context: Callable[[str], bool],
    on_tensor: Callable[[int, int], None] | None = None,
) -> Quantised:
    """The integers for a trial's weights in so many bits; its field is left holding the values of those.

    They take more than that where fewer would do much harm, and less where more would do no good.

    Args:
        trial: what is quantised.
        exponents: of the steps that its tensors have, by name.
        budget: bits of them all, and what latents take more with them than with those steps.
        is_context: whether a tensor belongs to the context model, and so only makes latents take other bits.
        on_tensor: called with the tensors that are done, and how many there are.
    """
    before = {name: _rounded(trial, name, exponents[name], NEAREST) for name in trial.prior}
    groups = {name: group for name, group in before.items() if group is not None}
    for name, group in groups.items():
        load(trial, name, group)
    if len(groups) < len(before) or not all(trial.allows(name) for name in groups):  # they are differences from other weights than before
        return search(trial, on_tensor)
    bits = sum(group_bits(group) for group in groups.values())
    fewer = bits > budget
    tables: dict[str, list[Choice]] = {}
    for number, name in enumerate(sorted(groups, key=is_context, reverse=True)):
        if fewer and is_context(name) and bits > budget:
            found = _choices(trial, name, groups[name], context=True)
            enough = [choice for choice in found if choice.bits - found[0].bits <= budget - bits]
            taken = max(enough, key=_bits) if enough else min(found, key=_bits)
            groups[name], bits = taken.group, bits + taken.bits - found[0].bits
        elif not is_context(name) and (bits > budget or not fewer):
            tables[name] = _choices(trial, name, groups[name], context=False)
        load(trial, name, groups[name])
        if on_tensor is not None:
            on_tensor(number + 1, len(groups))
    groups |= _walk(trial, tables, budget - bits + sum(group_bits(groups[name]) for name in tables))
    return Quantised(groups=groups, bits=sum(group_bits(group) for group in groups.values()))


def _choices(trial: Trial, name: str, group: WeightGroup, *, context: bool) -> list[Choice]:
    """All ways to write a tensor that a decoder takes; first the one that it is written in."""
    now, found = 0.0, list[Choice]()
    for finer, rounding in CHOICES:
        exponent = group.exponent + finer
        other = _rounded(trial, name, exponent, rounding) if 0 <= exponent <= trial.max_exponent(name) else None
        if other is None:
            continue
        load(trial, name, other)
        if trial.allows(name):
            cost = _cost(trial, name)
            now = now if found else cost
            found.append(Choice(group=other, bits=group_bits(other) + (cost - now if context else 0.0), harm=0.0 if context else cost))
    return found


def _walk(trial: Trial, choices: dict[str, list[Choice]], budget: float) -> dict[str, WeightGroup]:
    """Where it comes to from the first choice of each tensor, which the trial holds: to no more bits than the budget, as far as that is worth it."""
    chosen = {name: of_tensor[0] for name, of_tensor in choices.items()}
    bits, refused = sum(choice.bits for choice in chosen.values()), set[Choice]()
    fewer = bits > budget
    for name, then in _steps(choices, fewer=fewer):
        if fewer and bits <= budget:
            break
        if fewer and bits - chosen[name].bits + then.bits <= budget:
            name, then = _last(chosen, choices, budget - bits, refused) or (name, then)
        now = chosen[name]
        saved, cost = now.bits - then.bits, _cost(trial, name)
        if then in refused or (not fewer and bits - saved > budget):
            continue
        load(trial, name, then.group)
        if trial.allows(name) and _cost(trial, name) - cost <= (MOST if fewer else LEAST) * saved:
            chosen[name], bits = then, bits - saved
        else:
            refused.add(then)
            load(trial, name, now.group)
    return {name: choice.group for name, choice in chosen.items()}


def _last(chosen: dict[str, Choice], choices: dict[str, list[Choice]], more: float, refused: set[Choice]) -> tuple[str, Choice] | None:
    """Of all single changes after which there are at most so many bits more, below 0, the one that does least harm; None where there is none."""
    enough = [(name, choice) for name, now in chosen.items() for choice in choices[name] if choice.bits - now.bits <= more and choice not in refused]
    return min(enough, key=lambda change: change[1].harm - chosen[change[0]].harm, default=None)


def _steps(choices: dict[str, list[Choice]], *, fewer: bool) -> list[tuple[str, Choice]]:
    """Changes of tensors that are worth it, the best first, along the hulls of each one's choices."""
    way, limit = (1, MOST) if fewer else (-1, -LEAST)
    hulls = ((name, _hull(of_tensor, way)) for name, of_tensor in choices.items())
    steps = [(way * _price(*pair), name, pair[1]) for name, hull in hulls for pair in itertools.pairwise(hull)]
    return [(name, choice) for price, name, choice in sorted(steps, key=lambda step: step[0]) if price <= limit]


def _hull(choices: Sequence[Choice], way: int) -> list[Choice]:
    """From the first choice on, those that are best under some price of a bit: to fewer bits where `way` is 1, to more where it is -1."""
    hull = [choices[0]]
    while beyond := [choice for choice in choices if way * (hull[-1].bits - choice.bits) > 0]:
        hull.append(min(beyond, key=lambda choice: (way * _price(hull[-1], choice), choice.bits)))
    return hull


def _bits(choice: Choice) -> float:
    return choice.bits


def _price(now: Choice, then: Choice) -> float:
    """What each bit less costs, or each bit more saves."""
    return (then.harm - now.harm) / (now.bits - then.bits)


def _cost(trial: Trial, name: str) -> float:
    """The loss in bits as far as a tensor matters, its own left out."""
    return trial.loss(name) * trial.samples / trial.lam


def _rounded(trial: Trial, name: str, exponent: int, rounding: float) -> WeightGroup | None:
    """A tensor in steps of 2**-exponent; None where the format does not hold it."""
    scaled = (trial.weights[name] - trial.prior[name]) * 2.0**exponent
    nearest = np.round(scaled) if rounding == NEAREST else np.sign(scaled) * np.floor(np.abs(scaled) + rounding)
    symbols = nearest.astype(np.int64)
    if exponent == 0:  # what is too far is cut, as in search
        symbols = symbols.clip(-LIMIT, LIMIT)
    return None if np.abs(symbols).max(initial=0) > LIMIT else WeightGroup(symbols=symbols, exponent=exponent)
