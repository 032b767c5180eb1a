"""Values of a coordinate field: every point solved by itself, in blocks, numpy only. field.coordinate_spec has the equations.

Phases B x + c reach tens of thousands of radians, so they are computed and reduced to a turn in float64; the rest is float32.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array
from ..coords import normalised, phase_offsets
from ..field.coordinate_file import CoordinateFile
from ..field.spec import Arrays
from .blocks import UNSCALED, Scales, blocks_of
from .pyramid import Box
from .renderer import GridRenderer

Doubles: TypeAlias = npt.NDArray[np.float64]

_BLOCKS = {1: (1, 1, 2048), 2: (1, 32, 64), 3: (4, 16, 32)}  # 2048 points, by number of axes
_WIDE = 256  # channels from which a block has a quarter of them
_MAX_BAND = 1024  # output rows
_SAMPLE_BLOCKS = 8  # on which iterations are counted
_REST = 1 / 64  # share of the tolerance: how far the limit may still be from the last application
_NOISE = 2.0**-20  # a move this small is rounding: it will not shrink any more
_SLOWEST = 0.98


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many applications a field needs.

    Args:
        iterations: applications, the first from zero.
        residual: the most that one more application moves a value.
        converged: whether the values came to rest.
    """

    iterations: int
    residual: float
    converged: bool


@dataclass(frozen=True, kw_only=True)
class _Path:
    """The values of one block after each application: their moves, their distances from the last, their squared errors."""

    moves: Doubles
    distances: Doubles
    errors: Doubles
    converged: bool


class CoordinateNetwork:
    """The network of a file.

    Args:
        spec: its sizes.
        weights: its tensors, as the file has them, float64.
        gain, offset: a value is offset + gain * Phi.
    """

    def __init__(self, spec: CoordinateFile, weights: Arrays, *, gain: float, offset: float) -> None:
        self._spec, self._kind, self._layers = spec, spec.network.kind, spec.network.layers
        self._frequencies, self._phases = weights["B"], weights["c"]
        self._matrices = np.ascontiguousarray(weights["A"].swapaxes(1, 2), np.float32)
        self._biases = weights["a"].astype(np.float32) if "a" in weights else None
        if self._kind == "gabor":
            self._centres, self._widths = weights["mu"], np.maximum(weights["gamma"], 0)
        self._readout = np.ascontiguousarray(gain * weights["W"].T, np.float32)
        self._offset = (offset + gain * weights["b"]).astype(np.float32)

    def inject(self, axes: list[Doubles]) -> list[Float32Array]:
        """The tensors `[N, C]` of each layer for the grid of points with these normalised coordinates along each axis."""
        sirens = self._kind == "siren"
        found = []
        for layer in range(self._layers + 1):
            if layer and sirens and self._spec.explicit:
                phase = np.broadcast_to(self._phases[layer], (math.prod(map(len, axes)), self._phases.shape[1]))
            else:
                phase = _over(axes, partial(_scaled, self._frequencies[layer]))
                phase += self._phases[layer]
            turn = (phase - 2 * math.pi * np.rint(phase / (2 * math.pi))).astype(np.float32)
            if layer and sirens:
                found.append(turn)
                continue
            np.sin(turn, out=turn)
            if self._kind == "gabor":
                squares = _over(axes, partial(_squared, self._centres[layer]))
                turn *= np.exp(-0.5 * self._widths[layer] * squares).astype(np.float32)
            found.append(turn)
        return found

    def step(self, z: Float32Array | None, u: list[Float32Array]) -> Float32Array:
        """F(z) `[N, C]`, a new array; z None for 0."""
        if self._spec.explicit and self._kind != "siren":
            z = None
        z = u[0] if z is None or self._spec.explicit else z + u[0]
        for layer in range(self._layers):
            z = z @ self._matrices[layer]
            if self._kind == "siren":
                z += u[layer + 1]
                np.sin(z, out=z)
            else:
                assert self._biases is not None
                z += self._biases[layer]
                z *= u[layer + 1]
        return z

    def read(self, z: Float32Array) -> Float32Array:
        """The values `[N, D]` of z `[N, C]`."""
        out: Float32Array = z @ self._readout
        out += self._offset
        return out


def block_shape(axes: int, width: int, scales: Scales) -> tuple[int, int, int]:
    """Samples of a block of a field of so many axes and channels; fewer at large scales, so that a band of the output stays small."""
    shape = list(_BLOCKS[axes])
    shape[-1] //= 4 if width > _WIDE else 1
    if axes > 1:
        first = 3 - axes
        shape[first] = max(1, min(shape[first], _MAX_BAND // scales[first]))
    return shape[0], shape[1], shape[2]


class CoordinateSource:
    """Blocks of a coordinate field; see render.blocks.Source.

    Args:
        spec: sizes of the field.
        network: computes its values.
        grid: samples along each axis, where they are not the file's.
        extents: how many of those samples cover each axis of the field, where that is a fraction.
    """

    def __init__(
        self, spec: CoordinateFile, network: CoordinateNetwork, grid: tuple[int, ...] | None = None, extents: tuple[float, ...] | None = None
    ) -> None:
        self.network = network
        self.axes = len(spec.grid)
        self._iterations = spec.iterations
        lead = (1,) * (3 - self.axes)
        self._grid = lead + tuple(spec.grid if grid is None else grid)
        self._extents = self._grid if extents is None else lead + tuple(extents)
        self._width = spec.network.width

    @property
    def grid(self) -> tuple[int, ...]:
        """See Source."""
        return self._grid

    def block_shape(self, scales: Scales) -> tuple[int, int, int]:
        """See Source."""
        return block_shape(self.axes, self._width, scales)

    def values(self, block: Box, scales: Scales) -> Iterator[tuple[tuple[int, ...], Float32Array]]:
        """See Source."""
        for phase in itertools.product(*map(range, scales)):
            offsets = [phase_offsets(scale)[p] for scale, p in zip(scales, phase, strict=True)]
            u = self.inject(block, offsets)
            z = None
            with np.errstate(over="ignore", invalid="ignore"):
                for _ in range(self._iterations):
                    z = self.network.step(z, u)
            assert z is not None
            # Only a field that does not contract can overflow.
            values = np.nan_to_num(self.network.read(z), copy=False, nan=0, posinf=0, neginf=0)
            yield phase, values.reshape(*(stop - start for start, stop in block), -1)

    def inject(self, block: Box, offsets: list[float]) -> list[Float32Array]:
        """What the network's step needs at a block's samples moved by these offsets."""
        axes = [normalised(size, part, offset) for part, size, offset in zip(block, self._extents, offsets, strict=True)]
        return self.network.inject(axes[3 - self.axes :])

    def path(self, block: Box, limit: int, tolerance: float, target: Float32Array) -> _Path:
        """Applications from zero until the values of a block are at rest, or `limit` of them."""
        u = self.inject(block, [0.0] * 3)
        outputs: list[Float32Array] = []
        z, moves = None, [math.inf]
        converged = False
        while len(outputs) < limit and not converged:
            with np.errstate(over="ignore", invalid="ignore"):
                z = self.network.step(z, u)
                outputs.append(self.network.read(z))
                if len(outputs) > 1:
                    moves.append(float(np.abs(outputs[-1] - outputs[-2]).max()))
            if not np.isfinite(outputs[-1]).all():
                break
            converged = _at_rest(moves, tolerance)
        if not np.isfinite(outputs[-1]).all() and len(outputs) > 1:
            outputs.pop()
            moves[-1] = math.inf
        squares = [float(np.square(output - target.reshape(output.shape), dtype=np.float64).sum()) for output in outputs]
        return _Path(
            moves=np.array([*moves[1:], moves[-1]]),
            distances=np.array([np.abs(output - outputs[-1]).max() for output in outputs], np.float64),
            errors=np.array(squares),
            converged=converged,
        )


class CoordinateRenderer(GridRenderer):
    """Values of a decoded coordinate field at any resolution; see GridRenderer.

    Args:
        spec: sizes of the field.
        weights: its tensors, as the file has them, float64.
        gain, offset: a value is offset + gain * Phi.
        threads: blocks computed at a time, at least 1.
    """

    def __init__(self, spec: CoordinateFile, weights: Arrays, *, gain: float, offset: float, threads: int = 1) -> None:
        self.spec = spec
        self.coordinates = CoordinateSource(spec, CoordinateNetwork(spec, weights, gain=gain, offset=offset))
        super().__init__(spec.grid, self.coordinates, channels=spec.channels, threads=threads)

    def iterations_for(self, target: Float32Array, tolerance: float, limit: int) -> Count:
        """The smallest number of applications after which no value is farther than `tolerance` from the limit.

        Measured on a few blocks. Where the values do not come to rest within `limit` applications there is no limit, and the
        number is the one with the least squared error.

        Args:
            target: the source's values `[*grid, D]`.
            tolerance: largest distance, in units of the values, more than 0.
            limit: most applications, at least 2.
        """
        if self.spec.explicit:
            return Count(iterations=1, residual=0.0, converged=True)
        full = ((0, self._source.grid[0]), (0, self._source.grid[1]), (0, self._source.grid[2]))
        blocks = blocks_of(self._source.grid, self._source.block_shape(UNSCALED), full)
        blocks = blocks[:: max(1, len(blocks) // _SAMPLE_BLOCKS)]
        values = target.reshape(*self._source.grid, -1)
        paths = [self.coordinates.path(b, limit, tolerance, values[tuple(slice(*part) for part in b)]) for b in blocks]
        length = max(len(path.moves) for path in paths)
        distances = np.max([np.pad(path.distances, (0, length - len(path.distances))) for path in paths], axis=0)
        moves = np.max([np.pad(path.moves, (0, length - len(path.moves)), mode="edge") for path in paths], axis=0)
        converged = all(path.converged for path in paths)
        if converged:
            best = int(np.argmax(distances <= tolerance))
        else:
            errors = np.sum([np.pad(path.errors, (0, length - len(path.errors)), mode="edge") for path in paths], axis=0)
            best = int(np.argmin(np.where(np.isfinite(errors), errors, np.inf)))
        return Count(iterations=best + 1, residual=float(moves[best]), converged=converged)


def _over(axes: list[Doubles], term: Callable[[Doubles, int], Doubles]) -> Doubles:
    """The sum over the axes of term(x[:, None], axis) `[n, C]`, at every point of the grid, `[N, C]`."""
    total: Doubles = np.zeros((1,) * (len(axes) + 1))
    for a, x in enumerate(axes):
        shape = [1] * len(axes) + [-1]
        shape[a] = len(x)
        total = total + term(x[:, None], a).reshape(shape)
    return total.reshape(-1, total.shape[-1])


def _scaled(matrix: Doubles, x: Doubles, axis: int) -> Doubles:
    return x * matrix[:, axis]


def _squared(centres: Doubles, x: Doubles, axis: int) -> Doubles:
    return np.square(x - centres[:, axis])


def _at_rest(moves: list[float], tolerance: float) -> bool:
    """Whether the moves to come, judged by the last two, no longer matter."""
    if len(moves) < 3:
        return False
    before, last = moves[-2:]
    ratio = min(last / before, _SLOWEST) if before else _SLOWEST
    return last * ratio / (1 - ratio) <= _REST * tolerance or last <= min(_NOISE, tolerance / 16)
