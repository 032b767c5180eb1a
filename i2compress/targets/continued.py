"""A search of which the fits go on: short ones, a whole one, its second half under other lambdas, and files of other bits for their weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..checkpoints import left_behind
from ..config import EncodeSettings, Search
from ..media.protocol import Hooks
from ..media.table import medium_of
from ..signal import Layout
from .goal import Goal, clamped
from .line import STRIDE, between, next_place, safer
from .tries import FITS, RESCUE_TIME, RESCUES, Attempt, Try

# Of media whose fits go on: the steps of a short fit, how many there are at most, and how far the first and the last of them may be apart, in
# ln(lambda), for the last to say enough; what its file has more of than that of a whole one, over the root of its steps. See docs/results/targets.md.
SHORT, SHORTS, SHORT_REACH = 0.25, 3, 1.6
SHORT_MORE = {"size": 2.0, "psnr": -12.0}
# Bits that are missing come late at no cost, and those that are too many are given back badly: a whole fit aims below its goal by so much.
LESS = {"size": 0.05, "psnr": 0.2}
# By how much a last part can make up for what a whole fit missed, by a lower lambda and by a higher one. A whole fit follows where it missed by more.
REACH = {"size": (0.2, 0.1), "psnr": (1.0, 0.5)}
WHOLE_SLOPES = {"size": (-0.35, -0.6), "psnr": (-1.4, -3.2)}  # as SLOPES, of short and whole fits: of shapes, of video
LAST_SLOPES = {"size": (-0.1, -0.19), "psnr": (-0.4, -1.0)}  # and of last parts
LAST_PARTS = 4  # of each whole fit, at most; all fits together take no longer than FITS whole ones
TIMES = {"short": 0.12, "whole": 0.42, "last": 0.2}  # of a time limit, of a short and a whole fit and IN_TIME last parts; then come RESCUES
IN_TIME = 1
# The share of their bits that weights are given where a file is only coded once more: at once, and where no fit is left to make; and how often of
# each fit, at most.
AT_ONCE, AT_LAST = (0.75, 1.0), (0.5, 1.5)
RECODED = 3
LAST_REACH, SAME = 1.2, 1e-3  # how far ln(lambda) of a last part is from that of its whole fit, at most; and a difference in it that is none


class Continued:
    """A search by short fits, a whole one, its last part under other lambdas, and what these found coded with other bits for the weights.

    Args:
        settings: how to encode; lambda is the first guess.
        goal: what is wanted.
        layout: of the source.
    """

    def __init__(self, settings: EncodeSettings, goal: Goal, layout: Layout) -> None:
        assert settings.lam is not None  # the first guess
        self._settings, self._first, self._goal, self._limited = settings, math.log(settings.lam), goal, settings.time_limit is not None
        self._ways, moving = medium_of(layout.kind).continues, layout.seconds is not None
        self._slope, self._last_slope = (slopes[goal.name][moving] for slopes in (WHOLE_SLOPES, LAST_SLOPES))
        self._tried: list[Try] = []

    def run(self, attempt: Callable[[EncodeSettings], Attempt], hooks: Hooks) -> list[Try]:
        """All that was tried."""
        with left_behind() as folder:
            while not (hooks.stopped and self._tried) and (ask := self._next(folder)) is not None:
                made = attempt(ask.settings)
                self._tried.append(entry := replace(ask, found=self._goal.found(made), made=made))
                if not entry.short and self._goal.met(entry.found) and self._goal.near(entry.found):
                    break
        return self._tried

    def _next(self, folder: Path) -> Try | None:
        """What to try next; None: nothing."""
        return self._coded_again(last=False) or self._fit(folder) or self._coded_again(last=True)

    def _coded_again(self, *, last: bool) -> Try | None:
        """What a fit has found, coded with other bits for its weights: of the newest one where that is a little too large, or the `last` resort."""
        goal = self._goal
        fits = [entry for entry in self._tried if entry.kind in ("whole", "last")]
        if goal.name != "size" or self._limited:  # it cannot tell how long it takes
            return None
        bases = sorted(fits, key=lambda entry: abs(entry.found - goal.wanted))
        over, under = ([entry for entry in bases if (entry.found > goal.limit) == above] for above in (True, False))
        for base in (*over[:1], *under[:1]) if last else fits[-1:]:
            made = [entry for entry in self._tried if entry.base == base.base and entry.asked == base.asked]
            stuck = len(made) > RECODED or (len(made) > 2 and made[-1].found == made[-2].found)
            if stuck or not (last or base.found > goal.limit):
                continue
            low, high = AT_LAST if last else AT_ONCE
            share = made[-1].share + (math.exp(goal.wanted) - math.exp(made[-1].found)) / base.weights
            share = between(goal, [(entry.share, entry.found) for entry in made], share)
            share = min(share, high) if last else share
            if low <= share <= high and all(abs(share - entry.share) > SAME for entry in made):
                return replace(base, settings=replace(base.settings, search=base.base._replace(weights=share)), found=math.nan, made=None)
        return None

    def _fit(self, folder: Path) -> Try | None:
        """The next fit; None: none is left to make."""
        goal, fits = self._goal, [self._as_coded(entry) for entry in self._tried if entry.kind != "coded"]
        shorts, wholes = ([entry for entry in fits if entry.kind == kind] for kind in ("short", "whole"))
        if not shorts:
            return self._asked("short", self._first, folder)
        if not wholes:
            more = SHORT_MORE[goal.name] / math.sqrt(max(1, shorts[0].passes))
            place = next_place(goal, shorts, wanted=goal.wanted - LESS[goal.name] + more, slope=self._slope)
            far = abs(place - shorts[-1].asked) > SHORT_REACH and len(shorts) < (1 if self._limited else SHORTS)
            short = self._asked("short", place, folder, shorts) if far else None
            return short or self._asked("whole", place, folder / "1")
        whole = wholes[-1]
        lasts = fits[fits.index(whole) + 1 :]
        work = sum(entry.settings.search.work for entry in self._tried if entry.settings.search is not None)
        more_wholes = work + 1 <= FITS and not self._limited
        if len(wholes) == 1 and len(lasts) < IN_TIME if self._limited else len(lasts) < LAST_PARTS:
            place = self._last_place([whole, *lasts])
            if not more_wholes or (self._within_reach(whole, lasts) and abs(place - whole.asked) <= LAST_REACH):
                place = min(max(place, whole.asked - LAST_REACH), whole.asked + LAST_REACH)
                last = self._asked("last", place, folder / str(len(wholes)), [whole, *lasts])
                if last is not None or not more_wholes:
                    return last
        if self._limited:
            return self._rescue(wholes, folder)
        if not more_wholes:
            return None
        less = 0.0 if any(entry.kind == "last" for entry in self._tried) else LESS[goal.name]  # they did not make up for it
        place = next_place(goal, wholes, wanted=goal.wanted - less, slope=self._slope)
        if any(abs(place - entry.asked) < SAME for entry in wholes):  # one came out by chance on the wrong side of another: beyond both
            way = math.copysign(STRIDE, (goal.wanted - less - whole.found) / self._slope)
            place = way + (max if way > 0 else min)(entry.asked for entry in wholes)
        return self._asked("whole", place, folder / str(len(wholes) + 1), wholes)

    def _as_coded(self, fit: "Try") -> "Try":
        """A fit with what came nearest to the goal of all that was coded of it."""
        coded = [entry.found for entry in self._tried if entry.base == fit.base and entry.asked == fit.asked]
        return replace(fit, found=min(coded, key=lambda found: abs(found - self._goal.wanted)))

    def _rescue(self, wholes: list[Try], folder: Path) -> Try | None:
        """The time is over, and all that counts is that the file keeps to its target: a hurried fit at a much safer lambda."""
        if len(wholes) > RESCUES or any(self._goal.met(entry.found) for entry in self._tried):
            return None
        ask = self._asked("whole", safer(self._goal, self._tried[-1].found, self._tried[-1].asked), folder / str(len(wholes) + 1))
        assert ask is not None and self._settings.time_limit is not None  # it is another one, in a limited time
        return replace(ask, settings=replace(ask.settings, time_limit=RESCUE_TIME * self._settings.time_limit))

    def _last_place(self, made: list[Try]) -> float:
        """ln(lambda) of the next last part."""
        return between(self._goal, [(entry.asked, entry.found) for entry in made], next_place(self._goal, made, slope=self._last_slope))

    def _within_reach(self, whole: "Try", lasts: list[Try]) -> bool:
        """Whether last parts can make up for what a whole fit has missed."""
        if lasts:  # less than a third of their usual effect is none
            return abs(lasts[-1].found - whole.found) > abs(self._last_slope * (lasts[-1].asked - whole.asked)) / 3
        off = whole.found - self._goal.wanted
        down, up = REACH[self._goal.name]
        return off <= up and "up" in self._ways if off > 0 else -off <= down

    def _asked(self, kind: str, place: float, folder: Path, made: Sequence[Try] = ()) -> Try | None:
        """A fit of a kind at ln(lambda); None where that was `made`."""
        lam = clamped(place)
        if any(abs(math.log(lam) - entry.asked) < SAME for entry in made):
            return None
        search = Search(str(folder), SHORT if kind == "short" else 1.0, kind == "last")
        time_limit = None if self._settings.time_limit is None else self._settings.time_limit * TIMES[kind]
        return Try(asked=math.log(lam), settings=replace(self._settings, lam=lam, search=search, time_limit=time_limit))
