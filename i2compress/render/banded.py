"""Short filters along one axis, as small dense matrix products.

A filter of few taps that is applied to `group` neighbouring samples at once is a small banded matrix. Multiplying with
its zeros costs less than one pass of elementwise arithmetic for every tap.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from ..arrays import Float32Array

GROUP = 8


@dataclass(frozen=True, kw_only=True)
class Band:
    """A filter for `GROUP` input samples at a time.

    Args:
        matrix: float32 `[ratio * GROUP, GROUP + 2 * halo]`; row r makes output r of a group.
        halo: input samples used on either side of a group.
    """

    matrix: Float32Array
    halo: int

    @property
    def ratio(self) -> int:
        """Output samples for each input sample."""
        return len(self.matrix) // GROUP


def correlation(taps: npt.NDArray[np.floating]) -> Band:
    """Cross-correlation with `taps`, an odd number of them, centred."""
    halo = len(taps) // 2
    matrix = np.zeros((GROUP, GROUP + 2 * halo), np.float32)
    for row in range(GROUP):
        matrix[row, row : row + len(taps)] = taps
    return Band(matrix=matrix, halo=halo)


def doubling(half: npt.NDArray[np.floating]) -> Band:
    """Symmetric 8-tap filter, half `[4]` stored outermost first, that doubles the rate.

    Output samples 2 i and 2 i + 1 lie a quarter of an input sample before and after input sample i:

        out[2 i]     = t0 x[i-2] + t2 x[i-1] + t3 x[i] + t1 x[i+1]
        out[2 i + 1] = t1 x[i-1] + t3 x[i] + t2 x[i+1] + t0 x[i+2]
    """
    t0, t1, t2, t3 = half
    matrix = np.zeros((2 * GROUP, GROUP + 4), np.float32)
    for i in range(GROUP):
        matrix[2 * i, i : i + 4] = t0, t2, t3, t1
        matrix[2 * i + 1, i + 1 : i + 5] = t1, t3, t2, t0
    return Band(matrix=matrix, halo=2)


def apply(band: Band, x: Float32Array, axis: int, first: int, count: int) -> Float32Array:
    """The filtered samples of one axis, its edges replicated.

    Args:
        band: the filter.
        x: float32, at least 2 axes.
        axis: which axis, not negative.
        first, count: the input samples first .. first + count, relative to x, whose outputs are wanted.

    Returns:
        float32, `count * band.ratio` samples along `axis` (a view).
    """
    groups = -(-count // GROUP)
    reach = np.arange(first - band.halo, first + groups * GROUP + band.halo)
    x = np.take(x, reach.clip(0, x.shape[axis] - 1), axis=axis)
    sides = list(x.shape)
    sides[axis] = groups * len(band.matrix)
    out = np.empty(sides, np.float32)
    view = _grouped(x, axis, groups, GROUP, band.matrix.shape[1])
    target = _grouped(out, axis, groups, *(len(band.matrix),) * 2)
    if axis == x.ndim - 1:
        np.matmul(view, band.matrix.T, out=target)
    else:
        np.matmul(band.matrix, view, out=target)
    return out[(slice(None),) * axis + (slice(0, count * band.ratio),)]


def _grouped(x: Float32Array, axis: int, groups: int, stride: int, length: int) -> Float32Array:
    """Overlapping groups of one axis as matrices: `[..., groups, length, last]`, or `[..., groups, rows, length]` of the last axis."""
    last = axis == x.ndim - 1
    moved = x if last else np.moveaxis(x, axis, -2)
    step, (rows, columns), (down, right) = x.strides[axis] * stride, moved.shape[-2:], moved.strides[-2:]
    matrix = (rows, length) if last else (length, columns)
    return as_strided(moved, (*moved.shape[:-2], groups, *matrix), (*moved.strides[:-2], step, down, right))
