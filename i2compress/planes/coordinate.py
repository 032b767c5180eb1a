"""Planes in coordinate fields: values become a network's integers, and the integers a network again.

Files of these fields have no latents: the weights are all there is. Decoding needs numpy only.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Float32Array
from ..coding.weights import WeightGroup, decode_weights, encode_weights
from ..config import EncodeSettings
from ..container import Container
from ..field.coordinate_file import CoordinateFile, check_contraction, most_iterations, prior, residual_code, slope_code
from ..field.coordinate_spec import CoordinateSpec
from ..field.weights import dequantise
from ..kinds import SAMPLES, Kind
from ..render.coordinate import CoordinateRenderer
from .plane import FittedPlane, Plane, PlaneJob

if TYPE_CHECKING:
    from ..fit import Wanted

DEFAULT_WIDTH = 64
DEFAULT_LAYERS = 1
SCALE_WIDTH, LEAST_SHARE = 256, 0.25  # the width input scales are for; few channels cannot cover so many frequencies (22 dB instead of 17 at 64)
ITERATION_LIMIT = 300


def output_range(kind: Kind) -> tuple[float, float]:
    """(gain, offset) such that a value is offset + gain * Phi, and Phi covers [-1, 1]."""
    lowest = SAMPLES[kind].lowest
    return (1 - lowest) / 2, (1 + lowest) / 2


def file_spec(grid: tuple[int, ...], channels: int, settings: EncodeSettings, *, scale: tuple[int, int]) -> CoordinateFile:
    """The sizes of the field for a signal.

    Args:
        grid: samples along each axis.
        channels: D.
        settings: field, width, layers and the like.
        scale: see input_scale.

    Raises:
        LimitError: more than a file may hold.
    """
    width = settings.width or DEFAULT_WIDTH
    network = CoordinateSpec(
        kind=settings.field,
        axes=len(grid),
        channels=channels,
        explicit=settings.explicit,
        width=width,
        layers=settings.layers or DEFAULT_LAYERS,
        input_scale=float(settings.input_scale or input_scale(grid, settings.field, width, scale)),
        normalise=settings.contract and not settings.explicit,
    )
    return CoordinateFile(network=network, grid=grid)


def input_scale(grid: tuple[int, ...], field: str, width: int, scale: tuple[int, int]) -> int:
    """The default input scale: that of (Implicit)^2 for its lengths and widths, less for smaller ones; half of it for siren.

    Args:
        grid: samples along each axis.
        field: siren, fourier or gabor.
        width: channels of the implicit layer.
        scale: the paper's input scale for this kind of signal, and samples along the longest axis that it is for.
    """
    full, length = scale
    share = min(1.0, max(grid) / length) * min(1.0, max(width / SCALE_WIDTH, LEAST_SHARE))
    return max(1, round(full * share / (2 if field == "siren" else 1)))


def fit_field(job: PlaneJob, spec: CoordinateFile, wanted: "Wanted | None" = None) -> FittedPlane:
    """Fit a coordinate field and code it; the fixed point of one that need not contract may not be reached.

    Args:
        job: the values, and how to fit.
        spec: sizes.
        wanted: what to fit to; None for the job's values themselves.
    """
    from ..fit import Samples, fit_coordinates

    gain, offset = output_range(job.kind)
    wanted = Samples(values=job.values, gain=gain, offset=offset, importance=job.importance) if wanted is None else wanted
    result = fit_coordinates(wanted, spec, job.settings, on_step=job.on_step, stop=job.stop)
    weights = dequantise(result.groups, prior(0, spec))
    renderer = CoordinateRenderer(spec, weights, gain=gain, offset=offset, threads=job.settings.threads or 1)
    tolerance, limit = wanted.unit * job.tolerance(result.distortion), min(ITERATION_LIMIT, most_iterations(spec.network))
    count = renderer.iterations_for(np.float32(wanted.unit) * job.values, tolerance, limit=limit)
    spec = replace(spec, iterations=count.iterations, converged=count.converged, residual_code=residual_code(count.residual))
    if spec.occupancy:
        values = CoordinateRenderer(spec, weights, gain=gain, offset=offset, threads=job.settings.threads or 1).render()
        spec = replace(spec, slope_code=slope_code(slope_at_zero(values[..., 0])))
    content = Container(header=job.header(spec, 0), weights=encode_weights(list(result.groups.values())), latents=())
    return FittedPlane(
        content=content,
        weights=weights,
        latents=[],
        steps=result.steps,
        passes=result.steps,
        converged=count.converged,
        residual=count.residual,
    )


def slope_at_zero(values: Float32Array) -> float:
    """How much values `[X, Y, Z]` rise from sample to sample beside those of another sign, the median; 1 where there are none."""
    beside = np.zeros(values.shape, np.bool_)
    for axis in range(values.ndim):
        along, changes = np.moveaxis(beside, axis, 0), np.moveaxis(np.diff(values > 0, axis=axis), axis, 0)
        along[:-1] |= changes
        along[1:] |= changes
    if not beside.any():
        return 1.0
    squares = [np.square(np.gradient(values, axis=axis)[beside], dtype=np.float64) for axis in range(values.ndim)]
    return max(float(np.median(np.sqrt(sum(squares)))), 2.0**-8)


def open_field(content: Container, threads: int) -> Plane:
    """See open_plane."""
    header = content.header
    spec = CoordinateFile.from_header(header)
    shapes = spec.weight_shapes
    groups: dict[str, WeightGroup] = dict(zip(shapes, decode_weights(content.weights, list(shapes.values())), strict=True))
    weights = dequantise(groups, prior(header.prior, spec))
    check_contraction(spec, weights)
    gain, offset = output_range(Kind(header.kind))
    renderer = CoordinateRenderer(spec, weights, gain=gain, offset=offset, threads=threads)
    return Plane(header=header, spec=spec, weights={**weights}, latents=[], renderer=renderer, complete=True)
