"""Where groups of pictures begin: at scene cuts, and inside a scene often enough that a group fits into memory.

What stands still is told once in a group, and its weights are too, so groups are long; but the plane of a group whose camera moves holds all that it
sees, so where it moves far they are short; and a coordinate field, whose weights are all that there is, gets no more of them for more frames.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...config import DEFAULT_FIELD, EncodeSettings
from ...signal import Layout
from ..protocol import Source
from .camera import brightness, found_path
from .colour import Colour, to_luma
from .motion import plane_grid

LONGEST = 128  # frames of a group
SHORT = 32  # and of one whose camera moves as far as it may, or in a coordinate field
ROOM = 1.25  # samples of the plane of a longer group as multiples of its frames': a step takes as much longer
LARGEST = 1 << 24  # and samples of it, but for a frame that has more by itself
AT_ONCE = 1 << 22  # samples that are looked at together
CELL = 8  # side of the blocks whose means are compared
CUT, CUT_RATIO, CUT_NEAR = 0.06, 4.0, 8  # a scene begins where frames differ by so much, and so many times as much as those about it


def scene_starts(source: Source) -> list[int]:
    """The frames at which a scene begins, but for the first. Every frame is read once."""
    return cuts(differences(source))


def longest_group(layout: Layout, settings: EncodeSettings) -> int:
    """Frames of a group at most."""
    longest = LONGEST if settings.field == DEFAULT_FIELD else SHORT
    return max(1, min(longest, largest_group(settings) // (layout.samples // layout.grid[0]), layout.grid[0]))


def largest_group(settings: EncodeSettings) -> int:
    """Samples of a group at most, but for a frame that has more by itself."""
    return LARGEST >> settings.halvings


def group_lengths(source: Source, scenes: Sequence[int], settings: EncodeSettings) -> tuple[int, ...]:
    """Frames of each group, all of a scene about equally long. Frames of long scenes are read once.

    Args:
        source: of the frames.
        scenes: as scene_starts gives them.
        settings: the field, and in how small parts it is fitted.
    """
    most = longest_group(source.layout, settings)
    lengths: list[int] = []
    for start, stop in itertools.pairwise([0, *scenes, source.layout.grid[0]]):
        longest = most
        while max(found := _cut(start, stop, longest)) > SHORT and _moves_far(source, start, found):
            longest = max(SHORT, longest // 2)
        lengths += found
    return tuple(lengths)


def _cut(start: int, stop: int, most: int) -> list[int]:
    """Frames start..stop - 1 in as few parts of at most so many as there can be, all about equally long: the length of each."""
    count = math.ceil((stop - start) / most)
    return [(stop - start) * (k + 1) // count - (stop - start) * k // count for k in range(count)]


def _moves_far(source: Source, start: int, lengths: Sequence[int]) -> bool:
    """Whether a camera moves so far that the plane of one of these groups, the first of which begins there, would be too large."""
    colour = Colour.from_bytes(source.metadata.colour)
    for begin, length in zip(itertools.accumulate(lengths, initial=start), lengths, strict=False):
        values = np.asarray(source.read(begin, length), np.float32)
        frames = brightness(to_luma(values, colour) if colour.yuv else values, colour)
        if math.prod(plane_grid(frames.shape, found_path(frames))) > ROOM * frames.size:
            return True
    return False


def differences(source: Source) -> npt.NDArray[np.float64]:
    """How far each frame but the first is from the one before it: mean distance of the means of blocks, values in [0, 1]."""
    layout = source.layout
    found, last = np.zeros(layout.grid[0]), None
    for start in range(0, layout.grid[0], _stride(layout)):
        for number, frame in enumerate(source.read(start, _stride(layout)), start):
            cells = _cells(frame.mean(-1))
            found[number] = 0.0 if last is None else float(np.abs(cells - last).mean())
            last = cells
    return found[1:]


def cuts(found: npt.NDArray[np.float64]) -> list[int]:
    """The frames at which a scene begins, but for the first."""
    return [number + 1 for number, distance in enumerate(found) if distance > max(CUT, CUT_RATIO * _about(found, number))]


def _about(found: npt.NDArray[np.float64], number: int) -> float:
    """The usual distance of the frames about one."""
    near = np.concatenate([found[max(0, number - CUT_NEAR) : number], found[number + 1 : number + 1 + CUT_NEAR]])
    return float(np.median(near)) if len(near) else 0.0


def _stride(layout: Layout) -> int:
    return max(1, AT_ONCE * layout.grid[0] // layout.samples)


def _cells(frame: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    side = min(CELL, *frame.shape)
    height, width = (size // side * side for size in frame.shape)
    cells: npt.NDArray[np.floating] = frame[:height, :width].reshape(height // side, side, width // side, side).mean((1, 3))
    return cells
