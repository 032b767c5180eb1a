"""A file of a wanted size or quality: what to ask of a fit, and what of the next one where the first missed.

A size is met within a fit where a kind of media can do that: pictures move lambda while they are fitted (EncodeSettings.aim), sound has a bitrate.
Another fit is made only where one missed. Videos and shapes are fitted shortly first, which says about where lambda is to be, then whole, and then
the last part of that fit is made once more under other lambdas, as often as it takes (EncodeSettings.search). What is a little too large then is only
coded once more, with fewer bits for its weights, which takes no fit. Else a fit is made again. Lambda is where a straight line through what is known
(ln lambda against ln bytes or dB) meets the target, as bench/search.py does for whole qualities.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .checkpoints import left_behind
from .config import AIM_ROOM, DEFAULT_FIELD, SQUARES, TUNES, Aim, EncodeSettings, Search, Target, View, lambda_of_quality
from .container import chunk_sizes
from .errors import TargetError, UsageError
from .media.protocol import Coded, Hooks, Resampling, Source
from .media.table import medium_of, medium_of_file
from .signal import Layout

FITS, HURRIED = 5, 2  # at most, and where a time limit is shared
AIMED_TIME = 0.62  # share of a time limit of the one fit that aims at a size, which leaves room for its last part once more
RESCUES, RESCUE_TIME = 3, 0.2  # short fits under a larger lambda, at most, where one in time came out too large; and their share of its time
STRAYED = 0.4  # of ln(lambda): a fit that had to raise it by more has spent bits that come back slowly, and is made anew where it ended
FALLEN = 1.5  # the same of a fit towards a quality that had to lower it, whose latents were starved at first
BELOW = 0.03  # of a size: how far below it a file may end
NEAR = {"psnr": 0.2, "ssimulacra2": 1.0}  # how far above it a file may end
MARGIN = {"size": -0.012, "psnr": 0.05, "ssimulacra2": 0.3}  # what is aimed at, inside the target
TRUSTED, STRIDE = 3, 0.2  # misses after which the line is no longer trusted; and how far ln(lambda) goes beyond all, at least, more each time
FURTHEST = 3.0  # in ln(lambda), from one try to the next: far from what was tried quality need not rise as lambda falls
SLOPES = {"size": -0.9, "psnr": -2.2, "ssimulacra2": -7.0}  # for each ln(lambda): ln(bytes), dB, points; the first guess only
LAMBDAS = (1e-7, 0.5)
MOVING_BITS, MOVING_WEIGHTS = 0.25, 500.0  # a sample, of a usual video at lambda 1e-3; and bytes beside them

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
FULL = "; more bits for its weights would not make it better"
LAST_REACH, SAME = 1.2, 1e-3  # how far ln(lambda) of a last part is from that of its whole fit, at most; and a difference in it that is none


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A file, and how close it is to its source."""

    coded: Coded
    figures: Mapping[str, float]


def meet(settings: EncodeSettings, source: Source, attempt: Callable[[EncodeSettings], Attempt], hooks: Hooks, beside: int = 0) -> Attempt:
    """The best file that meets `settings.target`: of sizes the largest, of qualities the smallest.

    Args:
        settings: how to encode; quality and lambda are found here.
        source: what is encoded.
        attempt: encodes it once.
        hooks: a fit that was told to stop ends the search.
        beside: bytes of the file that are there whatever the fit makes, such as those of tracks.

    Raises:
        TargetError: none does, and by how much.
        UsageError: a measure that this kind of media does not have.
    """
    goal = _Goal(settings.target, source)
    aims = settings.field == DEFAULT_FIELD and medium_of(source.layout.kind).aims
    continues = settings.field == DEFAULT_FIELD and bool(medium_of(source.layout.kind).continues)
    settings = replace(settings, target=Target(), lam=None if aims else _first(goal, source.layout, continues=continues))
    if goal.name == "psnr" and settings.tune is None and SQUARES in TUNES.get(source.layout.kind, ()):
        settings = replace(settings, tune=SQUARES)  # what is measured is what is made small
    if continues:
        tried = _Continued(settings, goal, source.layout).run(attempt, hooks)
    else:
        tried = _tried(settings, goal, source.layout, attempt, hooks, beside if aims else None)
    meeting = [entry for entry in tried if goal.met(entry.found)]
    if not meeting:
        raise TargetError(goal.miss(min((entry.found for entry in tried), key=lambda found: abs(found - goal.limit))))
    best = min(meeting, key=lambda entry: (entry.short, not goal.near(entry.found), entry.strayed, abs(entry.found - goal.limit)))
    assert best.made is not None  # it was made above
    finer = any(entry.kind == "coded" and entry.share > 1 for entry in tried)
    notes = best.made.coded.notes if goal.near(best.found) else (*best.made.coded.notes, goal.said(best.found) + FULL * finer)
    fits = [entry.made.coded for entry in tried if entry.made is not None]
    steps, passes = sum(fit.steps for fit in fits), sum(fit.passes for fit in fits)
    return replace(best.made, coded=replace(best.made.coded, notes=notes, steps=steps, passes=passes))


def _tried(
    settings: EncodeSettings, goal: "_Goal", layout: Layout, attempt: Callable[[EncodeSettings], Attempt], hooks: Hooks, beside: int | None
) -> "list[_Try]":
    """A search by fits of which each is a whole one; `beside` as in meet where they aim at the goal, None where they do not."""
    tried: list[_Try] = []
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
        if goal.met(tried[-1].found) and (good or enough):
            break
    return tried


class _Continued:
    """A search by short fits, a whole one, its last part under other lambdas, and what these found coded with other bits for the weights.

    Args:
        settings: how to encode; lambda is the first guess.
        goal: what is wanted.
        layout: of the source.
    """

    def __init__(self, settings: EncodeSettings, goal: "_Goal", layout: Layout) -> None:
        assert settings.lam is not None  # the first guess
        self._settings, self._first, self._goal, self._limited = settings, math.log(settings.lam), goal, settings.time_limit is not None
        self._ways, moving = medium_of(layout.kind).continues, layout.seconds is not None
        self._slope, self._last_slope = (slopes[goal.name][moving] for slopes in (WHOLE_SLOPES, LAST_SLOPES))
        self._tried: list[_Try] = []

    def run(self, attempt: Callable[[EncodeSettings], Attempt], hooks: Hooks) -> "list[_Try]":
        """All that was tried."""
        with left_behind() as folder:
            while not (hooks.stopped and self._tried) and (ask := self._next(folder)) is not None:
                made = attempt(ask.settings)
                self._tried.append(entry := replace(ask, found=self._goal.found(made), made=made))
                if not entry.short and self._goal.met(entry.found) and self._goal.near(entry.found):
                    break
        return self._tried

    def _next(self, folder: Path) -> "_Try | None":
        """What to try next; None: nothing."""
        return self._coded_again(last=False) or self._fit(folder) or self._coded_again(last=True)

    def _coded_again(self, *, last: bool) -> "_Try | None":
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
            share = _between(goal, [(entry.share, entry.found) for entry in made], share)
            share = min(share, high) if last else share
            if low <= share <= high and all(abs(share - entry.share) > SAME for entry in made):
                return replace(base, settings=replace(base.settings, search=base.base._replace(weights=share)), found=math.nan, made=None)
        return None

    def _fit(self, folder: Path) -> "_Try | None":
        """The next fit; None: none is left to make."""
        goal, fits = self._goal, [self._as_coded(entry) for entry in self._tried if entry.kind != "coded"]
        shorts, wholes = ([entry for entry in fits if entry.kind == kind] for kind in ("short", "whole"))
        if not shorts:
            return self._asked("short", self._first, folder)
        if not wholes:
            more = SHORT_MORE[goal.name] / math.sqrt(max(1, shorts[0].passes))
            place = _next(goal, shorts, wanted=goal.wanted - LESS[goal.name] + more, slope=self._slope)
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
        place = _next(goal, wholes, wanted=goal.wanted - less, slope=self._slope)
        if any(abs(place - entry.asked) < SAME for entry in wholes):  # one came out by chance on the wrong side of another: beyond both
            way = math.copysign(STRIDE, (goal.wanted - less - whole.found) / self._slope)
            place = way + (max if way > 0 else min)(entry.asked for entry in wholes)
        return self._asked("whole", place, folder / str(len(wholes) + 1), wholes)

    def _as_coded(self, fit: "_Try") -> "_Try":
        """A fit with what came nearest to the goal of all that was coded of it."""
        coded = [entry.found for entry in self._tried if entry.base == fit.base and entry.asked == fit.asked]
        return replace(fit, found=min(coded, key=lambda found: abs(found - self._goal.wanted)))

    def _rescue(self, wholes: "list[_Try]", folder: Path) -> "_Try | None":
        """The time is over, and all that counts is that the file keeps to its target: a hurried fit at a much safer lambda."""
        if len(wholes) > RESCUES or any(self._goal.met(entry.found) for entry in self._tried):
            return None
        ask = self._asked("whole", _safer(self._goal, self._tried[-1].found, self._tried[-1].asked), folder / str(len(wholes) + 1))
        assert ask is not None and self._settings.time_limit is not None  # it is another one, in a limited time
        return replace(ask, settings=replace(ask.settings, time_limit=RESCUE_TIME * self._settings.time_limit))

    def _last_place(self, made: "list[_Try]") -> float:
        """ln(lambda) of the next last part."""
        return _between(self._goal, [(entry.asked, entry.found) for entry in made], _next(self._goal, made, slope=self._last_slope))

    def _within_reach(self, whole: "_Try", lasts: "list[_Try]") -> bool:
        """Whether last parts can make up for what a whole fit has missed."""
        if lasts:  # less than a third of their usual effect is none
            return abs(lasts[-1].found - whole.found) > abs(self._last_slope * (lasts[-1].asked - whole.asked)) / 3
        off = whole.found - self._goal.wanted
        down, up = REACH[self._goal.name]
        return off <= up and "up" in self._ways if off > 0 else -off <= down

    def _asked(self, kind: str, place: float, folder: Path, made: "Sequence[_Try]" = ()) -> "_Try | None":
        """A fit of a kind at ln(lambda); None where that was `made`."""
        lam = _clamped(place)
        if any(abs(math.log(lam) - entry.asked) < SAME for entry in made):
            return None
        search = Search(str(folder), SHORT if kind == "short" else 1.0, kind == "last")
        time_limit = None if self._settings.time_limit is None else self._settings.time_limit * TIMES[kind]
        return _Try(asked=math.log(lam), settings=replace(self._settings, lam=lam, search=search, time_limit=time_limit))


@dataclass(frozen=True, kw_only=True)
class _Try:
    """One encode: what was asked for (ln(lambda), or what a fit aimed at), with which settings, and what came of it."""

    asked: float
    settings: EncodeSettings
    found: float = math.nan
    made: Attempt | None = None

    @property
    def passes(self) -> int:
        """Its steps on each part of the signal."""
        return 0 if self.made is None else self.made.coded.passes

    @property
    def kind(self) -> str:
        """Of a search that continues: short, whole or last."""
        search = self.settings.search
        if search is None:
            return "whole"
        return "coded" if search.recoded else "last" if search.last_part else "whole" if search.share == 1 else "short"

    @property
    def base(self) -> Search:
        """Of a search that continues: the fit that it is, or that it codes once more."""
        assert self.settings.search is not None
        return self.settings.search._replace(weights=1.0)

    @property
    def share(self) -> float:
        """And the share of that fit's bits that its weights are given."""
        assert self.settings.search is not None
        return self.settings.search.weights

    @property
    def weights(self) -> int:
        """Bytes of its weights."""
        assert self.made is not None
        return sum(chunk.size for chunk in chunk_sizes(self.made.coded.data) if chunk.type == "W")

    @property
    def short(self) -> bool:
        """Whether its fit was only to say where others begin."""
        return self.kind == "short"

    @property
    def strayed(self) -> bool:
        """Whether its fit began too far below the lambda that it came to, or towards a quality too far above it."""
        coded = None if self.made is None else self.made.coded
        if coded is None or coded.lam is None or coded.first_lam is None:
            return False
        rise, aim = math.log(coded.lam / coded.first_lam), self.settings.aim
        return rise > STRAYED or (rise < -FALLEN and aim is not None and aim.measure != "size")


def _aim(settings: EncodeSettings, goal: "_Goal", tried: "list[_Try]", beside: int) -> _Try:
    """What to have the next fit aim at: what is wanted, and what those before it missed; it begins at the lambda that the last one came to."""
    wanted = goal.aim
    asked = wanted + sum(wanted - entry.found for entry in tried)
    lam = tried[-1].made.coded.lam if tried and tried[-1].made is not None else None
    if lam is not None and settings.time_limit is not None:  # the time is over, and all that counts is that the file keeps to its target
        lam = math.exp(_safer(goal, tried[-1].found, math.log(lam)))
        settings = replace(settings, time_limit=RESCUE_TIME * settings.time_limit)
    aim = Aim(goal.name, max(1.0, math.exp(asked) - beside) if goal.name == "size" else asked)
    lam = settings.lam if lam is None else _clamped(math.log(lam))
    return _Try(asked=asked, settings=replace(settings, lam=lam, aim=aim))


def _safer(goal: "_Goal", found: float, place: float) -> float:
    """ln(lambda) at which a fit misses the goal by chance only, where one at ln(lambda) = `place` came to what was found."""
    return place + (1 if goal.name == "size" else -1) + 2 * (found - goal.limit) * SLOPES["size"] / SLOPES[goal.name]


def _ask(settings: EncodeSettings, goal: "_Goal", layout: Layout, tried: "list[_Try]") -> _Try:
    """What to try next."""
    assert settings.lam is not None  # the first guess
    if settings.field == DEFAULT_FIELD and layout.seconds is not None and "bitrate" in medium_of(layout.kind).options and goal.name == "size":
        aimed = goal.wanted + sum(goal.wanted - entry.found for entry in tried)
        return _Try(asked=aimed, settings=replace(settings, lam=None, bitrate=max(100.0, 8 * math.exp(aimed) / layout.seconds)))
    lam = _clamped(_next(goal, tried)) if tried else settings.lam
    return _Try(asked=math.log(lam), settings=replace(settings, lam=lam))


class _Goal:
    """A target as a number, found values of it, and what to say of them. Sizes are ln(bytes)."""

    def __init__(self, target: Target, source: Source) -> None:
        layout = source.layout
        self._source = source
        if target.bpp is not None and isinstance(source, Resampling):
            raise UsageError("--bpp is for sources with samples of their own, which this one does not have; use --target-size")
        size = target.most_bytes(layout.samples)
        if size is not None:
            self.name, self.limit = "size", math.log(max(size, 1))
        elif target.psnr is not None:
            self.name, self.limit = "psnr", target.psnr
        else:
            assert target.ssimulacra2 is not None  # one is given
            self.name, self.limit = "ssimulacra2", target.ssimulacra2
            if len(layout.grid) != 2 or layout.channels not in (1, 3) or min(layout.grid) < 8:
                raise UsageError("--target-ssimulacra2 is for pictures of at least 8x8 without transparency; use --target-psnr or --target-size")
        self.wanted = self.limit + MARGIN[self.name]
        self.aim = self.limit + (-1 if self.name == "size" else 1) * AIM_ROOM[self.name]  # of a fit that moves lambda

    def found(self, made: Attempt) -> float:
        """What a file comes to."""
        if self.name == "size":
            return math.log(len(made.coded.data))
        return made.figures["psnr"] if self.name == "psnr" else _judged(self._source, made.coded.data)

    def met(self, found: float) -> bool:
        """Whether that is within the limit."""
        return found <= self.limit if self.name == "size" else found >= self.limit

    def near(self, found: float) -> bool:
        """Whether it is close enough to it."""
        return abs(found - self.limit) <= (-math.log(1 - BELOW) if self.name == "size" else NEAR[self.name])

    def miss(self, found: float) -> str:
        """Why no file is written."""
        if self.name == "size":
            over = math.exp(found) / math.exp(self.limit) - 1
            size, limit = math.exp(found), math.exp(self.limit)
            return f"the smallest file has {size:.0f} bytes, {100 * over:.1f} % over {limit:.0f}; ask for more, or make the source smaller"
        return (
            f"the best file has {self._shown(found)}, {self.limit - found:.2f} less than {self._shown(self.limit)}; ask for less, or raise the effort"
        )

    def said(self, found: float) -> str:
        """What to say of a file that meets the target by more than was needed."""
        if self.name == "size":
            return f"the file has {math.exp(found):.0f} bytes, {100 - 100 * math.exp(found - self.limit):.1f} % under {math.exp(self.limit):.0f}"
        return f"the file has {self._shown(found)}, more than {self._shown(self.limit)}"

    def _shown(self, value: float) -> str:
        return f"{value:.2f} dB PSNR" if self.name == "psnr" else f"SSIMULACRA 2 {value:.2f}"


def _first(goal: _Goal, layout: Layout, *, continues: bool) -> float:
    """Lambda of a usual photograph: 0.4 bits a pixel, 34 dB and 65 of SSIMULACRA 2 at quality 50. Of sound: half the noise's power.

    Of video whose fits go on: four times that power, as between 25 and 50 dB, or 1e-3 at MOVING_BITS.
    """
    if len(layout.grid) != 2:
        noise = float(10 ** (-goal.limit / 10)) * layout.peak**2
        if continues and layout.seconds is not None:
            if goal.name == "psnr":
                return 4 * noise
            latents = max(math.exp(goal.limit) - MOVING_WEIGHTS, math.exp(goal.limit) / 3)
            return _clamped(math.log(1e-3) + math.log(8 * latents / (MOVING_BITS * layout.samples)) / SLOPES["size"])
        if continues:
            return 1.2e-3  # of a shape
        if "bitrate" not in medium_of(layout.kind).options and (layout.seconds is None or goal.name == "size"):
            return lambda_of_quality(50)
        return noise / 2 if goal.name == "psnr" else 1e-6
    usual = {"size": math.log(0.4 * layout.samples / 8), "psnr": 34.0, "ssimulacra2": 65.0}[goal.name]
    guess = _clamped(math.log(lambda_of_quality(50)) + (goal.limit - usual) / SLOPES[goal.name])
    return min(max(guess, lambda_of_quality(100)), lambda_of_quality(0))


def _next(goal: _Goal, tried: "list[_Try]", *, wanted: float | None = None, slope: float | None = None) -> float:
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


def _between(goal: _Goal, made: Sequence[tuple[float, float]], other: float) -> float:
    """Of pairs of what was asked and found, between the two on either side of the goal that are nearest to each other; `other` where none are."""
    over, under = ([pair for pair in made if (pair[1] > goal.wanted) == above] for above in (True, False))
    if not over or not under:
        return other
    a, b = min(itertools.product(over, under), key=lambda pair: abs(pair[0][0] - pair[1][0]))
    return a[0] + (b[0] - a[0]) * (a[1] - goal.wanted) / (a[1] - b[1])


def _clamped(place: float) -> float:
    return min(max(math.exp(min(max(place, -30.0), 0.0)), LAMBDAS[0]), LAMBDAS[1])


def _judged(source: Source, data: bytes) -> float:
    """SSIMULACRA 2 of a file."""
    from .fit import ssimulacra2

    rows = source.layout.grid[0]
    content = medium_of_file(data).load(data, partial=False, threads=None)
    decoded = np.concatenate(list(content.blocks(View())))
    return ssimulacra2(np.asarray(source.read(0, rows), np.float32), decoded)
