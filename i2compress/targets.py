"""A file of a wanted size or quality: what to ask of a fit, and what of the next one where the first missed.

A pyramid field of a picture steers lambda during its fit (fit/steering.py), so that one is enough, mostly. Sound has its bitrate
(media/sound), which is met the same way segment by segment. Everything else is fitted again, with lambda where a straight line through
what is known (ln lambda against ln bytes or dB) meets the target.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from .config import DEFAULT_FIELD, Aim, EncodeSettings, Target, lambda_of_quality
from .container import chunk_sizes
from .errors import TargetError, UsageError
from .kinds import Kind
from .media.protocol import Coded, Hooks, Source
from .signal import Layout

FITS = 5  # at most
BELOW = 0.03  # of a size: how far below it a file may end
INSIDE = 0.988  # of a size: what a fit aims at
NEAR = {"psnr": 0.2, "ssimulacra2": 1.0}  # how far above it a file may end
MARGIN = {"size": -0.012, "psnr": 0.05, "ssimulacra2": 0.3}  # what is aimed at, inside the target
SLOPES = {"size": -0.9, "psnr": -2.2, "ssimulacra2": -7.0}  # for each ln(lambda): ln(bytes), dB, points; the first guess only
BYTES = 700  # of a file that are not latents, before that is known
LAMBDAS = (1e-7, 0.5)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A file, and how close it is to its source."""

    coded: Coded
    figures: Mapping[str, float]


def meet(settings: EncodeSettings, source: Source, attempt: Callable[[EncodeSettings], Attempt], hooks: Hooks) -> Attempt:
    """The best file that meets `settings.target`: of sizes the largest, of qualities the smallest.

    Args:
        settings: how to encode; quality and lambda are found here.
        source: what is encoded.
        attempt: encodes it once.
        hooks: a fit that was told to stop ends the search.

    Raises:
        TargetError: none does, and by how much.
        UsageError: a measure that this kind of media does not have, or that is not installed.
    """
    goal = _Goal(settings.target, source)
    lam, steers = _first(goal, source.layout), settings.field == DEFAULT_FIELD and source.layout.kind is Kind.IMAGE
    limit = settings.time_limit
    ask = replace(settings, target=Target(), lam=lam, time_limit=limit)
    sound = source.layout.seconds is not None and settings.field == DEFAULT_FIELD and goal.name == "size"
    aimed = goal.aimed
    tried: list[tuple[float, float, Attempt]] = []  # ln(lambda) or what was aimed at, what came of it, the file
    other = BYTES
    for _ in range(FITS):
        if steers and goal.name == "size":
            ask = replace(ask, aim=Aim(bits=8 * max(16.0, math.exp(aimed) - other)))
        elif steers and goal.name == "psnr":
            ask = replace(ask, aim=Aim(error=10 ** (-aimed / 10)))
        elif sound:
            ask = replace(ask, lam=None, bitrate=max(100.0, 8 * math.exp(aimed) / (source.layout.seconds or 1.0)))
        made = attempt(ask)
        found = goal.found(made)
        tried.append((math.log(lam), found, made))
        if goal.met(found) and goal.near(found) or hooks.stopped:
            break
        if ask.aim is not None or ask.bitrate is not None:
            aimed += goal.wanted - found
            other = len(made.coded.data) - _latents(made.coded.data)
            lam = made.coded.rate_weight or lam
            ask = ask if ask.bitrate is not None else replace(ask, lam=lam)
        else:
            lam = _next(goal, tried)
            ask = replace(ask, lam=lam)
    meeting = [entry for entry in tried if goal.met(entry[1])]
    if not meeting:
        raise TargetError(goal.miss(min((found for _, found, _ in tried), key=lambda found: abs(found - goal.limit))))
    _, found, made = min(meeting, key=lambda entry: abs(entry[1] - goal.limit))
    return made if goal.near(found) else replace(made, coded=replace(made.coded, notes=(*made.coded.notes, goal.said(found))))


class _Goal:
    """A target as a number, found values of it, and what to say of them. Sizes are ln(bytes)."""

    def __init__(self, target: Target, source: Source) -> None:
        layout = source.layout
        self._source = source
        size = target.size if target.bpp is None else math.floor(target.bpp * layout.samples / 8)
        if size is not None:
            self.name, self.limit = "size", math.log(max(size, 1))
        elif target.psnr is not None:
            self.name, self.limit = "psnr", target.psnr
        else:
            assert target.ssimulacra2 is not None  # one is given
            self.name, self.limit = "ssimulacra2", target.ssimulacra2
            if layout.kind is not Kind.IMAGE or layout.channels not in (1, 3):
                raise UsageError("--target-ssimulacra2 is for pictures without transparency; use --target-psnr or --target-size")
            _ssimulacra2()
        self.wanted = self.limit + MARGIN[self.name]

    @property
    def aimed(self) -> float:
        """What the first fit aims at."""
        return self.wanted

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
            return f"the smallest file has {math.exp(found):.0f} bytes, {100 * over:.1f} % over {math.exp(self.limit):.0f}; ask for more, or make the source smaller"
        return f"the best file has {self._shown(found)}, {self.limit - found:.2f} less than {self._shown(self.limit)}; ask for less, or raise the effort"

    def said(self, found: float) -> str:
        """What to say of a file that meets the target by more than was needed."""
        if self.name == "size":
            return f"the file has {math.exp(found):.0f} bytes, {100 - 100 * math.exp(found - self.limit):.1f} % under {math.exp(self.limit):.0f}"
        return f"the file has {self._shown(found)}, more than {self._shown(self.limit)}"

    def _shown(self, value: float) -> str:
        return f"{value:.2f} dB PSNR" if self.name == "psnr" else f"SSIMULACRA 2 {value:.2f}"


def _first(goal: _Goal, layout: Layout) -> float:
    """Lambda of a usual photograph: at quality 50 it has about 0.4 bits a pixel, 34 dB, 65 of SSIMULACRA 2. Of sound its noise is the squared error."""
    if layout.kind is not Kind.IMAGE:
        return float(10 ** (-goal.limit / 10)) * layout.peak**2 / 2 if goal.name == "psnr" else 1e-6
    usual = {"size": math.log(0.4 * layout.samples / 8), "psnr": 34.0, "ssimulacra2": 65.0}[goal.name]
    return _clamped(math.log(lambda_of_quality(50)) + (goal.limit - usual) / SLOPES[goal.name])


def _next(goal: _Goal, tried: "list[tuple[float, float, Attempt]]") -> float:
    """Lambda at which the line through the two tries nearest the target meets it; with one try, the usual slope."""
    near = sorted(tried, key=lambda entry: abs(entry[1] - goal.wanted))[:2]
    slope = SLOPES[goal.name]
    if len(near) == 2 and near[0][0] != near[1][0]:
        rise = (near[1][1] - near[0][1]) / (near[1][0] - near[0][0])
        slope = rise if 3 * slope < rise < slope / 3 else slope  # two tries close together say little about the slope
    return _clamped(near[0][0] + (goal.wanted - near[0][1]) / slope)


def _clamped(place: float) -> float:
    return min(max(math.exp(min(max(place, -30.0), 0.0)), LAMBDAS[0]), LAMBDAS[1])


def _latents(data: bytes) -> int:
    return sum(chunk.size for chunk in chunk_sizes(data) if chunk.name == "latents")


def _ssimulacra2() -> Callable[..., float]:
    try:
        from ssimulacra2 import compute_ssimulacra2  # noqa: F401
    except ImportError as error:
        raise UsageError("--target-ssimulacra2 needs its measure; install it with: pip install 'i2compress[bench]'") from error
    return compute_ssimulacra2  # type: ignore[no-any-return]


def _judged(source: Source, data: bytes) -> float:
    raise NotImplementedError(np.__name__)
