"""The quality at which a codec gives a wanted size or PSNR.

Quick codecs: false position and halving over whole qualities, 3 to 7 encodes. Fitted ones: a few fits, each at the quality where a
straight line through what is known (log bytes and dB are nearly straight in the quality) meets the target.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .benchmark import Point, Source
from .codec import Codec, FitOptions
from .store import Store, samples

TOLERANCE = {"bytes": 0.01, "psnr": 0.05}  # a difference in ln(bytes), about 1 %; one in dB
_SLOPES = {"bytes": 0.036, "psnr": 0.12}  # ln(bytes) and dB that a fitted codec gains for one step of quality: the first guess only
_MARGINS = {"bytes": -0.005, "psnr": 0.02}  # aim inside the target, not at its edge


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to reach: at most so many `bytes`, or at least so much `psnr` (dB); exactly one is given."""

    bytes: int | None = None
    psnr: float | None = None

    @property
    def kind(self) -> str:
        """Which of the two."""
        return "bytes" if self.psnr is None else "psnr"

    def excess(self, bytes: int, psnr: float) -> float:
        """How far a file is past the target on a scale that rises with the quality: ln of sizes, or dB."""
        if self.psnr is not None:
            return psnr - self.psnr
        assert self.bytes is not None  # one of the two is given
        return math.log(bytes / self.bytes)

    def met(self, bytes: int, psnr: float) -> bool:
        """True where the size is not exceeded, or the PSNR reached."""
        return self.excess(bytes, psnr) >= 0 if self.kind == "psnr" else self.excess(bytes, psnr) <= 0

    def __str__(self) -> str:
        return f"at most {self.bytes} bytes" if self.psnr is None else f"at least {self.psnr:g} dB PSNR"


@dataclass(frozen=True, kw_only=True)
class Try:
    """A quality, and what it gave."""

    quality: float
    excess: float
    met: bool


def best(tries: list[Try]) -> Try:
    """The closest that meets the target; the closest of all where none does."""
    return min([entry for entry in tries if entry.met] or tries, key=lambda entry: abs(entry.excess))


def enclose(codec: Codec, target: Target, attempt: Callable[[float], Try], known: Sequence[Try] = ()) -> Try:
    """The best whole quality of a quick codec whose size and PSNR rise with it: false position and halving in turn.

    Args:
        codec: its scale of qualities.
        target: what to reach.
        attempt: encodes once.
        known: tries that cost nothing.
    """
    tries = list(known)
    while True:
        below = max((entry for entry in tries if entry.excess < 0), key=lambda entry: entry.quality, default=None)
        above = min((entry for entry in tries if entry.excess >= 0), key=lambda entry: entry.quality, default=None)
        low = codec.lowest - 1 if below is None else math.floor(below.quality)
        high = codec.highest + 1 if above is None else math.ceil(above.quality)
        if high - low <= 1 or (tries and best(tries).met and abs(best(tries).excess) <= TOLERANCE[target.kind]):
            return best(tries)
        middle = (low + high) / 2
        if below is not None and above is not None and len(tries) % 2 == len(known) % 2:
            middle = low + (high - low) * -below.excess / (above.excess - below.excess)
        tries.append(attempt(float(min(high - 1, max(low + 1, round(middle))))))


def refine(target: Target, attempt: Callable[[float], Try], *, start: float, fits: int) -> Try:
    """The best quality of a fitted codec within `fits` fits, from a first guess at its quality."""
    tries: list[Try] = []
    quality = min(100.0, max(0.0, start))
    while len(tries) < fits and all(entry.quality != quality for entry in tries):
        tries.append(attempt(quality))
        if tries[-1].met and abs(tries[-1].excess) <= TOLERANCE[target.kind]:
            break
        quality = _next(tries, target)
    return best(tries)


def _next(tries: list[Try], target: Target) -> float:
    """Where the line through the two tries nearest the target meets it; with one try, the usual slope."""
    near = sorted(tries, key=lambda entry: abs(entry.excess))[:2]
    slope = _SLOPES[target.kind]
    if len(near) == 2:
        rise = (near[1].excess - near[0].excess) / (near[1].quality - near[0].quality)
        slope = rise if slope / 3 < rise < 3 * slope else slope  # two tries close together say little about the slope
    wanted = near[0].quality + (_MARGINS[target.kind] - near[0].excess) / slope
    return round(min(100.0, max(0.0, wanted)), 2)


def matched(store: Store, source: Source, codec: Codec, target: Target, options: FitOptions, *, fits: int, known: Sequence[Point] = ()) -> Point:
    """The codec's point at the target, as Store.get gives it; `known` points of this codec and source spare encodes.

    Raises:
        I2Error: the codec failed.
    """
    metric = next(iter(store.benchmark.metrics.values()))
    original = samples(store.benchmark.read, source)

    def judged(quality: float, count: int, value: float | None) -> Try:
        value = math.inf if value is None else value
        return Try(quality=quality, excess=target.excess(count, value), met=target.met(count, value))

    def fit(quality: float) -> Try:
        point = store.get(source, codec, codec.work(quality, options))
        return judged(quality, point.bytes, point.metrics[metric.name])

    def quick(quality: float) -> Try:
        data = codec.encode(original, codec.work(quality, options)).data
        decoded = None if target.kind == "bytes" else codec.decode(data, options.threads)
        return judged(quality, len(data), None if decoded is None else metric.measure(original, decoded))

    if codec.fitted:
        found = refine(target, fit, start=_guess(target, store.benchmark.count(original)), fits=fits)
    else:
        codec.prepare()
        found = enclose(codec, target, quick, [judged(point.work.quality, point.bytes, point.metrics[metric.name]) for point in known])
    return store.get(source, codec, codec.work(found.quality, options))


def _guess(target: Target, count: float) -> float:
    """A fitted codec's quality for a usual photograph: 50 gives about 0.4 bits a pixel and 34 dB."""
    if target.psnr is not None:
        return round(50 + (target.psnr - 34) / _SLOPES["psnr"])
    assert target.bytes is not None  # one of the two is given
    return round(50 + math.log(8 * target.bytes / count / 0.4) / _SLOPES["bytes"])
