"""Frames that move over a grid: each sees the values of its own moment from a place of its own."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array, FloatingArray
from ..coords import KEYS_HALO, keys_four, keys_taps, phase_offsets
from ..mesh import Mesh
from .blocks import BlockSolver, Scales, pieces
from .pyramid import Box, Range


class MovingSolver:
    """Values of any region of frames that move over a field.

    The values of the field at the moments of frames are interpolated between samples by Keys' cubic, beyond the grid its outermost ones go on.
    Between two frames the place goes evenly from one to the other, so that in a moment between them nothing is seen twice.

    Args:
        solver: of the field, of three axes.
        offsets: `[frames, 2]`, where the first row and column of each frame lie in the field's grid.
        grid: frames, and rows and columns of each.
        mesh: how parts of the frames move besides; None where none do.
    """

    def __init__(self, solver: BlockSolver, offsets: npt.NDArray[np.float64], grid: tuple[int, ...], mesh: Mesh | None = None) -> None:
        self._solver, self._offsets, self._grid, self._mesh = solver, offsets, grid, mesh

    @property
    def grid(self) -> tuple[int, ...]:
        """Frames, and rows and columns of each."""
        return self._grid

    def bands(self, region: Box, scales: Scales, axis: int) -> Iterator[Float32Array]:
        """See BlockSolver.bands; `axis` is the first one."""
        frames, rows, columns = region
        for start, stop in pieces(*frames, self._solver.rows(scales, axis)):
            moments = [frame + offset for frame in range(start, stop) for offset in phase_offsets(scales[0])]
            offsets = self._at(moments)
            points = None if self._mesh is None else self._mesh.at(moments)
            down, across = (
                _seen(part, offsets[:, k], 0 if points is None else points[:, k], size)
                for k, (part, size) in enumerate(zip((rows, columns), self._solver.grid[1:], strict=True))
            )
            (values,) = self._solver.bands(((start, stop), down, across), scales, axis)
            yield np.stack(
                [
                    self._frame(values[n], offsets[n], None if points is None else points[n], (rows, down, columns, across), scales)
                    for n in range(len(moments))
                ]
            )

    def _frame(
        self, values: Float32Array, offset: FloatingArray, points: Float32Array | None, parts: Sequence[Range], scales: Scales
    ) -> Float32Array:
        """What a moment's frame shows of the field's values.

        Args:
            values: of the field, its samples `down` and `across`.
            offset: where the frame lies.
            points: displacements of the mesh's points `[2, rows, columns]`, where there is one.
            parts: the frame's rows, the field's, the frame's columns and the field's.
            scales: see bands.
        """
        rows, down, columns, across = parts
        (y, x), (_, tall, wide) = offset, scales
        if self._mesh is None or points is None:
            return _moved(_moved(values, 0, y, rows, down[0], tall), 1, x, columns, across[0], wide)
        # Rows first, for all of the field's columns, each of which lies at a place of its own in the frame.
        to_rows, to_columns = (np.arange(part[0] * scale, part[1] * scale) for part, scale in ((rows, tall), (columns, wide)))
        there = (np.arange(across[0] * wide, across[1] * wide) + 0.5) / wide - 0.5 - x
        own, beside = (to_rows + 0.5) / tall - 0.5, (to_columns + 0.5) / wide - 0.5
        by_rows = (self._mesh.over(points[0], own, there) + y) * tall + (to_rows - down[0] * tall)[:, None]
        by_columns = (self._mesh.over(points[1], own, beside) + x) * wide + (to_columns - across[0] * wide)
        return _read(_read(values, 0, by_rows), 1, by_columns)

    def _at(self, moments: list[float]) -> npt.NDArray[np.float64]:
        """Offsets `[n, 2]` at moments in frames; those of the first and the last frame before and after them."""
        known = np.arange(len(self._offsets))
        return np.stack([np.interp(moments, known, self._offsets[:, k]) for k in range(2)], -1)


def _seen(part: Range, offsets: npt.NDArray[np.float64], moves: Float32Array | int, size: int) -> Range:
    """The samples of the field that frames at these offsets see of a part of them, parts of which move so far along the axis."""
    first, last = int(np.floor(offsets.min() + np.min(moves))), int(np.ceil(offsets.max() + np.max(moves)))
    return max(0, min(part[0] + first - KEYS_HALO, size - 1)), min(size, max(part[1] + last + KEYS_HALO, 1))


def _moved(values: Float32Array, axis: int, offset: float, part: Range, origin: int, scale: int) -> Float32Array:
    """The samples `part` of one axis of a frame that lies at `offset`, from values that begin at the field's sample `origin`."""
    whole = round(offset * scale)
    taps = keys_taps(offset * scale - whole).astype(np.float32)
    at = np.arange(part[0] * scale, part[1] * scale) + whole - origin * scale
    total = np.zeros([len(at) if a == axis else side for a, side in enumerate(values.shape)], np.float32)
    for tap, weight in enumerate(taps, -KEYS_HALO):
        if weight:
            total += weight * np.take(values, (at + tap).clip(0, values.shape[axis] - 1), axis=axis)
    return total


def _read(values: Float32Array, axis: int, at: FloatingArray) -> Float32Array:
    """Values `[h, w, D]` read at places `at` along one axis, `[h', w]` or `[h, w']`, by Keys' cubic, beyond the ends its outermost samples."""
    whole = np.floor(at)
    weights = keys_four((at - whole).astype(np.float32))
    size, width = values.shape[axis], values.shape[1]
    flat, base = values.reshape(-1, values.shape[2]), np.arange(width) if axis == 0 else np.arange(len(values))[:, None] * width
    total = np.zeros((*at.shape, values.shape[2]), np.float32)
    for k, weight in enumerate(weights, -1):
        places = (whole.astype(np.intp) + k).clip(0, size - 1)
        total += weight[..., None] * flat[places * width + base if axis == 0 else places + base]
    return total
