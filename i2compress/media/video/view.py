"""The moments that a View of a video shows: frames of the source, or places between them, and when each is shown."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ...config import View
from ...errors import UsageError
from ...kinds import MAX_RATE
from ...signal import TICKS, Layout
from ..rectangle import spans

MAX_PHASES = 8  # places between two frames at which a field is evaluated, at most; a moment is moved to the nearest
MAX_FRAMES = 2**26
_CLOSE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What is shown.

    Args:
        places: float64 `[n]`, rising, in frames of the source: frame j is shown around place j, from j - 1/2 to j + 1/2.
        rate, rate_divisor, times: of the output; see Layout.
    """

    places: npt.NDArray[np.float64]
    rate: int
    rate_divisor: int
    times: tuple[int, ...] = ()

    @property
    def phases(self) -> int:
        """At how many places for each frame the field must be evaluated."""
        for count in range(1, MAX_PHASES + 1):
            moved = (self.places + 0.5) * count - 0.5
            if np.abs(moved - np.rint(moved)).max() < _CLOSE:
                return count
        return MAX_PHASES


def output_layout(layout: Layout, view: View) -> Layout:
    """What a view gives. Raises UsageError where it shows nothing."""
    found, (rows, columns) = moments(layout, view), spans(layout.grid[1:], view)
    depth = layout.bit_depth if view.bit_depth is None else view.bit_depth
    if depth not in (8, 16):
        raise UsageError(f"bit depth is {depth}; expected 8 or 16 of a video")
    timing = {"rate": found.rate, "rate_divisor": found.rate_divisor}
    return replace(layout, grid=(len(found.places), rows.out, columns.out), bit_depth=depth, times=found.times, **timing)  # type: ignore[arg-type]


def moments(layout: Layout, view: View) -> Moments:
    """The moments of a view. Raises UsageError where there are none, or where two of its options exclude each other."""
    if view.frames is not None and (view.time is not None or view.fps is not None):
        raise UsageError("--frames excludes --time and --fps; give one of them")
    start, stop, step = _frames(layout, view)
    if view.fps is None:
        return _source_frames(layout, np.arange(start, stop, step), stop, step)
    return _evenly(layout, start, stop, view.fps)


def stretch(layout: Layout, view: View) -> tuple[float, float]:
    """From when to when a view shows the video, in seconds; see protocol.Timed. Raises UsageError where it shows nothing."""
    if view.time is None and view.frames is None:
        return -math.inf, math.inf
    edges, (start, stop, _) = begins(layout), _frames(layout, view)
    last = math.inf if view.time is None else max(view.time[1], float(edges[-1]))
    return float(edges[start]), last if stop == layout.grid[0] else float(edges[stop])


def begins(layout: Layout) -> npt.NDArray[np.float64]:
    """When each frame begins, in seconds, and when the last one ends."""
    if layout.times:
        return np.array(layout.times, np.float64) / TICKS
    return np.arange(layout.grid[0] + 1) * layout.rate_divisor / layout.rate


def _frames(layout: Layout, view: View) -> tuple[int, int, int]:
    """The source's frames start .. stop by step."""
    count = layout.grid[0]
    if view.frames is not None:
        start, stop, step = slice(*view.frames).indices(count)
        if start >= stop:
            raise UsageError(f"frames {start} to {stop} are none; expected some of 0 to {count}")
        return start, stop, step
    if view.time is None:
        return 0, count, 1
    edges = begins(layout)
    # A frame is shown where it begins inside the part, to within a rounding of half a tick.
    start, stop = (int(np.searchsorted(edges[:-1], seconds - 0.5 / TICKS)) for seconds in view.time)
    if start >= stop:
        raise UsageError(f"time is {view.time[0]:g} to {view.time[1]:g} s; expected a part in which a frame begins, of a video of {edges[-1]:.6g} s")
    return start, stop, 1


def _source_frames(layout: Layout, chosen: npt.NDArray[np.intp], stop: int, step: int) -> Moments:
    places = chosen.astype(np.float64)
    if layout.times:
        shown = [*(layout.times[frame] for frame in chosen), layout.times[stop]]
        return Moments(places=places, rate=layout.rate, rate_divisor=layout.rate_divisor, times=tuple(time - shown[0] for time in shown))
    rate = Fraction(layout.rate, layout.rate_divisor * step)
    return Moments(places=places, rate=rate.numerator, rate_divisor=rate.denominator)


def _evenly(layout: Layout, start: int, stop: int, fps: Fraction) -> Moments:
    """Moments at a rate of their own: each lies in the middle of the time for which it is shown, as a frame of the source does."""
    if max(fps.numerator, fps.denominator) > MAX_RATE:
        raise UsageError(f"frame rate is {fps}; expected numbers up to {MAX_RATE}")
    edges = begins(layout)
    length = edges[stop] - edges[start]
    count = max(1, math.floor(length * fps + 0.5))
    if count > MAX_FRAMES:
        raise UsageError(f"the output would have {count} frames; expected at most {MAX_FRAMES}: ask for fewer a second, or for a part with --time")
    when = edges[start] + (np.arange(count) + 0.5) / float(fps)
    frame = np.clip(np.searchsorted(edges, when, side="right") - 1, start, stop - 1)
    inside = np.clip((when - edges[frame]) / (edges[frame + 1] - edges[frame]), 0, 1 - _CLOSE)
    return Moments(places=frame + inside - 0.5, rate=fps.numerator, rate_divisor=fps.denominator)
