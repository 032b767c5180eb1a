"""The cells of a sparse pyramid: latents exist near a surface only, and everything here grows with the surface.

The grid is cut into blocks of side 2**b, and a file says which are active. Level 0 has the cells of the active blocks, block after block
in raster order, in raster order inside each. A cell of level l is interpolated from eight of level l + 1, along each axis from its own
parent c >> 1 (3/4) and the one on its side (1/4), cut to the grid: all those exist in level l + 1, in raster order.

Neighbours and parents are tables of indices, so that what is done with a level is a gather over its cells.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..arrays import BoolArray, Float32Array, FloatingArray, IndexArray, Shape
from ..errors import LimitError
from .wavefront import causal_offsets, wave_slopes

MAX_CELLS = 1 << 24  # of level 0; each takes about a kilobyte while it is decoded
CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))  # 1: the parent on the side, for each of the eight
PARENT_WEIGHTS = np.prod(np.where(CORNERS, 0.25, 0.75), axis=1)  # multiples of 1/64


@dataclass(frozen=True, kw_only=True)
class Level:
    """The cells of one level.

    Args:
        level: its number.
        shape: of the grid of its cells, three axes.
        cells: `[N, 3]` coordinates.
        table: where in the order of `cells` a cell is, N where there is none: of blocks for level 0, of cells for the others.
        block: log2 of the side of what `table` counts.
    """

    level: int
    shape: Shape
    cells: IndexArray
    table: npt.NDArray[np.int32]
    block: int

    @property
    def count(self) -> int:
        """N."""
        return len(self.cells)

    def index(self, coords: IndexArray) -> IndexArray:
        """Where cells `[..., 3]` are in this level; N for one that is not."""
        inside: BoolArray = np.all((coords >= 0) & (coords < np.array(self.shape)), axis=-1)
        safe = np.where(inside[..., None], coords, 0)
        side = 1 << self.block
        high, low = safe >> self.block, safe & (side - 1)
        at = self.table[high[..., 0], high[..., 1], high[..., 2]].astype(np.intp)
        found = at * side**3 + (low[..., 0] * side + low[..., 1]) * side + low[..., 2]
        return np.where(inside & (found < self.count), found, self.count)

    def neighbours(self, count: int) -> IndexArray:
        """`[count, N]`: where the causal neighbours of every cell are, N for those that are not there."""
        return np.stack([self.index(self.cells + np.array(offset)) for offset in causal_offsets(3, count)])

    def parents(self, above: "Level") -> IndexArray:
        """`[8, N]`: where the eight cells of the level above are that each cell is interpolated from."""
        return np.stack([above.index(parent) for parent in _parents(self.cells, above.shape)])

    def waves(self, neighbours: int) -> tuple[IndexArray, IndexArray]:
        """The coding order of the cells `[N]`, and where in it each wave begins, the last entry N; see coding.wavefront."""
        waves = self.cells @ np.array(wave_slopes(causal_offsets(3, neighbours)))
        order = np.argsort(waves, kind="stable")
        sizes = np.bincount(waves)
        return order, np.concatenate([[0], np.cumsum(sizes[sizes > 0])]).astype(np.intp)


def _parents(cells: IndexArray, shape: Shape) -> list[IndexArray]:
    """The eight parents `[N, 3]` of each cell, in a grid of that shape."""
    own = cells >> 1
    side = np.clip(own + 2 * (cells & 1) - 1, 0, np.array(shape) - 1)
    return [np.where(corner, side, own) for corner in CORNERS]


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """The cells of all levels.

    Args:
        grid: samples along each of three axes.
        block: log2 of the side of a block, 2 to 4.
        active: which blocks are, `[ceil(X / 2**block), ...]`; at least one.
        depth: how many levels.

    Raises:
        LimitError: more cells than a file may have.
    """

    grid: Shape
    block: int
    active: BoolArray
    depth: int

    def __post_init__(self) -> None:
        cells = int(self.active.sum()) << 3 * self.block
        if not 0 < cells <= MAX_CELLS:
            raise LimitError(f"the active blocks have {cells} cells; expected 1 to {MAX_CELLS}: use a coarser grid")

    @cached_property
    def levels(self) -> list[Level]:
        """Finest first."""
        side = 1 << self.block
        blocks = np.argwhere(self.active)
        table = np.full(self.active.shape, len(blocks), np.int32)
        table[self.active] = np.arange(len(blocks), dtype=np.int32)
        inside = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
        shape = tuple(size * side for size in self.active.shape)
        found = [Level(level=0, shape=shape, cells=(blocks[:, None] * side + inside).reshape(-1, 3), table=table, block=self.block)]
        for level in range(1, self.depth):
            shape = tuple(-(-size // 2) for size in shape)
            marked = np.zeros(shape, np.bool_)
            for parent in _parents(found[-1].cells, shape):
                marked[tuple(parent.T)] = True
            cells = np.argwhere(marked)
            places = np.full(shape, len(cells), np.int32)
            places[marked] = np.arange(len(cells), dtype=np.int32)
            found.append(Level(level=level, shape=shape, cells=cells, table=places, block=0))
        return found

    @cached_property
    def parents(self) -> list[IndexArray]:
        """Level.parents of each level but the last."""
        return [fine.parents(above) for fine, above in itertools.pairwise(self.levels)]


def interpolate(values: Float32Array, parents: IndexArray) -> Float32Array:
    """Values `[N, C]` of a level from those of the level above."""
    total = np.zeros((parents.shape[1], values.shape[1]), values.dtype)
    for weight, rows in zip(PARENT_WEIGHTS, parents, strict=True):
        total += values.dtype.type(weight) * values[rows]
    return total


def spline_taps(level: Level, points: FloatingArray) -> tuple[IndexArray, Float32Array]:
    """The quadratic B-spline around each of `points` `[M, 3]`, in cells: 27 cells of `level` and their weights, `[M, 27]` each.

    Cells that are not there weigh nothing, and the weights of a point are divided by their sum; a point of which none is there has
    weights of 0. The index of a cell that is not there is 0.
    """
    nearest = np.floor(points + 0.5).astype(np.intp)
    t = (points - nearest).astype(np.float32)
    along = np.stack([0.5 * (0.5 - t) ** 2, 0.75 - t**2, 0.5 * (0.5 + t) ** 2], 1)  # [M, 3 taps, 3 axes]
    rows = np.empty((len(points), 27), np.intp)
    weights = np.empty((len(points), 27), np.float32)
    for number, (a, b, c) in enumerate(itertools.product(range(3), repeat=3)):
        rows[:, number] = level.index(nearest + np.array([a, b, c]) - 1)
        weights[:, number] = along[:, a, 0] * along[:, b, 1] * along[:, c, 2]
    missing = rows == level.count
    rows[missing], weights[missing] = 0, 0
    total = weights.sum(1, keepdims=True)
    weights /= np.where(total > 0, total, 1)
    return rows, weights
