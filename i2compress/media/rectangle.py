"""The rectangle that a view shows of a picture, or of every frame of a video, and how large."""

import math

from ..config import View
from ..errors import UsageError
from ..header import MAX_AXIS
from ..render.span import Span, Spans

CHANNELS = {1: "Gray", 2: "GrayA", 3: "RGB", 4: "RGBA"}


def spans(grid: tuple[int, ...], view: View) -> Spans:
    """The rows and columns of a view of samples of that height and width.

    Raises:
        UsageError: a crop that is not inside, or an output that is too large.
    """
    height, width = grid
    x, y, w, h = view.crop or (0, 0, width, height)
    if x + w > width or y + h > height:
        raise UsageError(f"crop is {x},{y},{w},{h}; expected X,Y,W,H inside the picture, which is {width}x{height}")
    columns, rows = _output_size(w, h, view)
    if max(columns, rows) > MAX_AXIS:
        raise UsageError(f"output would be {columns}x{rows}; expected at most {MAX_AXIS} samples a side: ask for a smaller one")
    return Span(start=y, size=h, out=rows), Span(start=x, size=w, out=columns)


def _output_size(width: int, height: int, view: View) -> tuple[int, int]:
    if view.size is not None:
        across, down = view.size
        # Integers, so that no aspect ratio rounds differently on another machine.
        across = max(1, (2 * width * (down or 0) + height) // (2 * height)) if across is None else across
        return across, max(1, (2 * height * across + width) // (2 * width)) if down is None else down
    if view.max_size is not None:
        longest = max(width, height)
        top = min(view.max_size, longest)
        return max(1, (2 * width * top + longest) // (2 * longest)), max(1, (2 * height * top + longest) // (2 * longest))
    scale = 1.0 if view.scale is None else min(view.scale, 2.0 * MAX_AXIS)
    return max(1, math.floor(width * scale + 0.5)), max(1, math.floor(height * scale + 0.5))
