"""The latents of a sparse pyramid as bytes: coarse levels first, each cell under the context model's prediction.

As coding.latents, with three differences: neighbours that are not there count as 0 and there are no tiles, so a wave is that of the whole grid;
features are interpolated from the coarser levels (coding.lattice) instead of repeated; and every level but the last has them.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array
from ..errors import MalformedError
from .context import ACTIVATION_LIMIT, ContextWeights, Predictor
from .context_model import FEATURES, clipped
from .laplace import LIMIT, LaplaceDecoder, LaplaceEncoder
from .lattice import PARENT_WEIGHTS, Lattice

_CHUNK = 4096  # latents predicted at once by the encoder: the activations stay in the cache


class _Coding:
    """One level being coded, its cells in coding order."""

    def __init__(self, predictor: Predictor, lattice: Lattice, level: int, features: Float64Array | None) -> None:
        cells, count = lattice.levels[level], predictor.spec.neighbours
        self.order, self.starts = cells.waves(count)
        self._predictor, self._neighbours = predictor, cells.neighbours(count)[:, self.order]
        self._known = np.zeros(cells.count + 1)  # the last is what is not there
        self._features = None if features is None else features[:, self.order]

    def predict(self, start: int, stop: int) -> tuple[Int64Array, Int64Array]:
        """Means and scale indices of cells start..stop in coding order; their neighbours must be known."""
        n = self._predictor.spec.neighbours
        x = np.ones((self._predictor.spec.inputs + 1, stop - start))
        x[:n] = self._known[self._neighbours[:, start:stop]]
        x[n:-1] = 0.0 if self._features is None else self._features[:, start:stop]
        return self._predictor(x)

    def learn(self, start: int, stop: int, symbols: Int64Array) -> None:
        """Make the cells start..stop known."""
        self._known[self.order[start:stop]] = clipped(symbols)


def sparse_features(weights: ContextWeights, lattice: Lattice, level: int, coarser: Sequence[Int32Array]) -> Float64Array | None:
    """`[4, N]` in 1/256: the map of `level` times the latents of the coarser levels, interpolated and rounded level by level; None of the last."""
    if not coarser:
        return None
    matrix = weights.value(f"m{level}")
    total = np.zeros((FEATURES, 0))
    for column in reversed(range(len(coarser))):
        own = matrix[:, column, None] * clipped(coarser[column])
        total = _rounded(own if column == len(coarser) - 1 else _interpolated(total, lattice, level + 1 + column) + own)
    return _rounded(_interpolated(total, lattice, level))


def _interpolated(values: Float64Array, lattice: Lattice, level: int) -> Float64Array:
    """Values `[F, N]` of a level from those of the level above: sums of multiples of 1/64 under 2**53, so exact."""
    total = np.zeros((len(values), lattice.levels[level].count))
    for weight, rows in zip(PARENT_WEIGHTS, lattice.parents[level], strict=True):
        total += weight * values[:, rows]
    return total


def _rounded(values: Float64Array) -> Float64Array:
    return np.minimum(np.maximum(np.floor(values + 0.5), -ACTIVATION_LIMIT), ACTIVATION_LIMIT)


def encode_sparse(latents: Sequence[Int32Array], lattice: Lattice, weights: ContextWeights, *, levels: range | None = None) -> bytes:
    """One stream of some levels, of no bytes where all of them are 0.

    Args:
        latents: `[N]` of every level, finest first, at most 1023 in magnitude.
        lattice: their cells.
        weights: the context model.
        levels: ascending range of levels to code; all where None.
    """
    levels = range(len(latents)) if levels is None else levels
    if not any(latents[level].any() for level in levels):
        return b""
    predictor, encoder = Predictor(weights), LaplaceEncoder()
    for level in reversed(levels):
        coding = _Coding(predictor, lattice, level, sparse_features(weights, lattice, level, latents[level + 1 :]))
        symbols = latents[level][coding.order].astype(np.int64)
        coding.learn(0, symbols.size, symbols)
        for start in range(0, symbols.size, _CHUNK):
            stop = min(start + _CHUNK, symbols.size)
            encoder.encode(symbols[start:stop], *coding.predict(start, stop))
    return encoder.to_bytes()


def decode_sparse(
    data: bytes, lattice: Lattice, weights: ContextWeights, *, levels: range | None = None, coarser: Sequence[Int32Array] = ()
) -> list[Int32Array]:
    """Mirror of encode_sparse; `coarser` are the latents of the levels after `levels`. Raises MalformedError for a stream that no encoder writes."""
    levels = range(lattice.depth) if levels is None else levels
    if not data:
        return [np.zeros(lattice.levels[level].count, np.int32) for level in levels]
    predictor, decoder = Predictor(weights), LaplaceDecoder(data)
    known = list(coarser)
    for level in reversed(levels):
        coding = _Coding(predictor, lattice, level, sparse_features(weights, lattice, level, known))
        found = np.empty(coding.order.size, np.int32)
        for start, stop in pairwise(coding.starts.tolist()):
            wave = decoder.decode(*coding.predict(start, stop))
            coding.learn(start, stop, wave)
            found[coding.order[start:stop]] = wave.clip(-LIMIT - 1, LIMIT + 1)
        if np.abs(found).max() > LIMIT:
            raise MalformedError(f"latents are over {LIMIT} in magnitude; the file is damaged")
        known.insert(0, found)
    return known[: len(levels)]
