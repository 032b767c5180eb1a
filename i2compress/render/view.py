"""The geometry of a View: which source samples, and how many output samples they become; of pictures and of sound."""

import math
from dataclasses import dataclass

from ..config import View
from ..errors import UsageError
from ..header import MAX_AXIS


@dataclass(frozen=True, kw_only=True)
class Span:
    """One axis of a view.

    Output sample j lies at start - 1/2 + (j + 1/2) * size / out, in source samples.

    Args:
        start, size: the source samples start .. start + size.
        out: how many output samples they become, at least 1.
    """

    start: int
    size: int
    out: int

    @property
    def scale(self) -> int:
        """The integer scale at which the field is solved: the next one up, at least 1."""
        return -(-self.out // self.size)

    @property
    def exact(self) -> bool:
        """True where the solved samples are the output samples."""
        return self.out == self.size * self.scale


def spans(grid: tuple[int, ...], view: View) -> tuple[Span, ...]:
    """The spans of a view of `grid`, one for each axis, slowest first.

    Raises:
        UsageError: a crop that is not inside, an output that is too large, anything but the whole of a volume, or what only sound has.
    """
    if view.sound:
        raise UsageError("--rate and --time are for sound, and this is a picture; use --scale or --crop")
    if len(grid) != 2:
        if any(v is not None for v in (view.scale, view.size, view.max_size, view.crop)):
            raise UsageError(f"scale, size and crop need a picture; this signal has {len(grid)} grid axes: leave them out")
        return tuple(Span(start=0, size=size, out=size) for size in grid)
    height, width = grid
    x, y, w, h = view.crop or (0, 0, width, height)
    if x + w > width or y + h > height:
        raise UsageError(f"crop is {x},{y},{w},{h}; expected X,Y,W,H inside the picture, which is {width}x{height}")
    columns, rows = _output_size(w, h, view)
    if max(columns, rows) > MAX_AXIS:
        raise UsageError(f"output would be {columns}x{rows}; expected at most {MAX_AXIS} samples a side: ask for a smaller one")
    return Span(start=y, size=h, out=rows), Span(start=x, size=w, out=columns)


def sound_span(samples: int, rate: int, view: View) -> tuple[int, int]:
    """The source samples first .. last of a view of a sound of `samples` samples at `rate` Hz, at least one.

    Raises:
        UsageError: a view of pictures, or a time at which there is no sound.
    """
    if view.pixels:
        raise UsageError("--scale, --size, --max-size and --crop are for pictures, and this is sound; use --rate and --time")
    if view.time is None:
        return 0, samples
    first, last = (math.floor(min(samples, seconds * rate + 0.5)) for seconds in view.time)
    if first >= last:
        raise _no_time(view, f"a part of the sound, which has {samples / rate:.6g} s")
    return first, last


def output_span(first: int, last: int, view: View) -> tuple[int, int]:
    """The output samples first .. last of a view of sound as they are. Raises UsageError where there are none."""
    if first >= last:
        raise _no_time(view, f"a part that holds a sample at {view.rate} Hz")
    return first, last


def output_depth(view: View, bit_depth: int, floating: bool) -> tuple[int, bool]:
    """Bits of a sound's output samples, and whether they are floating point: its own unless others are asked for."""
    return (bit_depth, floating) if view.bit_depth in (None, bit_depth) else (view.bit_depth or bit_depth, False)


def _no_time(view: View, expected: str) -> UsageError:
    start, stop = view.time or (0.0, math.inf)
    return UsageError(f"time is {start:g} to {stop:g} s; expected {expected}")


def _output_size(width: int, height: int, view: View) -> tuple[int, int]:
    if view.size is not None:
        return view.size
    if view.max_size is not None:
        longest = max(width, height)
        top = min(view.max_size, longest)
        # Integers, so that no aspect ratio rounds differently on another machine.
        return max(1, (2 * width * top + longest) // (2 * longest)), max(1, (2 * height * top + longest) // (2 * longest))
    scale = 1.0 if view.scale is None else min(view.scale, 2.0 * MAX_AXIS)
    return max(1, math.floor(width * scale + 0.5)), max(1, math.floor(height * scale + 0.5))
