"""What every way of reading a video file offers."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np

from ...arrays import Float32Array
from ...kinds import MAX_RATE, Kind
from ...signal import TICKS, Layout
from .colour import Colour

DEFAULT_RATE = Fraction(25)  # frames a second where a file says nothing
_ROUNDING = 1.0001  # of a time stamp's clock


class Stream(Protocol):
    """A video file being read."""

    @property
    def layout(self) -> Layout:
        """What its frames are."""

    @property
    def colour(self) -> Colour:
        """How they are made of colours."""

    @property
    def source(self) -> str:
        """Name of the file format."""

    @property
    def sounds(self) -> int:
        """How many tracks of sound there are beside it."""

    @property
    def begins(self) -> Fraction:
        """When its first frame is shown, in seconds of the file's clock."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user must be warned of, without the name of the file."""

    def frames(self) -> Iterator[Float32Array]:
        """All frames from the first on, a few at a time, `[n, H, W, C]`."""


def timed_layout(
    begins: Sequence[Fraction], end: Fraction, likely: Sequence[Fraction], clock: Fraction, size: tuple[int, int, int], depth: int
) -> Layout:
    """The layout of frames that begin at those seconds.

    Args:
        begins: seconds, one for each frame, rising.
        end: when the last frame ends.
        likely: frame rates that the file claims; one is taken where all time stamps agree with it.
        clock: seconds of a tick in which time stamps are rounded.
        size: height, width and channels.
        depth: bits of a sample.
    """
    count, first = len(begins), begins[0]
    mean = Fraction(count, 1) / (end - first) if end > first else DEFAULT_RATE
    tolerance = float(max(clock, Fraction(1, 1_000_000))) * _ROUNDING
    grid, offsets = (count, *size[:2]), np.array([float(begin - first) for begin in begins])
    for rate in (*likely, mean.limit_denominator(1001), Fraction(round(mean))):
        if 0 < rate <= MAX_RATE and rate.denominator <= MAX_RATE and np.abs(offsets - np.arange(count) / float(rate)).max() <= tolerance:
            return _layout(grid, size[2], depth, rate)
    ticks = [round((begin - first) * TICKS) for begin in begins]
    for number in range(1, count):
        ticks[number] = max(ticks[number], ticks[number - 1] + 1)
    ticks.append(max(round((end - first) * TICKS), ticks[-1] + 1))
    return _layout(grid, size[2], depth, mean.limit_denominator(1001) if mean >= Fraction(1, 1001) else Fraction(1, 1001), tuple(ticks))


def _layout(grid: tuple[int, ...], channels: int, depth: int, rate: Fraction, times: tuple[int, ...] = ()) -> Layout:
    return Layout(kind=Kind.VIDEO, grid=grid, channels=channels, bit_depth=depth, rate=rate.numerator, rate_divisor=rate.denominator, times=times)
