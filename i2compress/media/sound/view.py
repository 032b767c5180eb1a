"""The geometry of a View of sound: which samples, at which rate, and in which depth."""

import math
from dataclasses import replace

from ...config import View
from ...errors import UsageError
from ...signal import Layout


def source_span(layout: Layout, view: View) -> tuple[int, int]:
    """The source samples first .. last of a view, at least one. Raises UsageError where there is no sound at its time."""
    samples, rate = layout.samples, layout.rate
    if view.time is None:
        return 0, samples
    first, last = (math.floor(min(samples, seconds * rate + 0.5)) for seconds in view.time)
    if first >= last:
        raise _no_time(view, f"a part of the sound, which has {samples / rate:.6g} s")
    return first, last


def output_span(first: int, last: int, view: View) -> tuple[int, int]:
    """The output samples first .. last of a view as they are. Raises UsageError where there are none."""
    if first >= last:
        raise _no_time(view, f"a part that holds a sample at {view.rate} Hz")
    return first, last


def output_layout(layout: Layout, span: tuple[int, int], view: View) -> Layout:
    """What a view of that many samples gives: in the source's own rate and depth unless others are asked for."""
    own = view.bit_depth in (None, layout.bit_depth)
    depth = layout.bit_depth if view.bit_depth is None else view.bit_depth
    return replace(layout.part(span[1] - span[0]), rate=view.rate or layout.rate, bit_depth=depth, floating=layout.floating and own)


def _no_time(view: View, expected: str) -> UsageError:
    start, stop = view.time or (0.0, math.inf)
    return UsageError(f"time is {start:g} to {stop:g} s; expected {expected}")
