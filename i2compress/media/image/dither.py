"""Dither: noise of one code value, so that rounding makes no contours where a picture changes slowly.

The noise of a sample depends on its place alone, by integer arithmetic: the same file gives the same picture on every machine, in every
order of rows, and a crop has the noise of the whole.
"""

import numpy as np
import numpy.typing as npt

from ...arrays import Float32Array

BITS = 24  # of a number, which float32 holds exactly


def dithered(values: Float32Array, bit_depth: int, *, row: int, column: int) -> Float32Array:
    """`values` `[h, W, C]` in [0, 1] plus noise of -1/2 .. 1/2 code values, the same in all channels; black and white stay as they are.

    Args:
        values: of the rows from `row` on and the columns from `column` on of the whole output.
        bit_depth: of the code values that they will be rounded to.
        row, column: as above.
    """
    height, width = values.shape[:2]
    rows, columns = np.arange(row, row + height, dtype=np.uint32), np.arange(column, column + width, dtype=np.uint32)
    noise = numbers(rows[:, None], columns).astype(np.float32) * np.float32(2.0**-BITS) - np.float32(0.5)
    inside = (values > 0) & (values < 1)
    found: Float32Array = values + np.where(inside, noise[..., None] / np.float32(2**bit_depth - 1), np.float32(0))
    return found


def numbers(rows: npt.NDArray[np.uint32], columns: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """0 .. 2^BITS - 1 for each place, modulo 2^32: the hash lowbias32 (Wellons 2018) of the column + lowbias32 of the row."""
    return _mixed(columns + _mixed(rows)) >> np.uint32(32 - BITS)


def _mixed(x: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
