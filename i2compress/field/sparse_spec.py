"""What defines a sparse pyramid field: its sizes, its tensors, and the values that every tensor starts from.

Latents exist in the cells of a coding.lattice.Lattice only. With L levels, C channels of the implicit layer and D output channels, at any
real place x of the grid

    h(x)   = step [y_{L-1}, ..., y_0] at x      each level interpolated to the next finer one, level 0 by the quadratic B-spline
    u(x)   = B h(x) + c
    z*(x)  = relu(A z*(x) + u(x))               by `iterations` applications from 0; A contracts, so there is one fixed point
    Phi(x) = W z*(x) + S h(x) + b

There is no coupling of places, as in field.spec: so the field has a value at every place by itself, and only those near a surface are
ever asked for. The explicit twin has no A.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array, Shape
from ..coding.context import MAX_FRACTION_BITS
from ..coding.context_model import MAX_HIDDEN, MAX_NEIGHBOURS, ContextSpec
from ..errors import LimitError, MalformedError, UnsupportedVersionError
from ..header import SPARSE, Header
from .spec import MAX_ITERATIONS, MAX_LEVELS, MAX_STEP_CODE, MAX_WIDTH, PRIOR_BITS, STEP_ORIGIN, STEPS_PER_OCTAVE, Arrays, random_values

LEAST_BLOCK, MOST_BLOCK = 2, 4  # log2 of the side


@dataclass(frozen=True, kw_only=True)
class SparseSpec:
    """Sizes of a sparse pyramid field.

    Args:
        grid: samples along each of three axes.
        channels: D, 1..8.
        explicit: the explicit twin.
        width: C, 1..64.
        levels: L, 1..12.
        hidden: units of the context model, 1..64.
        neighbours: causal neighbours of the context model, 1..14.
        block: log2 of the side of the blocks that are active or not, 2..4.
        iterations: applications of the implicit layer, 1..64.
        step_code: 0..127; the features are the latents times the step 2**((step_code - 64) / 8).

    Raises:
        LimitError: a number out of range.
    """

    grid: Shape
    channels: int = 1
    explicit: bool = False
    width: int = 8
    levels: int = 5
    hidden: int = 16
    neighbours: int = 14
    block: int = 2
    iterations: int = 4
    step_code: int = STEP_ORIGIN

    def __post_init__(self) -> None:
        if len(self.grid) != 3:
            raise LimitError(f"sparse pyramid has {len(self.grid)} grid axes; expected 3")
        for name, low, high in (
            ("width", 1, MAX_WIDTH),
            ("levels", 1, MAX_LEVELS),
            ("hidden", 1, MAX_HIDDEN),
            ("neighbours", 1, MAX_NEIGHBOURS),
            ("block", LEAST_BLOCK, MOST_BLOCK),
            ("iterations", 1, MAX_ITERATIONS),
            ("step_code", 0, MAX_STEP_CODE),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise LimitError(f"sparse pyramid has {name} {value}; expected {low} to {high}")

    @property
    def axes(self) -> int:
        """The number of grid axes."""
        return len(self.grid)

    @property
    def step(self) -> float:
        """What one unit of a latent is worth in the features."""
        return float(2.0 ** ((self.step_code - STEP_ORIGIN) / STEPS_PER_OCTAVE))

    @property
    def blocks(self) -> Shape:
        """Blocks along each axis."""
        return tuple(-(-size >> self.block) for size in self.grid)

    @property
    def field(self) -> int:
        """The header's number of this field."""
        return SPARSE[int(self.explicit)]

    @property
    def params(self) -> tuple[int, ...]:
        """The header's parameters; `from_header` undoes it."""
        return (self.width, self.levels, self.hidden, self.neighbours, self.block, self.iterations, self.step_code)

    @staticmethod
    def from_header(header: Header) -> "SparseSpec":
        """The spec in a header. Raises LimitError, MalformedError or UnsupportedVersionError."""
        if header.field not in SPARSE:
            raise UnsupportedVersionError(f"field is number {header.field}; expected a sparse pyramid: update i2compress")
        if len(header.params) != 7:
            raise MalformedError(f"sparse pyramid has parameters {header.params}; expected 7")
        width, levels, hidden, neighbours, block, iterations, step_code = header.params
        return SparseSpec(
            grid=header.grid,
            channels=header.channels,
            explicit=header.field == SPARSE[1],
            width=width,
            levels=levels,
            hidden=hidden,
            neighbours=neighbours,
            block=block,
            iterations=iterations,
            step_code=step_code,
        )

    @cached_property
    def context(self) -> ContextSpec:
        """The context model: every level but the last has features."""
        return ContextSpec(grids=self.levels, maps=self.levels - 1, hidden=self.hidden, neighbours=self.neighbours)

    @cached_property
    def weight_shapes(self) -> dict[str, Shape]:
        """Shape of each tensor, in the order of the file: the field's, then the context model's."""
        levels, width, out = self.levels, self.width, self.channels
        shapes: dict[str, Shape] = {"B": (width, levels), "c": (width,), "W": (out, width), "S": (out, levels), "b": (out,)}
        shapes |= {} if self.explicit else {"A": (width, width)}
        return shapes | {name: tensor.shape for name, tensor in self.context.tensors.items()}

    def is_context(self, name: str) -> bool:
        """True for a tensor of the context model, whose exponent is at most 12."""
        return name in self.context.tensors

    def max_exponent(self, name: str) -> int:
        """Largest exponent e of a tensor's step 2**-e."""
        return MAX_FRACTION_BITS if self.is_context(name) else 15


TRAINED = 1  # the number of the newest trained prior
_PRIORS = Path(__file__).parent / "starts"  # shape-NUMBER.npz


def trained_for(spec: SparseSpec) -> bool:
    """Whether the trained prior has the tensors of such a field: one channel, implicit, and the default sizes."""
    return spec == replace(SparseSpec(grid=spec.grid), iterations=spec.iterations, step_code=spec.step_code)


def sparse_prior(number: int, spec: SparseSpec) -> Arrays:
    """The values that the file's weights are coded as differences from.

    Prior 0: B, c, W and the context model random as in field.spec.prior (same generator and spreads); S is 1, as a latent is a distance
    in steps; the rest is 0.

    Prior 1: what many fits to solids made by code came to, from a table of int16 in 1/256 (tests/benchmarks/shape_prior.py makes it).

    Raises:
        UnsupportedVersionError: a prior that this version does not have.
        MalformedError: a field that it is not for.
    """
    if number not in (0, TRAINED):
        raise UnsupportedVersionError(f"weight prior is number {number}; this version has 0 and {TRAINED}: update i2compress")
    if number:
        if not trained_for(spec):
            raise MalformedError(f"file has prior {number} for a field that has none but 0; the file was written wrongly")
        tables = _tables(number)
        return {name: tables[name] / float(1 << PRIOR_BITS) for name in spec.weight_shapes}
    spreads = {"B": spec.levels**-0.5, "c": 0.1, "W": 0.3 * spec.width**-0.5}
    spreads |= {name: tensor.spread for name, tensor in spec.context.tensors.items()}
    values = random_values(spec.weight_shapes, {name: spreads.get(name, 0.0) for name in spec.weight_shapes})
    values["S"] += 1.0
    return values


@cache
def _tables(number: int) -> dict[str, npt.NDArray[np.int16]]:
    with np.load(_PRIORS / f"shape-{number}.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def check_contracts(matrix: Float32Array | None, most: float) -> None:
    """Raises MalformedError where ||A||_2 is more than `most`; None where there is no A."""
    bound = 0.0 if matrix is None else float(np.linalg.norm(matrix.astype(np.float64), 2))
    if not bound <= most:
        raise MalformedError(f"implicit layer has contraction bound {bound:.3f}; expected at most {most}: the file was written wrongly")
