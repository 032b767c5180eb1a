"""A pyramid of integer grids as bytes: coarse levels first, each latent under the context model's prediction.

Index 0 is the finest grid; each after it is along every axis as long as the one before or half as long, rounded up, but for still grids, which have
fewer frames than the others of their level (field.lasting). One stream holds a
contiguous range of levels, coarsest first, each in its coding order; a stream of finer levels needs the grids
of all coarser ones. Levels of zeros alone are a stream of no bytes: at low rates the finest grid is one, and a zero of it would still take
1/2900 bit or more. Other levels are never one, as a decoder reads numbers under -LIMIT from nothing.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from ..arrays import Float64Array, IndexArray, Int32Array, Int64Array, IntegerArray, Shape
from ..errors import MalformedError
from .context import ContextWeights, Predictor, coarse_features
from .context_model import FEATURES, ContextSpec
from .laplace import LIMIT, LaplaceDecoder, LaplaceEncoder, code_length
from .wavefront import CodingOrder, coding_order

Grid: TypeAlias = Int32Array

_CHUNK = 4096  # latents predicted at once by the encoder: the activations stay in the cache


class _Level:
    """One level being coded: its order, a buffer of known latents, and the input rows of the network."""

    def __init__(self, predictor: Predictor, order: CodingOrder, features: Float64Array | None, level: int) -> None:
        self.order = order
        self._predictor = predictor
        self._buffer = np.zeros(order.buffer_size)
        self._offsets = order.offsets[:, None]
        self._features = None if features is None else features.reshape(FEATURES, -1)
        self._parents = None if features is None else _parents(order, features.shape[1:])
        places = predictor.spec.reads.places
        self._places = None if places is None else places(order.cells, order.shape, level)

    def predict(self, start: int, stop: int) -> tuple[Int64Array, Int64Array]:
        """Means and scale indices of the latents start..stop in coding order; their neighbours must be known."""
        spec = self._predictor.spec
        n = spec.neighbours
        x = np.empty((spec.inputs + 1, stop - start))
        # Indices are right by construction; "clip" only spares numpy a buffered copy.
        np.take(self._buffer, self._offsets + self.order.positions[start:stop], out=x[:n], mode="clip")
        if self._features is None or self._parents is None:
            x[n : n + FEATURES] = 0.0
        else:
            np.take(self._features, self._parents[start:stop], axis=1, out=x[n : n + FEATURES], mode="clip")
        if self._places is not None:
            x[n + FEATURES : -1] = self._places[:, start:stop]
        x[-1] = 1.0
        return self._predictor(x)

    def learn(self, start: int, stop: int, symbols: IntegerArray) -> None:
        """Make the latents start..stop known."""
        self._buffer[self.order.positions[start:stop]] = self._predictor.spec.reads.exact(symbols)


def _parents(order: CodingOrder, coarse: Shape) -> IndexArray:
    """Raster index in the grid after it of each latent, in coding order; that grid is as long or half as long along each axis."""
    if order.shape == coarse:
        return order.cells
    parent = np.zeros((1,) * len(coarse), np.intp)
    for axis, (size, above) in enumerate(zip(order.shape, coarse, strict=True)):
        half = (np.arange(size) >> int(size != above)).reshape([-1 if a == axis else 1 for a in range(len(coarse))])
        parent = parent * above + half
    return parent.ravel()[order.cells]


def _level(predictor: Predictor, weights: ContextWeights, level: int, shape: Shape, coarser: Sequence[Grid], tile: int) -> _Level:
    return _Level(predictor, coding_order(shape, tile, weights.spec.neighbours), coarse_features(weights, level, shape, list(coarser)), level)


def _predict_all(level: _Level, grid: IntegerArray) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Symbols, means and scale indices of a known grid, `[N]` each, in coding order."""
    symbols = grid.ravel()[level.order.cells].astype(np.int64)
    level.learn(0, symbols.size, symbols)
    means, scales = np.empty_like(symbols), np.empty_like(symbols)
    for start in range(0, symbols.size, _CHUNK):
        part = slice(start, min(start + _CHUNK, symbols.size))
        means[part], scales[part] = level.predict(part.start, part.stop)
    return symbols, means, scales


def predictions(grids: Sequence[Grid], level: int, weights: ContextWeights, *, tile: int) -> tuple[Int64Array, Int64Array]:
    """What the coder assumes of every latent of one level.

    Args:
        grids: the whole pyramid, finest first.
        level: which grid.
        weights: the context model.
        tile: side of a tile.

    Returns:
        means in 1/32 and scale indices, int64 of the grid's shape.
    """
    state = _level(Predictor(weights), weights, level, grids[level].shape, grids[level + 1 :], tile)
    _, means, scales = _predict_all(state, grids[level])
    back = np.empty_like(state.order.cells)
    back[state.order.cells] = np.arange(back.size)
    return means[back].reshape(grids[level].shape), scales[back].reshape(grids[level].shape)


def latent_bits(grids: Sequence[Grid], weights: ContextWeights, *, tile: int) -> Float64Array:
    """Bits of each level, float64 `[L]`, to which a stream adds at most a byte."""
    predictor = Predictor(weights)
    bits = np.zeros(len(grids))
    for level, grid in enumerate(grids):
        state = _level(predictor, weights, level, grid.shape, grids[level + 1 :], tile)
        bits[level] = code_length(*_predict_all(state, grid)).sum()
    return bits


def encode_latents(grids: Sequence[Grid], weights: ContextWeights, *, tile: int, levels: range | None = None) -> bytes:
    """One stream of some levels, of no bytes where all of them are 0.

    Args:
        grids: the whole pyramid, finest first, 2 or 3 axes each, values at most 1023 in magnitude.
        weights: the context model.
        tile: side of a tile.
        levels: ascending range of levels to code; all where None.

    Raises:
        LimitError: a value over 1023.
        MalformedError: grids that do not fit the context model or each other.
    """
    _check_shapes([grid.shape for grid in grids], weights)
    levels = range(len(grids)) if levels is None else levels
    if not any(grids[level].any() for level in levels):
        return b""
    predictor, encoder = Predictor(weights), LaplaceEncoder()
    for level in reversed(levels):
        state = _level(predictor, weights, level, grids[level].shape, grids[level + 1 :], tile)
        encoder.encode(*_predict_all(state, grids[level]))
    return encoder.to_bytes()


def decode_latents(
    data: bytes, shapes: Sequence[Shape], weights: ContextWeights, *, tile: int, levels: range | None = None, coarser: Sequence[Grid] = ()
) -> list[Grid]:
    """Mirror of encode_latents.

    Args:
        data: the stream.
        shapes: of all grids of the pyramid, finest first.
        weights: the context model.
        tile: side of a tile.
        levels: the range of levels in the stream; all where None.
        coarser: the grids of the levels from levels.stop on, finest first.

    Returns:
        the grids of `levels`, finest first, int32, at most 1023 in magnitude.

    Raises:
        MalformedError: shapes that do not fit, or a stream that no encoder writes.
    """
    _check_shapes(shapes, weights)
    levels = range(len(shapes)) if levels is None else levels
    if [grid.shape for grid in coarser] != list(shapes[levels.stop :]):
        raise MalformedError(f"coarser grids are {[g.shape for g in coarser]}; expected {list(shapes[levels.stop :])}")
    if not data:
        return [np.zeros(shapes[level], np.int32) for level in levels]
    predictor, decoder = Predictor(weights), LaplaceDecoder(data)
    known = list(coarser)
    for level in reversed(levels):
        known.insert(0, _decode_level(_level(predictor, weights, level, shapes[level], known, tile), decoder))
    return known[: len(levels)]


def _decode_level(level: _Level, decoder: LaplaceDecoder) -> Grid:
    order = level.order
    symbols = np.empty(order.cells.size, np.int32)
    for start, stop in pairwise(order.starts.tolist()):
        means, scales = level.predict(start, stop)
        wave = decoder.decode(means, scales)
        level.learn(start, stop, wave)
        symbols[start:stop] = wave
    if symbols.min() < -LIMIT or symbols.max() > LIMIT:
        raise MalformedError(f"latents are in {symbols.min()}..{symbols.max()}; the format holds -{LIMIT} to {LIMIT}; the file is damaged")
    grid = np.empty_like(symbols)
    grid[order.cells] = symbols
    return grid.reshape(order.shape)


def _check_shapes(shapes: Sequence[Shape], weights: ContextWeights) -> None:
    spec = weights.spec
    moving = [shape for number, shape in enumerate(shapes) if number not in spec.still]
    follows = all(
        len(before) == len(after) and all(short in (size, -(-size >> 1)) for size, short in zip(before, after, strict=True))
        for before, after in pairwise(moving)
    )
    if len(shapes) != spec.grids or not shapes or not follows or not all(_lasts(shapes, number, spec) for number in spec.still):
        raise MalformedError(
            f"latent grids are {list(shapes)}; expected {weights.spec.grids}, each along each axis like the one before or half of it"
        )


def _lasts(shapes: Sequence[Shape], number: int, spec: ContextSpec) -> bool:
    """Whether a still grid has as many frames as those of its level ask for."""
    own = max((other for other in range(number) if other not in spec.still), default=None)
    return own is not None and shapes[number] == (-(-shapes[own][0] >> spec.lasting[number]), *shapes[own][1:])
