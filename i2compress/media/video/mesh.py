"""The payload of the chunk 'M': the mesh of a group whose frames move by parts; section 15.6 of docs/format.md.

A displacement is coded as its difference from the same point's a moment before, less that of the point above it; under a Laplace distribution whose
scale is about the mean of the magnitudes that came in the same context, which is how far the points about it have moved. Rows are coded whole.
"""

from collections.abc import Callable

import numpy as np

from ...arrays import Int64Array, Shape
from ...coding.laplace import LIMIT, SCALES, LaplaceDecoder, LaplaceEncoder
from ...errors import LimitError, MalformedError
from ...header import MAX_AXIS, Cursor, encode_varint
from ...mesh import Mesh, mesh_shape

LEAST_CELL = 4
FARTHEST = LIMIT // 4  # of a displacement: its difference from three others can be coded
MOST_ROWS, MOST_POINTS = 1 << 16, 1 << 22  # of all moments and axes: rows are decoded one after the other
MOST = 7  # the last context
FORGET = 64  # so many magnitudes of a context count half from then on
TENTHS = 10  # a scale is a tenth more than the mean: what is nearly always 0 is not always 0

Code = Callable[[tuple[int, int, int], Int64Array], Int64Array]
"""Codes a row's symbols at (moment, axis, row), given their scale indices, and gives them."""


def mesh_bytes(mesh: Mesh) -> bytes:
    """`read_mesh` undoes it."""
    encoder, moves = LaplaceEncoder(), np.asarray(mesh.moves, np.int64)
    symbols = _symbols(moves)

    def code(at: tuple[int, int, int], scales: Int64Array) -> Int64Array:
        encoder.encode(symbols[at], np.zeros_like(scales), scales)
        row: Int64Array = symbols[at]
        return row

    _walk(moves.shape, code)
    return encode_varint(mesh.cell) + encode_varint(mesh.pace) + encoder.to_bytes()


def read_mesh(cursor: Cursor, grid: Shape) -> Mesh:
    """The mesh over frames of `grid` (frames, rows, columns). Raises FormatError where no encoder writes it."""
    cell, pace = (cursor.varint(f"{what} of the mesh", MAX_AXIS) for what in ("cell", "pace"))
    if cell < LEAST_CELL or pace < 1:
        raise MalformedError(f"{cursor.where} has a mesh of cell {cell} and pace {pace}; expected at least {LEAST_CELL} and 1: {cursor.advice}")
    moments, axes, rows, columns = mesh_shape(grid, cell, pace)
    if (count := moments * axes * rows) > MOST_ROWS or count * columns > MOST_POINTS:
        raise LimitError(f"{cursor.where} has a mesh of {count} rows of {columns} points; expected at most {MOST_ROWS} rows and {MOST_POINTS} points")
    decoder = LaplaceDecoder(bytes(cursor.data[cursor.position :]))
    moves = _walk((moments, axes, rows, columns), lambda _, scales: decoder.decode(np.zeros_like(scales), scales))
    if not 0 < np.abs(moves).max() <= FARTHEST:
        raise MalformedError(f"{cursor.where} has displacements up to {np.abs(moves).max()}; expected up to 1 to {FARTHEST}: {cursor.advice}")
    return Mesh(cell=cell, pace=pace, moves=moves)


def _symbols(moves: Int64Array) -> Int64Array:
    """What is coded of each displacement."""
    steps = np.diff(moves, axis=0, prepend=0)
    return np.diff(steps, axis=2, prepend=0)


class _Scales:
    """The scale index of each context, by the magnitudes that came in it."""

    def __init__(self) -> None:
        self._sums, self._counts = np.arange(MOST + 1, dtype=np.int64), np.ones(MOST + 1, np.int64)

    def of(self, contexts: Int64Array) -> Int64Array:
        """The number of scales, but for the first, that are no more than a context's mean and a tenth. All products are exact."""
        wanted = TENTHS * self._sums + self._counts
        found = (SCALES[None, 1:] * (TENTHS * self._counts[:, None]) <= wanted[:, None]).sum(1)
        return np.asarray(found[contexts], np.int64)

    def learn(self, contexts: Int64Array, symbols: Int64Array) -> None:
        """Count symbols, of a row at once."""
        np.add.at(self._sums, contexts, np.abs(symbols))
        np.add.at(self._counts, contexts, 1)
        many = self._counts > FORGET
        self._sums[many] >>= 1
        self._counts[many] >>= 1


def _walk(shape: Shape, code: Code) -> Int64Array:
    """All displacements `[moments, 2, rows, columns]`, of which each row is coded under scales that those before it give."""
    moments, axes, rows, columns = shape
    scales, steps = _Scales(), np.zeros((moments + 1, axes, rows + 1, columns), np.int64)  # a moment and a row of zeros before them
    for moment in range(moments):
        for axis in range(axes):
            for row in range(rows):
                above, before = steps[moment + 1, axis, row], steps[moment, axis, row + 1]
                beside = np.pad(np.abs(above), 1)
                near = 2 * (np.abs(before) + np.abs(above)) + beside[:-2] + beside[2:]
                contexts = np.minimum((near + 1) // 2, MOST)
                symbols = code((moment, axis, row), scales.of(contexts))
                scales.learn(contexts, symbols)
                steps[moment + 1, axis, row + 1] = above + symbols
    return np.asarray(steps[1:, :, 1:].cumsum(0), np.int64)
