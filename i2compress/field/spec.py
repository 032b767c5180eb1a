"""What defines a pyramid field: its sizes, its tensors, and the values every tensor starts from (prior 0).

With G latent grids y_g of L levels (stride 2**level; one grid a level, but several, for colours, at three of them; the finest levels may have as many
still ones besides, whose frames last as long as a sample of the last grid does), C channels of the implicit layer and D output channels,

    h(x)   = step [y_{G-1}, ..., y_0] at x, each upsampled by two as often as its stride asks    G features
    u(x)   = B h(x) + c
    z*(x)  = relu(A z*(x) + sum_j K_j z*(x + j) + u(x))           j in {-1, 0, 1}^d, zero outside the grid
    Phi(x) = W z*(x) + S h(x) + b

The explicit twin has A = 0 and K = 0 and ends in two residual 3x3 convolutions on the output instead:
Phi <- Phi + R1 * Phi;  Phi <- Phi + R2 * relu(Phi).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from ..arrays import Float64Array, Shape
from ..coding.context import MAX_FRACTION_BITS
from ..coding.context_model import CONTEXT_INPUTS, MAX_HIDDEN, SIGNED, ContextInputs, ContextSpec
from ..coding.wavefront import DEFAULT_OFFSETS
from ..errors import LimitError, MalformedError, UnsupportedVersionError
from ..header import MAX_CHANNELS, Header

Arrays: TypeAlias = dict[str, Float64Array]

IMPLICIT, EXPLICIT = 0, 1  # the numbers of the fields in the header

MAX_WIDTH = 64
MAX_LEVELS = 12
MAX_ITERATIONS = 64
MIN_TILE_LOG2, MAX_TILE_LOG2 = 4, 16
MAX_STEP_CODE = 127
MAX_PLANES = 4
PLANED_LEVELS = 3
FEATURE_LEVELS = 3  # the finest levels, whose grids have features of those after them
STEP_ORIGIN, STEPS_PER_OCTAVE = 64, 8
UP_TAPS = 8
MAX_CONTRACTION = 0.95
PRIOR_BITS = 8  # every value of a prior is a multiple of 2**-8, so that the context model stays integer
PRIOR_0_BITS = 6  # those of prior 0 are even multiples of 2**-6

# S of the planes of a level in 1/64, by channels and planes: luma, the two differences of colour, opacity; 0 for others.
_COLOUR_AXES = np.array([[6, -2, 6, 0], [6, -4, -5, 0], [6, 6, -1, 0], [0, 0, 0, 6]], np.float64)
COLOURS = {(d, p): np.zeros((d, p)) for d in range(1, MAX_CHANNELS + 1) for p in range(1, MAX_PLANES + 1)}
COLOURS |= {(2, 2): 6 * np.eye(2), (3, 3): _COLOUR_AXES[:3, :3], (4, 4): _COLOUR_AXES}


@dataclass(frozen=True, kw_only=True)
class PyramidSpec:
    """Sizes of a pyramid field; together with the header's grid they fix the shape of everything in the file.

    Args:
        grid: samples along each axis, slowest first; d = 2 or 3 of them.
        channels: D, 1..8.
        explicit: the explicit twin.
        width: C, 1..64.
        levels: L, 1..12.
        hidden: units of the context model, 1..64.
        neighbours: causal neighbours of the context model.
        tile_log2: log2 of the side of the context model's tiles, 4..16.
        iterations: applications of the implicit layer in the decoder, 1..64.
        step_code: 0..127; the features are the latents times the step 2**((step_code - 64) / 8).
        context_inputs: what the context model reads.
        planes: latent grids of each of the three levels from `split` on, 1..4; the other levels have one.
        split: 0..12 where planes > 1, else 0.
        steady: bit l is set where the first of three axes (time) does not halve from level l to l + 1; 0 of two axes.
        sharp: bit l is set where the other axes do not; a step that halves nothing does not exist.
        still: how many of the finest levels have still grids too, after their own; 0 of two axes.

    Raises:
        LimitError: a number out of range.
    """

    grid: Shape
    channels: int
    explicit: bool = False
    width: int = 16
    levels: int = 7
    hidden: int = 16
    neighbours: int = 13
    tile_log2: int = 8
    iterations: int = 8
    step_code: int = STEP_ORIGIN
    context_inputs: ContextInputs = SIGNED
    planes: int = 1
    split: int = 0
    steady: int = 0
    sharp: int = 0
    still: int = 0

    def __post_init__(self) -> None:
        if len(self.grid) not in DEFAULT_OFFSETS:
            raise LimitError(f"pyramid has {len(self.grid)} grid axes; expected 2 or 3")
        self._check("levels", 1, MAX_LEVELS)
        for name, low, high in (
            ("width", 1, MAX_WIDTH),
            ("hidden", 1, MAX_HIDDEN),
            ("neighbours", 1, len(DEFAULT_OFFSETS[len(self.grid)])),
            ("tile_log2", MIN_TILE_LOG2, MAX_TILE_LOG2),
            ("iterations", 1, MAX_ITERATIONS),
            ("step_code", 0, MAX_STEP_CODE),
            ("planes", 1, MAX_PLANES),
            ("split", 0, MAX_LEVELS if self.planes > 1 else 0),
            ("steady levels", 0, (1 << (self.levels - 1)) - 1 if self.axes == 3 else 0),
            ("sharp levels", 0, (1 << (self.levels - 1)) - 1 if self.axes == 3 else 0),
            ("still levels", 0, self.levels - 1 if self.axes == 3 else 0),
        ):
            self._check(name, low, high)
        if self.steady & self.sharp:
            raise LimitError(
                f"pyramid field has levels {self.steady & self.sharp:b} that are like those before them; expected each to halve some axis"
            )

    def _check(self, name: str, low: int, high: int) -> None:
        """Raises LimitError where a number is out of range."""
        value = getattr(self, name.removesuffix(" levels"))
        if not low <= value <= high:
            raise LimitError(f"pyramid field has {name} {value}; expected {low} to {high}")

    @property
    def axes(self) -> int:
        """d, the number of grid axes."""
        return len(self.grid)

    @property
    def tile(self) -> int:
        """Side of the context model's tiles."""
        return 1 << self.tile_log2

    @property
    def step(self) -> float:
        """What one unit of a latent is worth in the features."""
        return float(2.0 ** ((self.step_code - STEP_ORIGIN) / STEPS_PER_OCTAVE))

    @property
    def field(self) -> int:
        """The header's number of this field."""
        return EXPLICIT if self.explicit else IMPLICIT

    @property
    def params(self) -> tuple[int, ...]:
        """The header's parameters; `from_header` undoes it."""
        numbers = (self.width, self.levels, self.hidden, self.neighbours, self.tile_log2, self.iterations, self.step_code)
        kept = self.steady + (self.sharp << MAX_LEVELS) + (self.still << 2 * MAX_LEVELS)
        more = (self.context_inputs.number, (self.planes - 1) + MAX_PLANES * self.split, kept)
        return (*numbers, *more[: next((count for count in (3, 2, 1) if more[count - 1]), 0)])

    @staticmethod
    def from_header(header: Header) -> "PyramidSpec":
        """The spec in a header. Raises LimitError, MalformedError or UnsupportedVersionError."""
        if header.field not in (IMPLICIT, EXPLICIT):
            raise UnsupportedVersionError(f"field is number {header.field}; expected a pyramid: update i2compress")
        if len(header.params) not in (7, 8, 9, 10) or (len(header.params) > 7 and header.params[-1] == 0):
            raise MalformedError(f"pyramid field has parameters {header.params}; expected 7 to 10, those after the 7th not ending in 0")
        inputs, layout, kept = (*header.params[7:], 0, 0, 0)[:3]
        if inputs >= len(CONTEXT_INPUTS):
            raise UnsupportedVersionError(f"pyramid field has inputs of kind {inputs}; expected at most {len(CONTEXT_INPUTS) - 1}: update i2compress")
        width, levels, hidden, neighbours, tile_log2, iterations, step_code = header.params[:7]
        return PyramidSpec(
            grid=header.grid,
            channels=header.channels,
            explicit=header.field == EXPLICIT,
            width=width,
            levels=levels,
            hidden=hidden,
            neighbours=neighbours,
            tile_log2=tile_log2,
            iterations=iterations,
            step_code=step_code,
            context_inputs=CONTEXT_INPUTS[inputs],
            planes=layout % MAX_PLANES + 1,
            split=layout // MAX_PLANES,
            steady=kept & ((1 << MAX_LEVELS) - 1),
            sharp=kept >> MAX_LEVELS & ((1 << MAX_LEVELS) - 1),
            still=kept >> 2 * MAX_LEVELS,
        )

    @cached_property
    def grid_levels(self) -> list[int]:
        """The level of each latent grid, finest first."""
        return [level for level, _, _ in self._grids]

    @cached_property
    def grid_planes(self) -> list[int]:
        """The plane of each latent grid, finest first; 0 where its level has one."""
        return [plane for _, _, plane in self._grids]

    @cached_property
    def stills(self) -> list[bool]:
        """Whether each latent grid is a still one, finest first."""
        return [bool(still) for _, still, _ in self._grids]

    @property
    def _grids(self) -> list[tuple[int, int, int]]:
        """Level, whether it is still, and plane, finest first."""
        planed = range(self.split, self.split + PLANED_LEVELS)
        counts = [self.planes if level in planed else 1 for level in range(self.levels)]
        return [(level, still, plane) for level, count in enumerate(counts) for still in range(1 + (level < self.still)) for plane in range(count)]

    @cached_property
    def shifts(self) -> list[Shape]:
        """The binary logarithm of the stride along each axis of each latent grid, finest first."""
        last = self._shifts(self.levels - 1)[:1]
        own = [self._shifts(level) for level in self.grid_levels]
        return [last + shifts[1:] if still else shifts for still, shifts in zip(self.stills, own, strict=True)]

    def _shifts(self, level: int) -> Shape:
        """Those of a level's grids that are not still."""
        return tuple(level - (kept & ((1 << level) - 1)).bit_count() for kept in self._kept)

    @cached_property
    def latent_shapes(self) -> list[Shape]:
        """Shape of each latent grid, finest first: ceil(size / stride) along each axis."""
        return [tuple(-(-side >> shift) for side, shift in zip(self.grid, shifts, strict=True)) for shifts in self.shifts]

    @property
    def _kept(self) -> tuple[int, ...]:
        """For each axis the levels from which it does not halve."""
        return (self.steady, self.sharp, self.sharp) if self.axes == 3 else (0, 0)

    @cached_property
    def context(self) -> ContextSpec:
        """The context model; of the 3 finest levels, 4 with planes, all grids but the last have maps."""
        levels = FEATURE_LEVELS + (self.planes > 1)
        grids = len(self.grid_levels)
        maps = min(sum(level < levels for level in self.grid_levels), grids - 1)
        lasting: tuple[int, ...] = ()
        if self.still:
            last = self._shifts(self.levels - 1)[0]
            lasting = tuple(last - self._shifts(level)[0] for level in self.grid_levels)
        still = tuple(number for number, still in enumerate(self.stills) if still)
        return ContextSpec(
            grids=grids, maps=maps, hidden=self.hidden, neighbours=self.neighbours, reads=self.context_inputs, still=still, lasting=lasting
        )

    @cached_property
    def weight_shapes(self) -> dict[str, Shape]:
        """Shape of each tensor, in the order of the file: the field's, then the context model's."""
        grids, width, out, taps = len(self.grid_levels), self.width, self.channels, (3,) * self.axes
        shapes: dict[str, Shape] = {
            "up": (self.levels - 1, UP_TAPS // 2),
            "B": (width, grids),
            "c": (width,),
            "W": (out, width),
            "S": (out, grids),
            "b": (out,),
        }
        shapes |= {"R1": (out, out, *taps), "R2": (out, out, *taps)} if self.explicit else {"A": (width, width), "K": (width, *taps)}
        shapes |= {name: tensor.shape for name, tensor in self.context.tensors.items()}
        return {name: shape for name, shape in shapes.items() if math.prod(shape)}

    def is_context(self, name: str) -> bool:
        """True for a tensor of the context model, whose exponent is at most 12."""
        return name in self.context.tensors

    def max_exponent(self, name: str) -> int:
        """Largest exponent e of a tensor's step 2**-e."""
        return MAX_FRACTION_BITS if self.is_context(name) else 15


def upsampling_taps() -> Float64Array:
    """Half of the symmetric 8-tap bicubic (a = -0.75) upsampling filter, outermost first, to the nearest 1/64."""
    a = -0.75
    outer = [a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a for t in (1.75, 1.25)]
    inner = [(a + 2) * t**3 - (a + 3) * t**2 + 1 for t in (0.75, 0.25)]
    return _rounded(np.array(outer + inner))


def prior(number: int, spec: PyramidSpec) -> Arrays:
    """The values that the file's weights are coded as differences from, where they are no trained ones (field.priors has those).

    Prior 0: random matrices from a 32-bit linear congruential generator (multiplier 1664525, increment 1013904223, seed
    1), uniform with the standard deviation of `_spread`, everything a multiple of 2**-6; filters start as bicubic
    upsampling, b as 1/2, S of several planes as COLOURS, the rest as 0.

    Raises:
        UnsupportedVersionError: a prior that this version does not have.
    """
    if number != 0:
        raise UnsupportedVersionError(f"weight prior is number {number}; this version has 0: update i2compress")
    values = random_values(spec.weight_shapes, {name: _spread(name, spec) for name in spec.weight_shapes})
    if spec.levels > 1:
        values["up"] += upsampling_taps()
    values["b"] += 0.5
    if spec.planes > 1:
        values["S"] += COLOURS[spec.channels, spec.planes][:, spec.grid_planes[::-1]] / 2**PRIOR_0_BITS
    return values


def random_values(shapes: Mapping[str, Shape], spreads: Mapping[str, float]) -> Arrays:
    """Tensors by name, uniform with the standard deviation of their `spreads` (0 for zeros), drawn in order by the generator of prior 0."""
    state = 1
    values: Arrays = {}
    for name, shape in shapes.items():
        spread = spreads[name]
        numbers = np.zeros(math.prod(shape))
        if spread:
            for i in range(numbers.size):
                state = (1664525 * state + 1013904223) & 0xFFFFFFFF
                numbers[i] = (state >> 8) / 2.0**23 - 1.0
        values[name] = _rounded(numbers.reshape(shape) * (spread * math.sqrt(3)))
    return values


def _spread(name: str, spec: PyramidSpec) -> float:
    """Standard deviation of a tensor of prior 0."""
    if spec.is_context(name):
        return spec.context.tensors[name].spread
    return float({"B": len(spec.grid_levels) ** -0.5, "c": 0.1, "W": 0.3 * spec.width**-0.5}.get(name, 0.0))


def _rounded(values: Float64Array) -> Float64Array:
    return np.asarray(np.floor(values * 2**PRIOR_0_BITS + 0.5) / 2**PRIOR_0_BITS)
