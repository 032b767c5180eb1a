"""A search by whole fits, which may aim at the target themselves."""

import math
from collections.abc import Callable
from dataclasses import replace

from ..config import DEFAULT_FIELD, Aim, EncodeSettings
from ..media.protocol import Hooks
from ..media.table import medium_of
from ..signal import Layout
from .goal import Goal, clamped
from .line import next_place, safer
from .tries import FITS, HURRIED, RESCUE_TIME, RESCUES, Attempt, Try

FAR, FINE = 0.2, 1e-6  # a file so far below what its fit aimed at, in ln(bytes), under a smaller lambda: more bytes make it worse
BELOW_FAR = 0.12  # of ln(bytes): how far below such a file the next fit aims
AIMED_TIME = 0.62  # share of a time limit of the one fit that aims at a size, which leaves room for its last part once more


def whole_fits(
    settings: EncodeSettings, goal: Goal, layout: Layout, attempt: Callable[[EncodeSettings], Attempt], hooks: Hooks, beside: int | None
) -> list[Try]:
    """A search by fits of which each is a whole one; `beside` as in meet where they aim at the goal, None where they do not."""
    tried: list[Try] = []
    aims, most = beside is not None, FITS
    if settings.time_limit is not None:
        most, share = (1 + RESCUES, AIMED_TIME) if aims else (HURRIED, 1 / HURRIED)
        settings = replace(settings, time_limit=settings.time_limit * share)
    while len(tried) < most and not (hooks.stopped and tried):
        ask = _ask(settings, goal, layout, tried) if beside is None else _aim(settings, goal, tried, beside)
        if any(ask.settings == entry.settings for entry in tried):
            break  # at the end of what can be asked for
        made = attempt(ask.settings)
        tried.append(replace(ask, found=goal.found(made), made=made))
        good = goal.near(tried[-1].found) and (len(tried) > 1 or not tried[-1].strayed)
        enough = aims and (settings.time_limit is not None or (goal.name != "size" and len(tried) > 1))
        # A fit that could use all that it aimed at, after one that could not: there is no more to be had.
        most_of_use = any(_overdriven(goal, tried[:count]) for count in range(1, len(tried))) and not _overdriven(goal, tried)
        if goal.met(tried[-1].found) and (good or enough or most_of_use):
            break
    return tried


def _aim(settings: EncodeSettings, goal: Goal, tried: list[Try], beside: int) -> Try:
    """What to have the next fit aim at: what is wanted, and what those before it missed; it begins at the lambda that the last one came to.

    After one that could not use its bytes: less than that came to, from a lambda of its own.
    """
    wanted = goal.aim
    asked = wanted + sum(wanted - entry.found for entry in tried)
    lam = tried[-1].made.coded.lam if tried and tried[-1].made is not None else None
    if _overdriven(goal, tried):
        asked, lam = tried[-1].found - BELOW_FAR, None
    if lam is not None and settings.time_limit is not None:  # the time is over, and all that counts is that the file keeps to its target
        lam = math.exp(safer(goal, tried[-1].found, math.log(lam)))
        settings = replace(settings, time_limit=RESCUE_TIME * settings.time_limit)
    aim = Aim(goal.name, max(1.0, math.exp(asked) - beside) if goal.name == "size" else asked)
    lam = settings.lam if lam is None else clamped(math.log(lam))
    return Try(asked=asked, settings=replace(settings, lam=lam, aim=aim))


def _overdriven(goal: Goal, tried: list[Try]) -> bool:
    """Whether the last fit could not use all the bytes that it aimed at: its latents took so small steps that they did not arrive."""
    last = tried[-1] if tried else None
    if last is None or last.made is None or last.made.coded.lam is None or goal.name != "size":
        return False
    return last.found < last.asked - FAR and last.made.coded.lam < FINE


def _ask(settings: EncodeSettings, goal: Goal, layout: Layout, tried: list[Try]) -> Try:
    """What to try next."""
    assert settings.lam is not None  # the first guess
    if settings.field == DEFAULT_FIELD and layout.seconds is not None and "bitrate" in medium_of(layout.kind).options and goal.name == "size":
        aimed = goal.wanted + sum(goal.wanted - entry.found for entry in tried)
        return Try(asked=aimed, settings=replace(settings, lam=None, bitrate=max(100.0, 8 * math.exp(aimed) / layout.seconds)))
    lam = clamped(next_place(goal, tried)) if tried else settings.lam
    return Try(asked=math.log(lam), settings=replace(settings, lam=lam))
