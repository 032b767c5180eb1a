"""Which neighbours a latent sees, and the order in which the latents of one grid are coded.

A grid is cut into tiles; a neighbour outside its latent's tile, or outside the grid, counts as 0. Inside a tile the
latent at `coord` belongs to wave t = sum(slope_a * coord_a), with the smallest slopes for which every neighbour lies in
an earlier wave. All latents of one wave, in all tiles, are coded in one step: tile by tile in raster order, inside a
tile in raster order. So there are as many steps as waves in one tile, however large the grid.

Tiles live one after the other in one flat buffer, each with margins of zeros, so that a latent's neighbours are at fixed
distances before it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from ..arrays import IndexArray, IntegerArray
from ..errors import MalformedError

Coord: TypeAlias = tuple[int, ...]

# (dy, dx), nearest first, so that the first n are a smaller context for any n.
OFFSETS_2D: tuple[Coord, ...] = (
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-2, -1), (-2, 1), (-1, -2), (-2, -2), (-2, 2), (0, -3), (-3, 0),
)  # fmt: skip
# (dz, dy, dx), nearest first: five of the plane before and nine of the same plane.
OFFSETS_3D: tuple[Coord, ...] = (
    (0, 0, -1), (0, -1, 0), (-1, 0, 0), (0, -1, -1), (0, -1, 1), (-1, 0, -1), (-1, 0, 1), (-1, -1, 0), (-1, 1, 0),
    (0, 0, -2), (0, -2, 0), (0, -2, -1), (0, -2, 1), (0, -1, -2),
)  # fmt: skip
DEFAULT_OFFSETS = {2: OFFSETS_2D, 3: OFFSETS_3D}

_CACHED_CELLS = 1 << 20  # coding orders of larger grids are not kept: 16 bytes a latent


def causal_offsets(axes: int, count: int | None = None) -> tuple[Coord, ...]:
    """The `count` nearest causal neighbours (all 13 or 14 where None) of a grid with 2 or 3 axes, slowest axis first.

    Raises:
        MalformedError: other numbers of axes or neighbours.
    """
    if axes not in DEFAULT_OFFSETS:
        raise MalformedError(f"latent grid has {axes} axes; expected 2 or 3")
    offsets = DEFAULT_OFFSETS[axes]
    count = len(offsets) if count is None else count
    if not 1 <= count <= len(offsets):
        raise MalformedError(f"context has {count} neighbours; expected 1 to {len(offsets)}")
    return offsets[:count]


def wave_slopes(offsets: tuple[Coord, ...]) -> tuple[int, ...]:
    """The smallest slopes >= 0, slowest axis first, with sum(slope * offset) < 0 for every offset."""
    axes = len(offsets[0])
    slopes = [0] * axes
    for axis in reversed(range(axes)):
        for offset in offsets:
            if offset[axis] < 0 and not any(offset[:axis]):
                ahead = sum(s * o for s, o in zip(slopes[axis + 1 :], offset[axis + 1 :], strict=True))
                slopes[axis] = max(slopes[axis], ahead // -offset[axis] + 1)
    return tuple(slopes)


@dataclass(frozen=True, kw_only=True)
class CodingOrder:
    """The coding order of one grid of N latents; arrays are read-only.

    Args:
        shape: of the grid.
        buffer_size: length of the flat buffer with margins, all zero before the first latent is written.
        positions: `[N]` place in the buffer of each latent, in coding order.
        cells: `[N]` raster index in the grid of each latent, in coding order.
        starts: `[steps + 1]` where each step begins in coding order; the last is N.
        offsets: `[n]` distance in the buffer to each neighbour, all negative.
    """

    shape: Coord
    buffer_size: int
    positions: IndexArray
    cells: IndexArray
    starts: IndexArray
    offsets: IndexArray

    def __post_init__(self) -> None:
        for array in (self.positions, self.cells, self.starts, self.offsets):
            array.setflags(write=False)


def coding_order(shape: Coord, tile: int, neighbours: int | None = None) -> CodingOrder:
    """The coding order of a grid of `shape` (2 or 3 axes, each at least 1) in tiles of `tile` along each axis.

    Raises:
        MalformedError: a shape, tile or number of neighbours that the format does not hold.
    """
    offsets = causal_offsets(len(shape), neighbours)
    if min(shape) < 1 or tile < 1:
        raise MalformedError(f"latent grid is {shape} in tiles of {tile}; expected at least 1 everywhere")
    sides = tuple(min(tile, size) for size in shape)
    build = _cached if int(np.prod(shape)) <= _CACHED_CELLS else _build
    return build(tuple(shape), sides, offsets)


def _build(shape: Coord, sides: Coord, offsets: tuple[Coord, ...]) -> CodingOrder:
    axes = range(len(shape))
    # One margin serves the end of a row and the start of the next: as wide as the farther reach.
    margins = tuple(max(abs(o[a]) for o in offsets) for a in axes)
    padded = tuple(side + margin for side, margin in zip(sides, margins, strict=True))
    strides = tuple(int(np.prod(padded[a + 1 :])) for a in axes)
    places, cells, waves = _tiled(shape, sides, padded, wave_slopes(offsets))
    places += sum(stride * margin for stride, margin in zip(strides, margins, strict=True))
    order = np.argsort(waves, kind="stable")  # stable, so that inside a wave the order of tiles stays
    steps = np.bincount(waves)
    return CodingOrder(
        shape=shape,
        buffer_size=int(np.prod([-(-size // side) for size, side in zip(shape, sides, strict=True)])) * int(np.prod(padded)),
        positions=places[order],
        cells=cells[order],
        starts=np.concatenate([[0], np.cumsum(steps[steps > 0])]).astype(np.intp),
        offsets=np.array([sum(o[a] * strides[a] for a in axes) for o in offsets], np.intp),
    )


def _tiled(shape: Coord, sides: Coord, padded: Coord, slopes: Coord) -> tuple[IndexArray, IndexArray, IntegerArray]:
    """Place in the buffer (margins not counted), raster index in the grid and wave of each latent `[N]`, tile by tile in raster order."""
    axes = len(shape)
    # Axes (tile_0, ..., inside_0, ...): their raster order is the order wanted.
    tile_index, inside_index, cells, waves = (np.zeros((1,) * (2 * axes), np.intp) for _ in range(4))
    valid = np.ones((1,) * (2 * axes), np.bool_)
    for a in range(axes):
        count = -(-shape[a] // sides[a])
        tiles = np.arange(count).reshape([-1 if b == a else 1 for b in range(2 * axes)])
        inside = np.arange(sides[a]).reshape([-1 if b == a + axes else 1 for b in range(2 * axes)])
        coord = tiles * sides[a] + inside
        tile_index = tile_index * count + tiles
        inside_index = inside_index * padded[a] + inside
        cells = cells * shape[a] + coord
        waves = waves + slopes[a] * inside
        valid = valid & (coord < shape[a])
    key = np.uint16 if waves.max() < 1 << 16 else np.intp  # numpy sorts 16-bit keys in linear time
    places = tile_index * int(np.prod(padded)) + inside_index
    return places[valid], cells[valid], np.broadcast_to(waves.astype(key), valid.shape)[valid]


_cached = lru_cache(maxsize=32)(_build)
