"""Frames that move over a grid: each sees the values of its own moment from a place of its own."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array
from ..coords import KEYS_HALO, keys_taps, phase_offsets
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
    """

    def __init__(self, solver: BlockSolver, offsets: npt.NDArray[np.float64], grid: tuple[int, ...]) -> None:
        self._solver, self._offsets, self._grid = solver, offsets, grid

    @property
    def grid(self) -> tuple[int, ...]:
        """Frames, and rows and columns of each."""
        return self._grid

    def bands(self, region: Box, scales: Scales, axis: int) -> Iterator[Float32Array]:
        """See BlockSolver.bands; `axis` is the first one."""
        frames, rows, columns = region
        for start, stop in pieces(*frames, self._solver.rows(scales, axis)):
            offsets = self._at([frame + offset for frame in range(start, stop) for offset in phase_offsets(scales[0])])
            down, across = (
                _seen(part, offsets[:, k], size) for k, (part, size) in enumerate(zip((rows, columns), self._solver.grid[1:], strict=True))
            )
            (values,) = self._solver.bands(((start, stop), down, across), scales, axis)
            yield np.stack(
                [
                    _moved(_moved(frame, 0, y, rows, down[0], scales[1]), 1, x, columns, across[0], scales[2])
                    for frame, (y, x) in zip(values, offsets, strict=True)
                ]
            )

    def _at(self, moments: list[float]) -> npt.NDArray[np.float64]:
        """Offsets `[n, 2]` at moments in frames; those of the first and the last frame before and after them."""
        known = np.arange(len(self._offsets))
        return np.stack([np.interp(moments, known, self._offsets[:, k]) for k in range(2)], -1)


def _seen(part: Range, offsets: npt.NDArray[np.float64], size: int) -> Range:
    """The samples of the field that frames at these offsets see of a part of them."""
    first, last = int(np.floor(offsets.min())), int(np.ceil(offsets.max()))
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
