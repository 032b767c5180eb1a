"""What every plane has, whatever field it is in: the work of fitting one, what a fit gives, and one that was opened."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array
from ..coding.latents import Grid
from ..config import SQUARES, Aim, EncodeSettings
from ..container import Container, Header, lambda_code
from ..field.coordinate_file import CoordinateFile
from ..field.sparse_spec import SparseSpec
from ..field.spec import Arrays, PyramidSpec
from ..kinds import Kind
from ..render.renderer import GridRenderer
from ..render.sparse import SparseRenderer

if TYPE_CHECKING:
    from ..fit import StepInfo


TOLERANCE_CODES = 0.25  # how far a value may be from the fixed point, in code values of the output
TOLERANCE_ERROR = 0.02  # or as a share of the root mean squared error, which is more for deep sources


def code_tolerance(bit_depth: int) -> Callable[[float], float]:
    """PlaneJob.tolerance for values whose code values have that depth."""
    return lambda error: max(TOLERANCE_CODES / (2**bit_depth - 1), TOLERANCE_ERROR * math.sqrt(error))


@dataclass(frozen=True, kw_only=True)
class PlaneJob:
    """A plane to fit.

    Args:
        values: `[*grid, D]` float32.
        kind: of media, as the header says it.
        bit_depth: as the header says it.
        settings: lambda, steps, seed, device, threads, time limit.
        tolerance: how far the decoded values may be from the fixed point, for a mean squared error.
        distortion: what is made small beside the rate, a name in fit.perceptual.DISTORTIONS; a coordinate field has the squared error only.
        importance: weights of the squared errors, of the shape of `values`; None where all are 1.
        moves: of a pyramid of three axes, `[2, *grid]`: how far beside each sample what it shows lies, along rows and columns; see fit.moved.
        say_lambda: whether the header is to say lambda.
        aim: what the plane is to come to, of sizes its file without metadata; the lambda of the settings is where it begins.
        judge: of decoded values `[*grid, D]`, what an aim at a quality is at; None without one.
        on_step: called after every step.
        stop: asked before every step; True ends the fit with the best state so far.
    """

    values: Float32Array
    kind: Kind
    bit_depth: int
    settings: EncodeSettings
    tolerance: Callable[[float], float]
    distortion: str = SQUARES
    importance: Float32Array | None = None
    moves: Float32Array | None = None
    say_lambda: bool = True
    aim: Aim | None = None
    judge: Callable[[Float32Array], float] | None = None
    on_step: "Callable[[StepInfo], None] | None" = None
    stop: Callable[[], bool] | None = None

    @property
    def grid(self) -> tuple[int, ...]:
        """Samples along each axis."""
        return self.values.shape[:-1]

    @property
    def channels(self) -> int:
        """D."""
        return int(self.values.shape[-1])

    def header(self, spec: PyramidSpec | SparseSpec | CoordinateFile, streams: int, *, prior: int = 0, lam: float | None = None) -> Header:
        """The header of a plane in that field, whose weights are differences to the prior of that number; `lam`: None for the settings' own."""
        return Header(
            kind=int(self.kind),
            grid=self.grid,
            channels=self.channels,
            bit_depth=self.bit_depth,
            field=spec.field,
            params=spec.params,
            prior=prior,
            streams=streams,
            lam_code=lambda_code(self.settings.rate_weight if lam is None else lam) if self.say_lambda else None,
        )


@dataclass(frozen=True, kw_only=True)
class FittedPlane:
    """What a fit gives.

    Args:
        content: header, weights and latents, metadata left out.
        latents: integer grids, finest first; none of a coordinate field.
        weights: every tensor by name, as the file has it.
        steps: optimiser steps made.
        passes: those on each part of the plane; fewer than `steps` where it is fitted part by part.
        converged: False where the fixed point is not reached in the iterations that the file says.
        residual: the most that one more application moves a value of a coordinate field; 0 for a pyramid.
        lam: lambda at the end, where the fit was steered.
    """

    content: Container
    weights: Arrays
    latents: list[Grid]
    steps: int
    passes: int
    converged: bool = True
    residual: float = 0.0
    lam: float | None = None


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A plane of a file, entropy-decoded, to be rendered at whatever resolution is asked.

    Args:
        header: of the plane.
        spec: sizes of its field.
        weights: every tensor by name, as the file has it.
        latents: integer grids, finest first; none of a coordinate field.
        renderer: computes values.
        complete: False where latents are missing and count as 0.
    """

    header: Header
    spec: PyramidSpec | SparseSpec | CoordinateFile
    weights: dict[str, npt.NDArray[np.floating]]
    latents: list[Grid]
    renderer: GridRenderer | SparseRenderer
    complete: bool
