"""Where parts of frames move by themselves: displacements at the points of a mesh that lies over every frame.

Between its points a mesh is bilinear (control grid interpolation: Sullivan and Baker, "Motion compensation for video compression using control grid
interpolation", ICASSP 1991), between its moments linear; beyond its last points and moments they go on.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .arrays import Float32Array, FloatingArray, IntegerArray, Shape

STEPS = 4  # displacements of a sample


@dataclass(frozen=True, kw_only=True, eq=False)
class Mesh:
    """A mesh over the frames of a group.

    Args:
        cell: samples of a frame from one of its points to the next, along rows and columns. The first lies at sample 0.
        pace: frames from one of its moments to the next. The first is that of frame 0.
        moves: integers `[moments, 2, rows, columns]`, displacements along rows and along columns in parts of a sample, STEPS of which are one.
    """

    cell: int
    pace: int
    moves: IntegerArray

    @cached_property
    def values(self) -> Float32Array:
        """The displacements in samples."""
        return np.asarray(self.moves / STEPS, np.float32)

    def at(self, moments: npt.ArrayLike) -> Float32Array:
        """Displacements of the points `[n, 2, rows, columns]` at moments in frames from the first one, in samples."""
        return np.asarray(np.tensordot(linear(moments, self.pace, len(self.values)), self.values, 1), np.float32)

    def over(self, points: Float32Array, rows: FloatingArray, columns: FloatingArray) -> Float32Array:
        """Displacements along one axis, `[len(rows), len(columns)]`, at rows and columns of a frame, from those of the points `[rows, columns]`."""
        down, across = (linear(places, self.cell, size) for places, size in zip((rows, columns), points.shape, strict=True))
        return np.asarray(down @ points @ across.T, np.float32)


def mesh_shape(grid: Shape, cell: int, pace: int) -> tuple[int, int, int, int]:
    """`[moments, 2, rows, columns]` of the mesh over frames of `grid` (frames, rows, columns): as few as reach the last of each."""
    frames, rows, columns = (-(-(size - 1) // step) + 1 for size, step in zip(grid, (pace, cell, cell), strict=True))
    return frames, 2, rows, columns


def linear(places: npt.ArrayLike, step: int, count: int) -> Float32Array:
    """Weights `[n, count]` of points 0, step, 2 step ... at places, of which those beyond the outermost points have theirs."""
    at = (np.asarray(places, np.float64) / step).clip(0, count - 1)
    return np.asarray((1 - np.abs(at[:, None] - np.arange(count))).clip(0), np.float32)
