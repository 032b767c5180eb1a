"""Where groups of pictures begin: at scene cuts, and inside a scene often enough that a group fits into memory."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...signal import Layout
from ..protocol import Source

LONGEST = 32  # frames of a group
LARGEST = 1 << 24  # and samples of it, but for a frame that has more by itself
AT_ONCE = 1 << 22  # samples that are looked at together
CELL = 8  # side of the blocks whose means are compared
CUT, CUT_RATIO, CUT_NEAR = 0.06, 4.0, 8  # a scene begins where frames differ by so much, and so many times as much as those about it


def scene_starts(source: Source) -> list[int]:
    """The frames at which a scene begins, but for the first. Every frame is read once."""
    return cuts(differences(source))


def group_lengths(layout: Layout, scenes: Sequence[int], *, longest: int = LONGEST, largest: int = LARGEST) -> tuple[int, ...]:
    """Frames of each group, all of a scene about equally long; `scenes` as scene_starts gives them."""
    pixels = layout.samples // layout.grid[0]
    most = max(1, min(longest, largest // pixels))
    edges = [0, *scenes, layout.grid[0]]
    lengths: list[int] = []
    for start, stop in itertools.pairwise(edges):
        count = math.ceil((stop - start) / most)
        lengths += [(stop - start) * (k + 1) // count - (stop - start) * k // count for k in range(count)]
    return tuple(lengths)


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
