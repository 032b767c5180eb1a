"""The context model in exact integer arithmetic: what is already known -> mean and scale of the next latents.

In real numbers, for a latent of grid g of G with n causal neighbours and F = 4 features of the grids after it, which are
as coarse or coarser:

    x          = [neighbours, features]
    features   = M_g [y_{g+1}, ..., y_{G-1}] at the same place (nearest upsampling)    of the finest levels; zeros for coarser ones
    h1         = relu(W1 x + b1)
    h2         = h1 + relu(W2 h1 + b2)
    mean, s    = W3 h2 + Ws x + b3            log2(scale) = s - 4

In the coder every number is an integer times a power of two. Latents are clipped to -127..127 on the way in.
Features and both relu's arguments are rounded to 1/256, as floor(256 v + 1/2); features, h1 and h2 are clipped to 1024
in magnitude. The outputs are rounded once, straight to the steps of their tables: floor(32 mean + 1/2) and
floor(8 (s - 4 + 5) + 1/2), then clipped to the tables.

Signals whose signs cannot be foreseen and whose place matters (sound) have another input, `magnitudes`: each neighbour y
enters as log2(1 + |y|), and three numbers follow the features: the place along the last axis as a share of its size,
times 4; log2 of 1 + that place, times 2**l; and the place along the first of three axes.

Exactness: activations are at most 2**18 in 1/256, weights are integers up to 2**15 with up to 12 fractional bits, and a
sum has at most 64 + 21 terms. So every partial sum of a product is a multiple of a fixed power of two, less than 2**52
times it, and float64 holds it without rounding in any order of summation: the result is the same on every machine.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import MalformedError
from .laplace import LIMIT, MEAN_BITS, SCALE_COUNT, SCALE_LOW_LOG2, SCALES_PER_OCTAVE

IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]

FEATURES = 4
FEATURE_LEVELS = 3
INPUT_LIMIT = 127
ACTIVATION_BITS = 8
ACTIVATION_LIMIT = 1 << 18  # in 1/256
WEIGHT_LIMIT = 1 << 15
MAX_FRACTION_BITS = 12
MAX_HIDDEN = 64
MAX_NEIGHBOURS = 14
LOG2_SCALE_SHIFT = -4
POSITIONS = 3  # inputs of `magnitudes` that say where a latent is
LOGARITHMS = np.floor(256 * np.log2(1.0 + np.arange(1 << 14)) + 0.5)  # log2(1 + v) in 1/256; none is near a tie
LOGARITHMS.setflags(write=False)


class FractionBits(NamedTuple):
    """f of each tensor: value = integer * 2**-f, f in 0..12. `m` has one for each of its maps."""

    m: tuple[int, ...]
    w1: int
    b1: int
    w2: int
    b2: int
    w3: int
    b3: int
    ws: int


@dataclass(frozen=True, kw_only=True)
class ContextWeights:
    """The integers of the context model for G grids, h hidden units and n neighbours.

    Args:
        m: for each of the first grids g the map `[4, G - 1 - g]`; its first column belongs to grid g + 1.
        w1: `[h, n + 4]`, neighbours first; h in 1..64.
        b1: `[h]`.
        w2: `[h, h]`.
        b2: `[h]`.
        w3: `[2, h]`; row 0 the mean, row 1 the log2 of the scale.
        b3: `[2]`.
        ws: `[2, n + 4]`.
        bits: the fractional bits of each.
        magnitudes: neighbours enter as logarithms of their magnitudes, and w1 and ws have three more columns.

    Raises:
        MalformedError: shapes that do not fit, or numbers out of range.
    """

    m: tuple[IntArray, ...]
    w1: IntArray
    b1: IntArray
    w2: IntArray
    b2: IntArray
    w3: IntArray
    b3: IntArray
    ws: IntArray
    bits: FractionBits
    magnitudes: bool = False

    def __post_init__(self) -> None:
        shapes = context_shapes(grids=self.grids, maps=len(self.m), hidden=len(self.w1), neighbours=self.neighbours, magnitudes=self.magnitudes)
        tensors = [*self.m, self.w1, self.b1, self.w2, self.b2, self.w3, self.b3, self.ws]
        found = [tensor.shape for tensor in tensors]
        if found != shapes:
            raise MalformedError(f"context model has tensors of shapes {found}; expected {shapes}")
        fractions = [*self.bits.m, *self.bits[1:]]
        if len(fractions) != len(tensors) or min(fractions) < 0 or max(fractions) > MAX_FRACTION_BITS:
            raise MalformedError(f"context model has fractional bits {fractions}; expected {len(tensors)} numbers from 0 to {MAX_FRACTION_BITS}")
        largest = max(int(np.abs(tensor).max()) for tensor in tensors)
        if largest > WEIGHT_LIMIT:
            raise MalformedError(f"context model has a weight of magnitude {largest}; expected at most {WEIGHT_LIMIT}")

    @property
    def grids(self) -> int:
        """G, the number of grids of the pyramid."""
        return int(self.m[0].shape[-1]) + 1 if self.m else 1

    @property
    def neighbours(self) -> int:
        """n, the number of causal neighbours."""
        return int(self.w1.shape[-1]) - FEATURES - self.positions

    @property
    def positions(self) -> int:
        """Inputs that say where a latent is."""
        return POSITIONS if self.magnitudes else 0


def context_shapes(*, grids: int, maps: int, hidden: int, neighbours: int, magnitudes: bool = False) -> list[tuple[int, ...]]:
    """Shapes of the tensors in the order m..., w1, b1, w2, b2, w3, b3, ws, for so many latent grids of which the first `maps` have a map.

    Raises:
        MalformedError: no grid, as many maps as grids, a hidden width out of 1..64 or neighbours out of 1..14.
    """
    if not 0 <= maps < max(grids, 1) or not 1 <= hidden <= MAX_HIDDEN or not 1 <= neighbours <= MAX_NEIGHBOURS:
        raise MalformedError(
            f"context model has {grids} grids, {maps} maps, {hidden} hidden units and {neighbours} neighbours; "
            f"expected at least 1, fewer than the grids, 1 to {MAX_HIDDEN} and 1 to {MAX_NEIGHBOURS}"
        )
    shapes = [(FEATURES, grids - 1 - grid) for grid in range(maps)]
    inputs = neighbours + FEATURES + (POSITIONS if magnitudes else 0)
    return [*shapes, (hidden, inputs), (hidden,), (hidden, hidden), (hidden,), (2, hidden), (2,), (2, inputs)]


def to_input(latents: npt.NDArray[np.integer] | FloatArray) -> FloatArray:
    """Latents as the network reads them: clipped to -127..127, in 1/256, float64."""
    return np.minimum(np.maximum(latents, -INPUT_LIMIT), INPUT_LIMIT) * float(1 << ACTIVATION_BITS)


def to_magnitude(latents: npt.NDArray[np.integer]) -> FloatArray:
    """Latents as the network reads them where it reads magnitudes: log2(1 + |y|) in 1/256, float64."""
    return np.asarray(LOGARITHMS[np.minimum(np.abs(latents), LIMIT)])


def positions(cells: npt.NDArray[np.integer], shape: tuple[int, ...], level: int) -> FloatArray:
    """`[3, N]`: where the latents at raster indices `cells` of a grid of `shape` are, in 1/256, float64."""
    size = shape[-1]
    place = cells % size
    plane = cells // math.prod(shape[1:]) if len(shape) == 3 else np.zeros_like(cells)
    return np.stack([place * 1024 // size, LOGARITHMS[np.minimum(place << level, len(LOGARITHMS) - 1)], plane * 256]).astype(np.float64)


def upsample(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Nearest upsampling by two of the last axes of `values` `[..., *ceil(shape / 2)]` to `[..., *shape]`."""
    lead = values.ndim - len(shape)
    for axis, size in enumerate(shape):
        values = np.take(values, np.arange(size) >> 1, axis=lead + axis)
    return values


def coarse_features(weights: ContextWeights, level: int, coarser: list[npt.NDArray[np.integer]]) -> FloatArray | None:
    """Features of a grid in 1/256, one for each place of the grid after it.

    Args:
        weights: the context model.
        level: g, the grid's number, 0 for the finest.
        coarser: the grids y_{g+1}, ..., y_{G-1}, each of the shape of the one before or half of it.

    Returns:
        integers as float64 `[4, *shape of y_{g+1}]`; None where the grid has no map and zeros are to be used.

    Raises:
        MalformedError: another number of grids than the model asks for.
    """
    if len(coarser) != weights.grids - 1 - level:
        raise MalformedError(f"grid {level} got {len(coarser)} grids after it; expected {weights.grids - 1 - level}")
    if level >= len(weights.m):
        return None
    matrix = weights.m[level] * 2.0 ** -weights.bits.m[level]
    total = np.zeros((FEATURES,) + (1,) * coarser[-1].ndim)
    for column in reversed(range(len(coarser))):
        grid = coarser[column]
        if column < len(coarser) - 1 and total.shape[1:] != grid.shape:
            total = upsample(total, grid.shape)
        total = total + matrix[:, column].reshape(total.shape[:1] + (1,) * grid.ndim) * to_input(grid)
    return np.minimum(np.maximum(np.floor(total + 0.5), -ACTIVATION_LIMIT), ACTIVATION_LIMIT)


def features(weights: ContextWeights, level: int, coarser: list[npt.NDArray[np.integer]], shape: tuple[int, ...]) -> IntArray:
    """Features of every latent of a grid of `shape`, in 1/256: int64 `[*shape, 4]`; arguments as in coarse_features."""
    coarse = coarse_features(weights, level, coarser)
    if coarse is None:
        return np.zeros((*shape, FEATURES), np.int64)
    return np.moveaxis(coarse if coarse.shape[1:] == shape else upsample(coarse, shape), 0, -1).astype(np.int64)


class Predictor:
    """The network with everything that does not depend on the input worked out once.

    Rounding's 1/2, the biases and the units of the outputs are folded into the matrices; the input has a last row of
    ones for them. W1 and Ws share one product.
    """

    def __init__(self, weights: ContextWeights) -> None:
        bits, one = weights.bits, float(1 << ACTIVATION_BITS)
        self.neighbours = weights.neighbours
        self.rows = weights.neighbours + FEATURES + weights.positions + 1
        self.magnitudes = weights.magnitudes
        self._hidden = len(weights.w1)
        first = np.column_stack([weights.w1 * 2.0**-bits.w1, weights.b1 * (one * 2.0**-bits.b1) + 0.5])
        units = np.array([[2.0**MEAN_BITS], [float(SCALES_PER_OCTAVE)]]) / one  # from 1/256 to steps of mean and scale index
        origin = np.array([0, SCALES_PER_OCTAVE * (LOG2_SCALE_SHIFT - SCALE_LOW_LOG2)])
        constant = weights.b3 * 2.0**-bits.b3 * one * units[:, 0] + origin + 0.5
        self._first = np.vstack([first, np.column_stack([weights.ws * 2.0**-bits.ws * units, constant])])
        self._second = weights.w2 * 2.0**-bits.w2
        self._second_bias = (weights.b2 * (one * 2.0**-bits.b2) + 0.5)[:, None]
        self._third = weights.w3 * 2.0**-bits.w3 * units

    def __call__(self, x: FloatArray) -> tuple[IntArray, IntArray]:
        """Means in 1/32 and scale indices, int64 `[N]` each, of inputs `[n + 4 (+ 3) + 1, N]` in 1/256; the last row is ones."""
        first = self._first @ x
        h1, out = first[: self._hidden], first[self._hidden :]
        np.floor(h1, out=h1)
        np.maximum(h1, 0.0, out=h1)
        np.minimum(h1, float(ACTIVATION_LIMIT), out=h1)
        h2 = self._second @ h1
        h2 += self._second_bias
        np.floor(h2, out=h2)
        np.maximum(h2, 0.0, out=h2)
        h2 += h1
        np.minimum(h2, float(ACTIVATION_LIMIT), out=h2)
        out += self._third @ h2
        np.floor(out, out=out)
        np.maximum(out, _LOWEST, out=out)
        np.minimum(out, _HIGHEST, out=out)
        integers = out.astype(np.int64)
        return integers[0], integers[1]


_LOWEST = np.array([[-float(LIMIT << MEAN_BITS)], [0.0]])
_HIGHEST = np.array([[float(LIMIT << MEAN_BITS)], [float(SCALE_COUNT - 1)]])


def predict(weights: ContextWeights, neighbours: npt.NDArray[np.integer], features: IntArray) -> tuple[IntArray, IntArray]:
    """Means in 1/32 (at most 1023 * 32 in magnitude) and scale indices (0..103), int64 `[N]` each.

    Args:
        weights: the context model.
        neighbours: latents `[N, n]`, any integers.
        features: `[N, 4]` in 1/256, as features() gives them.
    """
    x = np.vstack([to_input(neighbours).T, features.T, np.ones((1, len(neighbours)))])
    return Predictor(weights)(x)
