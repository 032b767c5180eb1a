"""What the context model is: its tensors and what they start from, and what it reads. Coding and training take it from here.

In real numbers, for a latent of grid g of G with n causal neighbours and F = 4 features of the grids after it, which are
as coarse or coarser:

    x          = [neighbours, features, places]
    features   = M_g [y_{g+1}, ..., y_{G-1}] at the same place (nearest upsampling)    of the finest levels; zeros for coarser ones
    h1         = relu(W1 x + b1)
    h2         = h1 + relu(W2 h1 + b2)
    mean, s    = W3 h2 + Ws x + b3            log2(scale) = s - 4

How the neighbours y enter, and whether x has places, is one of the ContextInputs. coding.context has the network in exact
integers, fit.rate and fit.network_bits have it in floats.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..arrays import Float64Array, IndexArray, IntegerArray, Shape
from ..errors import MalformedError
from .laplace import LIMIT

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = 4
INPUT_LIMIT = 127
ACTIVATION_BITS = 8  # what the network reads and its activations are integers in 1/256 in the coder
MAX_HIDDEN = 64
MAX_NEIGHBOURS = 14
LOG2_SCALE_SHIFT = -4
LOGARITHMS = np.floor(256 * np.log2(1.0 + np.arange(1 << 14)) + 0.5)  # log2(1 + v) in 1/256; none is near a tie
LOGARITHMS.setflags(write=False)


def clipped(latents: IntegerArray | Float64Array) -> Float64Array:
    """Latents clipped to -127..127, in 1/256, float64."""
    return np.minimum(np.maximum(latents, -INPUT_LIMIT), INPUT_LIMIT) * float(1 << ACTIVATION_BITS)


def _relaxed_clipped(latents: "Tensor") -> "Tensor":
    return latents.clamp(-INPUT_LIMIT, INPUT_LIMIT)


def log_magnitudes(latents: IntegerArray) -> Float64Array:
    """log2(1 + |y|) of latents, in 1/256, float64."""
    return np.asarray(LOGARITHMS[np.minimum(np.abs(latents), LIMIT)])


def _relaxed_magnitudes(latents: "Tensor") -> "Tensor":
    return (1 + latents.abs()).log2()


def middles(stills: IndexArray, lasting: int) -> IndexArray:
    """The middle one of the frames that each frame of a still grid stands for, 2**lasting of them; there may be fewer, then it is beyond the last."""
    return np.asarray((stills << lasting) + (1 << lasting >> 1))


def places(cells: IntegerArray, shape: Shape, level: int) -> Float64Array:
    """`[3, N]` in 1/256, float64: where the latents at raster indices `cells` of a grid of `shape` are.

    The place along the last axis as a share of its size, times 4; log2 of 1 + that place times 2**level; the place along the
    first of three axes.
    """
    size = shape[-1]
    place = cells % size
    plane = cells // math.prod(shape[1:]) if len(shape) == 3 else np.zeros_like(cells)
    return np.stack([place * 1024 // size, LOGARITHMS[np.minimum(place << level, len(LOGARITHMS) - 1)], plane * 256]).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class ContextInputs:
    """What the context model reads beside the features; an entry of CONTEXT_INPUTS.

    Args:
        number: in the file, and in CONTEXT_INPUTS.
        exact: latents, any integers, as the coder reads them: integers in 1/256, float64 of the same shape.
        relaxed: the latents of a fit, any real numbers, as training reads them: `exact` in floats, differentiable.
        places: `[P, N]` in 1/256, float64, of raster indices `[N]` in a grid of a shape and a level; None where P = 0.
        place_count: P.
        cut_axis: the one axis along which a window may be a part of the signal, as places count along the others; None for any axis.
    """

    number: int
    exact: Callable[[IntegerArray], Float64Array] = field(repr=False)
    relaxed: "Callable[[Tensor], Tensor]" = field(repr=False)
    places: Callable[[IntegerArray, Shape, int], Float64Array] | None = field(default=None, repr=False)
    place_count: int = 0
    cut_axis: int | None = None


SIGNED = ContextInputs(number=0, exact=clipped, relaxed=_relaxed_clipped)
# For signals whose signs cannot be foreseen and whose place matters.
MAGNITUDES = ContextInputs(number=1, exact=log_magnitudes, relaxed=_relaxed_magnitudes, places=places, place_count=3, cut_axis=-2)
CONTEXT_INPUTS = (SIGNED, MAGNITUDES)


class ContextTensor(NamedTuple):
    """A tensor of the context model: its shape, the standard deviation of prior 0, and the layer from the input on (0 to 2) that it is of."""

    shape: Shape
    spread: float
    layer: int


def _network(inputs: int, hidden: int) -> dict[str, ContextTensor]:
    """All tensors but the maps, in the order of the file."""
    return {
        "w1": ContextTensor((hidden, inputs), float(inputs**-0.5), 0),
        "b1": ContextTensor((hidden,), 0.0, 0),
        "w2": ContextTensor((hidden, hidden), 0.3 * hidden**-0.5, 1),
        "b2": ContextTensor((hidden,), 0.0, 1),
        "w3": ContextTensor((2, hidden), 0.1 * hidden**-0.5, 2),  # row 0 the mean, row 1 the log2 of the scale
        "b3": ContextTensor((2,), 0.0, 2),
        "ws": ContextTensor((2, inputs), 0.0, 2),
    }


NETWORK = tuple(_network(1, 1))  # the names


@dataclass(frozen=True, kw_only=True)
class ContextSpec:
    """Sizes of a context model.

    Args:
        grids: G, latent grids, at least 1.
        maps: how many of them, finest first, have features of the grids after them; less than G.
        hidden: units, 1..64.
        neighbours: n, 1..14.
        reads: what it reads of them.
        still: the grids, by number, whose frames last: as many of those of their level's other grids as `lasting` says.
        lasting: for each grid, the binary logarithm of the frames of its level that a frame of a still one stands for; empty where none is still.

    Raises:
        MalformedError: a number out of range.
    """

    grids: int
    maps: int
    hidden: int
    neighbours: int
    reads: ContextInputs = SIGNED
    still: tuple[int, ...] = ()
    lasting: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.maps < max(self.grids, 1) or not 1 <= self.hidden <= MAX_HIDDEN or not 1 <= self.neighbours <= MAX_NEIGHBOURS:
            raise MalformedError(
                f"context model has {self.grids} grids, {self.maps} maps, {self.hidden} hidden units and {self.neighbours} neighbours; "
                f"expected at least 1, fewer than the grids, 1 to {MAX_HIDDEN} and 1 to {MAX_NEIGHBOURS}"
            )

    @property
    def inputs(self) -> int:
        """Numbers that the network reads for each latent: n neighbours, the features and the places."""
        return self.neighbours + FEATURES + self.reads.place_count

    @cached_property
    def maps_by_name(self) -> dict[str, int]:
        """The grid whose features each map makes; m<g> is `[4, G - 1 - g]`, and its first column belongs to grid g + 1."""
        return {f"m{grid}": grid for grid in range(self.maps)}

    @cached_property
    def tensors(self) -> dict[str, ContextTensor]:
        """All tensors by name, in the order of the file: the maps, then the network's."""
        maps = {name: ContextTensor((FEATURES, self.grids - 1 - grid), 0.3, 0) for name, grid in self.maps_by_name.items()}
        return maps | _network(self.inputs, self.hidden)
