"""Where to go from what was tried: ln(lambda) at which a straight line meets the target."""

import itertools
from collections.abc import Sequence

from .goal import SLOPES, Goal
from .tries import Try

TRUSTED, STRIDE = 3, 0.2  # misses after which the line is no longer trusted; and how far ln(lambda) goes beyond all, at least, more each time
FURTHEST = 3.0  # in ln(lambda), from one try to the next: far from what was tried quality need not rise as lambda falls


def next_place(goal: Goal, tried: list[Try], *, wanted: float | None = None, slope: float | None = None) -> float:
    """ln(lambda) at which a line meets the target: by the nearest tries on either side of it, or the two nearest; of one try, by the usual slope."""
    wanted, slope = goal.wanted if wanted is None else wanted, SLOPES[goal.name] if slope is None else slope
    order = sorted(tried, key=lambda entry: abs(entry.found - wanted))
    beyond_it = [entry for entry in order if (entry.found > wanted) != (order[0].found > wanted)]
    near = [order[0], *(beyond_it or order[1:])[:1]]
    if len(near) == 2 and near[0].asked != near[1].asked:
        rise = (near[1].found - near[0].found) / (near[1].asked - near[0].asked)
        slope = rise if 3 * slope < rise < slope / 3 else slope  # two tries close together say little about the slope
    found = near[0].asked + min(max((wanted - near[0].found) / slope, -FURTHEST), FURTHEST)
    if beyond_it and (near[1].asked - near[0].asked) * (wanted - near[0].found) * slope > 0:
        low, high = sorted(entry.asked for entry in near)
        return found if low < found < high else (low + high) / 2
    if len(tried) < TRUSTED or any(goal.met(entry.found) for entry in tried):
        return found
    # Fits come out by chance, and where all of some have missed, a small step may miss again: beyond all of them.
    way, beyond = (1, max) if goal.name == "size" else (-1, min)
    return beyond(found, beyond(entry.asked for entry in tried) + way * STRIDE * (len(tried) - TRUSTED + 1))


def between(goal: Goal, made: Sequence[tuple[float, float]], other: float) -> float:
    """Of pairs of what was asked and found, between the two on either side of the goal that are nearest to each other; `other` where none are."""
    over, under = ([pair for pair in made if (pair[1] > goal.wanted) == above] for above in (True, False))
    if not over or not under:
        return other
    a, b = min(itertools.product(over, under), key=lambda pair: abs(pair[0][0] - pair[1][0]))
    return a[0] + (b[0] - a[0]) * (a[1] - goal.wanted) / (a[1] - b[1])


def safer(goal: Goal, found: float, place: float) -> float:
    """ln(lambda) at which a fit misses the goal by chance only, where one at ln(lambda) = `place` came to what was found."""
    return place + (1 if goal.name == "size" else -1) + 2 * (found - goal.limit) * SLOPES["size"] / SLOPES[goal.name]
