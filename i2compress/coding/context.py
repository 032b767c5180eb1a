"""The context model in exact integer arithmetic: what is already known -> mean and scale of the next latents.

context_model has the network in real numbers. In the coder every number is an integer times a power of two. Latents are
clipped to -127..127 on the way in (or enter as logarithms of their magnitudes: see ContextInputs). Features and both
relu's arguments are rounded to 1/256, as floor(256 v + 1/2); features, h1 and h2 are clipped to 1024 in magnitude. The
outputs are rounded once, straight to the steps of their tables: floor(32 mean + 1/2) and floor(8 (s - 4 + 5) + 1/2), then
clipped to the tables.

Exactness: activations are at most 2**18 in 1/256, weights are integers up to 2**15 with up to 12 fractional bits, and a
sum has at most 64 + 21 terms. So every partial sum of a product is a multiple of a fixed power of two, less than 2**52
times it, and float64 holds it without rounding in any order of summation: the result is the same on every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Float64Array, Int64Array, IntegerArray, Shape
from ..errors import MalformedError
from .context_model import ACTIVATION_BITS, FEATURES, LOG2_SCALE_SHIFT, ContextSpec, clipped, middles
from .laplace import LIMIT, MEAN_BITS, SCALE_COUNT, SCALE_LOW_LOG2, SCALES_PER_OCTAVE

ACTIVATION_LIMIT = 1 << 18  # in 1/256
WEIGHT_LIMIT = 1 << 15
MAX_FRACTION_BITS = 12


@dataclass(frozen=True, kw_only=True)
class ContextWeights:
    """The integers of a context model.

    Args:
        spec: its sizes.
        integers: int64 by the names and of the shapes in the spec, at most 2**15 in magnitude.
        bits: the fractional bits of each, 0..12: value = integer * 2**-bits.

    Raises:
        MalformedError: shapes that do not fit, or numbers out of range.
    """

    spec: ContextSpec
    integers: Mapping[str, Int64Array]
    bits: Mapping[str, int]

    def __post_init__(self) -> None:
        shapes = {name: tensor.shape for name, tensor in self.spec.tensors.items()}
        found = {name: tensor.shape for name, tensor in self.integers.items()}
        if found != shapes:
            raise MalformedError(f"context model has tensors of shapes {found}; expected {shapes}")
        if self.bits.keys() != shapes.keys() or min(self.bits.values()) < 0 or max(self.bits.values()) > MAX_FRACTION_BITS:
            raise MalformedError(f"context model has fractional bits {dict(self.bits)}; expected {len(shapes)} numbers from 0 to {MAX_FRACTION_BITS}")
        largest = max(int(np.abs(tensor).max()) for tensor in self.integers.values())
        if largest > WEIGHT_LIMIT:
            raise MalformedError(f"context model has a weight of magnitude {largest}; expected at most {WEIGHT_LIMIT}")

    def value(self, name: str) -> Float64Array:
        """A tensor as real numbers, float64."""
        return np.asarray(self.integers[name] * 2.0 ** -self.bits[name], np.float64)


def upsample(values: Float64Array, shape: Shape) -> Float64Array:
    """Nearest upsampling by two of the last axes of `values` to `[..., *shape]`; an axis that has its length already stays."""
    lead = values.ndim - len(shape)
    for axis, size in enumerate(shape):
        if values.shape[lead + axis] != size:
            values = np.take(values, np.arange(size) >> 1, axis=lead + axis)
    return values


def timed(spec: ContextSpec, level: int, shape: Shape, coarser: list[IntegerArray]) -> list[IntegerArray]:
    """The grids after one of `shape` as it sees them: a still one the others at its middle frames, any other the still ones in every frame."""
    if not spec.still:
        return coarser
    found, frames = [], shape[0]  # of the level's own grids, which come before its still ones
    for number, grid in enumerate(coarser, level + 1):
        lasting, still = spec.lasting[number], number in spec.still
        if level in spec.still:
            found.append(grid if still else grid[np.minimum(middles(np.arange(shape[0]), lasting), len(grid) - 1)])
        else:
            frames = frames if still else len(grid)
            found.append(grid[np.arange(frames) >> lasting] if still else grid)
    return found


def coarse_features(weights: ContextWeights, level: int, shape: Shape, coarser: list[IntegerArray]) -> Float64Array | None:
    """Features of a grid in 1/256, one for each place of the grid after it.

    Args:
        weights: the context model.
        level: g, the grid's number, 0 for the finest.
        shape: the grid's.
        coarser: the grids y_{g+1}, ..., y_{G-1}, each of the shape of the one before or half of it, but for those that are still.

    Returns:
        integers as float64 `[4, *shape of y_{g+1}]` as the grid sees it (see `timed`); None where it has no map and zeros are to be used.

    Raises:
        MalformedError: another number of grids than the model asks for.
    """
    if len(coarser) != weights.spec.grids - 1 - level:
        raise MalformedError(f"grid {level} got {len(coarser)} grids after it; expected {weights.spec.grids - 1 - level}")
    if level >= weights.spec.maps:
        return None
    coarser = timed(weights.spec, level, shape, coarser)
    matrix = weights.value(f"m{level}")
    total = np.zeros((FEATURES,) + (1,) * coarser[-1].ndim)
    for column in reversed(range(len(coarser))):
        grid = coarser[column]
        if column < len(coarser) - 1 and total.shape[1:] != grid.shape:
            total = upsample(total, grid.shape)
        total = total + matrix[:, column].reshape(total.shape[:1] + (1,) * grid.ndim) * clipped(grid)
    return np.minimum(np.maximum(np.floor(total + 0.5), -ACTIVATION_LIMIT), ACTIVATION_LIMIT)


def features(weights: ContextWeights, level: int, coarser: list[IntegerArray], shape: Shape) -> Int64Array:
    """Features of every latent of a grid of `shape`, in 1/256: int64 `[*shape, 4]`; arguments as in coarse_features."""
    coarse = coarse_features(weights, level, shape, coarser)
    if coarse is None:
        return np.zeros((*shape, FEATURES), np.int64)
    return np.moveaxis(coarse if coarse.shape[1:] == shape else upsample(coarse, shape), 0, -1).astype(np.int64)


class Predictor:
    """The network with everything that does not depend on the input worked out once.

    Rounding's 1/2, the biases and the units of the outputs are folded into the matrices; the input has a last row of
    ones for them. W1 and Ws share one product.
    """

    def __init__(self, weights: ContextWeights) -> None:
        one, value = float(1 << ACTIVATION_BITS), weights.value
        self.spec = weights.spec
        first = np.column_stack([value("w1"), value("b1") * one + 0.5])
        units = np.array([[2.0**MEAN_BITS], [float(SCALES_PER_OCTAVE)]]) / one  # from 1/256 to steps of mean and scale index
        zero = np.array([0, SCALES_PER_OCTAVE * (LOG2_SCALE_SHIFT - SCALE_LOW_LOG2)])
        constant = value("b3") * one * units[:, 0] + zero + 0.5
        self._first = np.vstack([first, np.column_stack([value("ws") * units, constant])])
        self._second = value("w2")
        self._second_bias = (value("b2") * one + 0.5)[:, None]
        self._third = value("w3") * units

    def __call__(self, x: Float64Array) -> tuple[Int64Array, Int64Array]:
        """Means in 1/32 and scale indices, int64 `[N]` each, of inputs `[spec.inputs + 1, N]` in 1/256; the last row is ones."""
        first = self._first @ x
        h1, out = first[: self.spec.hidden], first[self.spec.hidden :]
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


def predict(weights: ContextWeights, neighbours: IntegerArray, features: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Means in 1/32 (at most 1023 * 32 in magnitude) and scale indices (0..103), int64 `[N]` each.

    Args:
        weights: a context model that reads no places.
        neighbours: latents `[N, n]`, any integers.
        features: `[N, 4]` in 1/256, as features() gives them.
    """
    x = np.vstack([weights.spec.reads.exact(neighbours).T, features.T, np.ones((1, len(neighbours)))])
    return Predictor(weights)(x)
