"""The weights of a finished fit once more, in fewer or in more bits: what brings a file to a size without another fit.

A tensor may have other steps than it got, and be rounded towards its prior, which takes fewer bits than rounding to the nearest. What each of these
choices does to the loss is measured one tensor at a time, the others as they are in the file. Then what costs least for each bit is done, one change
after the other, until the budget is kept: a walk along the convex hulls of the tensors' choices (Shoham and Gersho 1988).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..coding.laplace import LIMIT
from ..coding.weights import WeightGroup
from .quantise import Quantised, Trial, group_bits, load

NEAREST = 0.5
# Octaves by which the steps of a tensor become finer, and what a magnitude gets then before it is cut to an integer; first what there is.
CHOICES = ((0, NEAREST), (0, 0.42), (0, 0.34), (0, 0.26), (-1, NEAREST), (-1, 0.4), (-1, 0.3), (-2, NEAREST), (1, NEAREST))

# What a bit less may save and cost, in bits: bits that are worth less only fill the file, and what is dearer spoils more than another fit costs.
LEAST, MOST = 0.1, 4.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One way to write a tensor: its bits, and what latents take more with it; and what its errors cost, in bits at the fit's lambda."""

    group: WeightGroup
    bits: float
    harm: float


def allotted(
    trial: Trial,
    exponents: dict[str, int],
    share: float,
    *,
    is_context: Callable[[str], bool],
    on_tensor: Callable[[int, int], None] | None = None,
) -> Quantised:
    """The integers for a trial's weights in `share` of the bits that they take at given steps; its field is left holding the values of those.

    They take more than that where no choice is coarse enough, and less where finer ones make no errors less.

    Args:
        trial: what is quantised.
        exponents: of the steps that its tensors have, by name.
        share: of their bits, more than 0.
        is_context: whether a tensor belongs to the context model, and so only makes latents take other bits.
        on_tensor: called with the tensors that are done, and how many there are.
    """
    before = {name: _rounded(trial, name, exponents[name], NEAREST) for name in trial.prior}
    groups = {name: group for name, group in before.items() if group is not None}
    for name, group in groups.items():
        load(trial, name, group)
    choices: dict[str, list[Choice]] = {}
    for name, group in groups.items():
        found = _choices(trial, name, group, context=is_context(name))
        choices[name] = [min(found, key=lambda choice: choice.bits)] if is_context(name) else found
        load(trial, name, choices[name][0].group)  # of the field what there is
        if on_tensor is not None:
            on_tensor(len(choices), len(groups))
    chosen = _walk(choices, share * sum(group_bits(group) for group in groups.values()))
    for name, choice in chosen.items():
        load(trial, name, choice.group)
    refused = [name for name in groups if not trial.allows(name)]  # together, what each of them is allowed alone
    result = {name: groups[name] if name in refused else choice.group for name, choice in chosen.items()}
    for name in refused:
        load(trial, name, result[name])
    return Quantised(groups=result, bits=sum(group_bits(group) for group in result.values()))


def _choices(trial: Trial, name: str, group: WeightGroup, *, context: bool) -> list[Choice]:
    """All ways to write a tensor that a decoder takes; first the one that it is written in."""
    now, found, unit = 0.0, list[Choice](), trial.samples / trial.lam
    for finer, rounding in CHOICES:
        exponent = group.exponent + finer
        other = _rounded(trial, name, exponent, rounding) if 0 <= exponent <= trial.max_exponent(name) else None
        if other is None:
            continue
        load(trial, name, other)
        if trial.allows(name):
            cost = trial.loss(name) * unit
            now = now if found else cost
            found.append(Choice(group=other, bits=group_bits(other) + (cost - now if context else 0.0), harm=0.0 if context else cost))
    return found


def _hull(choices: Sequence[Choice]) -> list[Choice]:
    """Those that are best under some price of a bit, from the least harm to the fewest bits."""
    hull = [min(choices, key=lambda choice: (choice.harm, choice.bits))]
    while fewer := [choice for choice in choices if choice.bits < hull[-1].bits]:
        hull.append(min(fewer, key=lambda choice: (_price(hull[-1], choice), choice.bits)))
    return hull


def _walk(choices: dict[str, list[Choice]], budget: float) -> dict[str, Choice]:
    """One for each tensor: from the least harm on, what costs least for each bit first, until the bits are no more than the budget."""
    hulls = {name: _hull(of_tensor) for name, of_tensor in choices.items()}
    chosen, bits = {name: hull[0] for name, hull in hulls.items()}, sum(hull[0].bits for hull in hulls.values())
    steps = [(_price(*pair), name, *pair) for name, hull in hulls.items() for pair in itertools.pairwise(hull)]
    for price, name, now, then in sorted(steps, key=lambda step: step[0]):
        if price > MOST or (bits <= budget and price > LEAST):
            break
        last = price > LEAST and bits - now.bits + then.bits <= budget
        if last:  # of all changes that are enough, the one that does least harm
            rest = {of: budget - bits + taken.bits for of, taken in chosen.items()}
            changes = [(choice.harm - chosen[of].harm, of, choice) for of in chosen for choice in choices[of] if choice.bits <= rest[of]]
            _, name, then = min(changes, key=lambda change: change[0])
        bits += then.bits - chosen[name].bits
        chosen[name] = then
    return chosen


def _price(now: Choice, then: Choice) -> float:
    """What each bit less costs."""
    return (then.harm - now.harm) / (now.bits - then.bits)


def _rounded(trial: Trial, name: str, exponent: int, rounding: float) -> WeightGroup | None:
    """A tensor in steps of 2**-exponent; None where the format does not hold it."""
    scaled = (trial.weights[name] - trial.prior[name]) * 2.0**exponent
    nearest = np.round(scaled) if rounding == NEAREST else np.sign(scaled) * np.floor(np.abs(scaled) + rounding)
    symbols = nearest.astype(np.int64)
    if exponent == 0:  # what is too far is cut, as in search
        symbols = symbols.clip(-LIMIT, LIMIT)
    return None if np.abs(symbols).max(initial=0) > LIMIT else WeightGroup(symbols=symbols, exponent=exponent)
