"""Planes in coordinate fields: values become a network's integers, and the integers a network again.

Files of these fields have no latents: the weights are all there is. Decoding needs numpy only.
"""

from dataclasses import replace

from ..coding.weights import WeightGroup, decode_weights, encode_weights
from ..config import EncodeSettings
from ..container import Container
from ..field.coordinate_file import CoordinateFile, check_contraction, most_iterations, prior, residual_code
from ..field.coordinate_spec import CoordinateSpec
from ..field.weights import dequantise
from ..kinds import SAMPLES, Kind
from ..render.coordinate import CoordinateRenderer
from .plane import FittedPlane, Plane, PlaneJob

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


def fit_field(job: PlaneJob, spec: CoordinateFile) -> FittedPlane:
    """Fit a coordinate field and code it; the fixed point of one that need not contract may not be reached."""
    from ..fit import fit_coordinates

    gain, offset = output_range(job.kind)
    result = fit_coordinates(job.values, spec, job.settings, gain=gain, offset=offset, importance=job.importance, on_step=job.on_step, stop=job.stop)
    weights = dequantise(result.groups, prior(0, spec))
    renderer = CoordinateRenderer(spec, weights, gain=gain, offset=offset, threads=job.settings.threads or 1)
    count = renderer.iterations_for(job.values, job.tolerance(result.distortion), limit=min(ITERATION_LIMIT, most_iterations(spec.network)))
    spec = replace(spec, iterations=count.iterations, converged=count.converged, residual_code=residual_code(count.residual))
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
