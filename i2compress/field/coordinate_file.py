"""What an .i2 file says of a coordinate field, and the values that its weights are coded as differences from. No torch.

A file holds the weights as they are used: matrices after spectral normalisation, and those of the explicit siren with
their frequencies worked in (s B_0, s c_0, omega A_l, omega c_l), so that every siren is sin(B x + c) and sin(A z + c).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import Float64Array, FloatingArray, Shape
from ..errors import LimitError, MalformedError, UnsupportedVersionError
from ..header import Header
from ..kinds import Kind
from .coordinate_spec import KINDS, MAX_LAYERS, CoordinateSpec, Shapes
from .spec import Arrays

FIRST_FIELD = 2  # header numbers: 2 and 3 siren and its explicit twin, 4 and 5 fourier, 6 and 7 gabor
FIELD_NUMBERS = range(FIRST_FIELD, FIRST_FIELD + 2 * len(KINDS))

MAX_FILE_WIDTH = 2048
MAX_ITERATIONS = 1000
MAX_SCALE = 2**20
MAX_PARAMETERS = 2**23
MAX_WORK = 2**28  # multiplications of a sample's fixed point: iterations times the elements of all matrices
MAX_NORM_PRODUCT = 0.995  # product of the norms of the matrices of a field that promises to contract
RESIDUAL_STEPS = 8  # codes for each halving of the residual
RESIDUAL_SMALLEST = 255

SLOPE_STEPS, SLOPE_ORIGIN, MAX_SLOPE_CODE = 8, 64, 127  # codes for each doubling of the slope, that of 1, and the largest

CONTRACTS, CONVERGED, OCCUPANCY = 1, 2, 4  # flags
PARAMETERS = (6, 7)  # how many the header has; the last says the slope, where values have a unit of their own

_PRIOR_UNIT = 2.0**12
_MATRIX_BOUND = 0.8125  # largest entry of an implicit field's matrix times sqrt(C): such a random matrix has norm 0.94


@dataclass(frozen=True, kw_only=True)
class CoordinateFile:
    """Sizes of a coordinate field in a file; together with the header's grid they fix everything in it.

    Args:
        network: its kind and sizes; `normalise` says whether the matrices contract by themselves.
        grid: samples along each axis, slowest first; 1 to 3 of them.
        iterations: applications of the implicit layer in the decoder, 1..1000; 1 for an explicit field.
        converged: whether the encoder saw the fixed point reached.
        residual_code: 0..255, round(-8 log2 r), r the most that one more application moves a value; 255 for anything smaller.
        slope_code: of a shape whose values have a unit of their own: 0..127, round(8 log2 s) + 64, s how much Phi rises from one sample to the
            next, straight away from the surface; None where they are those of its kind of media.
        occupancy: whether they are logits of a place being outside; there is a slope then.

    Raises:
        LimitError: a number out of range.
        MalformedError: numbers that do not go together.
    """

    network: CoordinateSpec
    grid: Shape
    iterations: int = 1
    converged: bool = True
    residual_code: int = RESIDUAL_SMALLEST
    slope_code: int | None = None
    occupancy: bool = False

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("width", self.network.width, 1, MAX_FILE_WIDTH),
            ("iterations", self.iterations, 1, MAX_ITERATIONS),
            ("input scale", self.network.input_scale, 1, MAX_SCALE),
            ("residual code", self.residual_code, 0, RESIDUAL_SMALLEST),
            ("slope code", self.slope_code or 0, 0, MAX_SLOPE_CODE),
            ("number of weights", self.network.parameters, 1, MAX_PARAMETERS),
            ("number of multiplications a sample", self.iterations * _multiplications(self.network), 1, MAX_WORK),
        ):
            if not low <= value <= high:
                raise LimitError(f"coordinate field has {name} {value:g}; expected {low} to {high}")
        if len(self.grid) != self.network.axes:
            raise MalformedError(f"coordinate field has {self.network.axes} axes; expected {len(self.grid)} as the grid")
        if self.occupancy and self.slope_code is None:
            raise MalformedError("coordinate field is an occupancy without a slope; expected one: the file was written wrongly")
        if self.slope_code is not None and self.channels != 1:
            raise MalformedError(f"coordinate field with a slope has {self.channels} channels; expected 1: the file was written wrongly")

    @property
    def explicit(self) -> bool:
        """The explicit twin."""
        return self.network.explicit

    @property
    def channels(self) -> int:
        """D, channels of the signal."""
        return self.network.channels

    @property
    def field(self) -> int:
        """The header's number of this field."""
        return FIRST_FIELD + 2 * KINDS.index(self.network.kind) + self.explicit

    @property
    def params(self) -> tuple[int, ...]:
        """The header's parameters; `from_header` undoes it."""
        flags = CONTRACTS * self.network.normalised | CONVERGED * self.converged | OCCUPANCY * self.occupancy
        found = (self.network.width, self.network.layers, self.iterations, flags, round(self.network.input_scale), self.residual_code)
        return found if self.slope_code is None else (*found, self.slope_code)

    @property
    def residual(self) -> float:
        """The most that one more application moves a value, to within 5 %; 0 for less than 2**-31."""
        return 0.0 if self.residual_code == RESIDUAL_SMALLEST else 2.0 ** (-self.residual_code / RESIDUAL_STEPS)

    @property
    def slope(self) -> float | None:
        """How much Phi rises from one sample to the next, straight away from the surface; None where the kind of media says what values are."""
        return None if self.slope_code is None else float(2.0 ** ((self.slope_code - SLOPE_ORIGIN) / SLOPE_STEPS))

    @staticmethod
    def from_header(header: Header) -> "CoordinateFile":
        """The spec in a header. Raises LimitError, MalformedError or UnsupportedVersionError."""
        if header.field not in FIELD_NUMBERS:
            raise UnsupportedVersionError(f"field is number {header.field}; expected a coordinate field: update i2compress")
        if len(header.params) not in PARAMETERS:
            raise MalformedError(f"coordinate field has {len(header.params)} parameters; expected {' or '.join(map(str, PARAMETERS))}")
        width, layers, iterations, flags, scale, residual = header.params[:6]
        slope = header.params[6] if len(header.params) > 6 else None
        if slope is not None and header.kind != Kind.SHAPE:
            raise MalformedError("coordinate field has a slope and is none of a shape; expected 6 parameters: the file was written wrongly")
        explicit = bool((header.field - FIRST_FIELD) % 2)
        known = CONTRACTS | CONVERGED | (0 if slope is None else OCCUPANCY)
        if flags & ~known:
            raise UnsupportedVersionError(f"coordinate field has flags {flags}; this version knows {known}: update i2compress")
        if explicit and (flags & ~OCCUPANCY != CONVERGED or iterations != 1):
            raise MalformedError(f"explicit field has flags {flags} and {iterations} iterations; expected {CONVERGED} and 1")
        for name, value, high in (("width", width, MAX_FILE_WIDTH), ("layers", layers, MAX_LAYERS), ("input scale", scale, MAX_SCALE)):
            if not 1 <= value <= high:
                raise LimitError(f"coordinate field has {name} {value}; expected 1 to {high}")
        network = CoordinateSpec(
            kind=KINDS[(header.field - FIRST_FIELD) // 2],
            axes=len(header.grid),
            channels=header.channels,
            explicit=explicit,
            width=width,
            layers=layers,
            input_scale=float(scale),
            normalise=bool(flags & CONTRACTS),
        )
        return CoordinateFile(
            network=network,
            grid=header.grid,
            iterations=iterations,
            converged=bool(flags & CONVERGED),
            residual_code=residual,
            slope_code=slope,
            occupancy=bool(flags & OCCUPANCY),
        )

    @cached_property
    def weight_shapes(self) -> Shapes:
        """Shape of each tensor, in the order of the file."""
        return self.network.weight_shapes


def most_iterations(network: CoordinateSpec) -> int:
    """The largest number of iterations that a file may ask for."""
    return min(MAX_ITERATIONS, MAX_WORK // _multiplications(network))


def _multiplications(network: CoordinateSpec) -> int:
    return network.layers * network.width**2


def residual_code(residual: float) -> int:
    """The code of a residual of at least 0; `CoordinateFile.residual` undoes it."""
    if not residual > 0:
        return RESIDUAL_SMALLEST if residual == 0 else 0
    return min(max(round(-RESIDUAL_STEPS * math.log2(residual)), 0), RESIDUAL_SMALLEST) if math.isfinite(residual) else 0


def slope_code(slope: float) -> int:
    """The code nearest to a slope of more than 0; `CoordinateFile.slope` undoes it."""
    return min(max(round(SLOPE_STEPS * math.log2(slope)) + SLOPE_ORIGIN, 0), MAX_SLOPE_CODE)


def prior(number: int, spec: CoordinateFile) -> Arrays:
    """The values that the file's weights are coded as differences from, and that a fit starts from.

    Prior 0: every tensor but b uniform, from the pyramid's generator, one number after the other in the order of the file,
    with the bounds of `_bounds`; gamma from 0 up, and B times sqrt(gamma); b = 0. Multiples of 2**-12, in binary64.

    Raises:
        UnsupportedVersionError: a prior that this version does not have.
    """
    if number != 0:
        raise UnsupportedVersionError(f"weight prior is number {number}; this version has 0: update i2compress")
    shapes = {name: shape for name, shape in spec.weight_shapes.items() if name != "b"}
    drawn = uniform(sum(math.prod(shape) for shape in shapes.values()))
    values: Arrays = {}
    for name, shape in shapes.items():
        size = math.prod(shape)
        values[name], drawn = drawn[:size].reshape(shape) * _bounds(name, spec.network, shape), drawn[size:]
    if spec.network.kind == "gabor":
        values["gamma"] += _gamma_mean(spec.network)
        values["B"] *= np.sqrt(values["gamma"])[..., None]
    values["b"] = np.zeros(spec.weight_shapes["b"])
    return {name: np.floor(values[name] * _PRIOR_UNIT + 0.5) / _PRIOR_UNIT for name in spec.weight_shapes}


def uniform(count: int) -> Float64Array:
    """The generator's numbers: (state >> 8) / 2**23 - 1 in [-1, 1), state <- 1664525 state + 1013904223 mod 2**32 from 1."""
    states = np.zeros(max(count, 1), np.uint64)
    states[0] = (1664525 + 1013904223) & 0xFFFFFFFF
    known, factor, term, mask = 1, 1664525, 1013904223, 0xFFFFFFFF
    while known < count:  # the known ones, moved on by as many steps, are the next ones
        more = min(known, count - known)
        states[known : known + more] = (states[:more] * np.uint64(factor) + np.uint64(term)) & np.uint64(mask)
        known += more
        factor, term = factor * factor & mask, (factor + 1) * term & mask
    return (states[:count] >> np.uint64(8)) / 2.0**23 - 1.0


def _bounds(name: str, network: CoordinateSpec, shape: Shape) -> float | Float64Array:
    """The largest magnitude of each tensor's random part."""
    width, axes, filters = network.width, network.axes, network.layers + 1
    siren = network.explicit and network.kind == "siren"
    root = 1 / math.sqrt(width)
    if siren:
        first = network.input_scale / math.sqrt(axes)
        columns = np.full(shape, network.omega * root)
        columns[0] = first
        numbers = {"B": network.input_scale / axes, "A": math.sqrt(6 / width), "W": math.sqrt(6 / width) / network.omega}
        return columns if name == "c" else numbers[name]
    matrix = root if network.explicit else _MATRIX_BOUND * root
    first = network.input_scale / math.sqrt(axes * filters)
    return {"B": first, "c": math.pi, "A": matrix, "a": root, "mu": 1.0, "gamma": _gamma_mean(network), "W": root}[name]


def _gamma_mean(network: CoordinateSpec) -> float:
    return network.gabor_alpha / (network.layers + 1)


def frequencies(network: CoordinateSpec) -> dict[str, Float64Array]:
    """What the explicit siren's own tensors are multiplied by in a file; empty for the others."""
    if not (network.explicit and network.kind == "siren"):
        return {}
    rows = np.full((network.layers + 1, 1), network.omega)
    rows[0] = network.input_scale
    return {"B": np.full((1, 1, 1), network.input_scale), "c": rows, "A": np.full((1, 1, 1), network.omega)}


def norm_product(matrices: FloatingArray) -> float:
    """prod |A_l|_2 of matrices `[n, C, C]`: a bound of the Lipschitz constant of the implicit layer."""
    return float(np.prod(np.linalg.norm(np.asarray(matrices, np.float64), 2, axis=(1, 2))))


def check_contraction(spec: CoordinateFile, values: Arrays) -> None:
    """Raise MalformedError where a field promises to contract and its matrices do not."""
    if spec.network.normalised:
        bound = norm_product(values["A"])
        if not bound <= MAX_NORM_PRODUCT:
            raise MalformedError(
                f"implicit layer has contraction bound {bound:.3f}; expected at most {MAX_NORM_PRODUCT}: the file was written wrongly"
            )


def describe(spec: CoordinateFile) -> str:
    """Sizes and fixed point in words."""
    layers = f"{spec.network.layers} layer{'s' * (spec.network.layers > 1)}"
    sizes = f"{'occupancy, ' * spec.occupancy}width {spec.network.width}, {layers}, input scale {spec.network.input_scale:g}"
    if spec.explicit:
        return sizes
    if spec.converged:
        return f"{sizes}, {spec.iterations} iterations"
    return f"{sizes}, fixed point NOT reached: {spec.iterations} iterations, residual {spec.residual:.2g}"
