"""Coordinate fields in .i2 files: a signal becomes a network's integers, and the integers a network again.

Files of these fields have no latents: the weights are all there is. Decoding needs numpy only.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from . import waveform
from .coding.weights import WeightGroup, decode_weights, encode_weights
from .config import EncodeSettings
from .container import Container, Header, lambda_code
from .field.coordinate_file import CoordinateFile, check_contraction, most_iterations, prior, residual_code
from .field.coordinate_spec import CoordinateSpec
from .field.spec import Arrays
from .field.weights import dequantise
from .render.coordinate import CoordinateRenderer
from .render.waveform import WaveformRenderer
from .signal import FloatArray, Kind, Signal

if TYPE_CHECKING:
    from .field.coordinate_field import CoordinateField
    from .fit import StepInfo

DEFAULT_WIDTH = 64
DEFAULT_LAYERS = 1
# kind of signal -> (gain, offset): a value is offset + gain * Phi, so that Phi covers [-1, 1]
RANGES = {Kind.IMAGE: (0.5, 0.5), Kind.AUDIO: (1.0, 0.0), Kind.VIDEO: (0.5, 0.5), Kind.SHAPE: (1.0, 0.0)}
# kind of signal -> (input scale, samples along the longest axis it is for), as in (Implicit)^2; shorter signals and narrower networks have less
SCALES = {Kind.IMAGE: (256, 512), Kind.AUDIO: (25000, 308_207), Kind.VIDEO: (128, 512), Kind.SHAPE: (256, 512)}
SCALE_WIDTH, LEAST_SHARE = 256, 0.25  # the width those are for; few channels cannot cover so many frequencies (22 dB instead of 17 at 64)
ITERATION_LIMIT = 300


@dataclass(frozen=True, kw_only=True)
class Written:
    """What an encode of a coordinate field gives.

    Args:
        content: the file's parts, metadata left out.
        steps: optimiser steps made.
        converged: whether the fixed point is reached in the iterations that the file says.
        residual: the most that one more application moves a value.
    """

    content: Container
    steps: int
    converged: bool
    residual: float


def file_spec(signal: Signal, settings: EncodeSettings) -> CoordinateFile:
    """The sizes of the field for a signal. Raises LimitError where they are more than a file may hold."""
    network = CoordinateSpec(
        kind=settings.field,
        axes=len(signal.grid),
        channels=signal.channels,
        explicit=settings.explicit,
        width=settings.width or DEFAULT_WIDTH,
        layers=settings.layers or DEFAULT_LAYERS,
        input_scale=float(settings.input_scale or input_scale(signal, settings.field, settings.width or DEFAULT_WIDTH)),
        normalise=settings.contract and not settings.explicit,
    )
    return CoordinateFile(network=network, grid=signal.grid)


def input_scale(signal: Signal, field: str, width: int) -> int:
    """The default input scale: that of (Implicit)^2 for its lengths and widths, less for smaller ones; half of it for siren."""
    scale, length = SCALES[signal.kind]
    share = min(1.0, max(signal.grid) / length) * min(1.0, max(width / SCALE_WIDTH, LEAST_SHARE))
    return max(1, round(scale * share / (2 if field == "siren" else 1)))


def write(
    signal: Signal,
    settings: EncodeSettings,
    *,
    importance: FloatArray | None,
    tolerance: Callable[[float], float],
    on_step: "Callable[[StepInfo], None] | None" = None,
    stop: Callable[[], bool] | None = None,
) -> Written:
    """Fit a field and quantise it.

    Args:
        signal: what to encode.
        settings: how.
        importance: weights of the squared errors, of the shape of the values.
        tolerance: how far the values may be from the fixed point, for a mean squared error.
        on_step: called after every step.
        stop: asked before every step; True ends the fit.
    """
    from .fit import fit_coordinates

    spec = file_spec(signal, settings)
    gain, offset = RANGES[signal.kind]
    result = fit_coordinates(signal.values, spec, settings, gain=gain, offset=offset, importance=importance, on_step=on_step, stop=stop)
    values = dequantise(result.groups, prior(0, spec))
    renderer = CoordinateRenderer(spec, values, gain=gain, offset=offset, threads=settings.threads or 1)
    count = renderer.iterations_for(signal.values, tolerance(result.distortion), limit=min(ITERATION_LIMIT, most_iterations(spec.network)))
    spec = replace(spec, iterations=count.iterations, converged=count.converged, residual_code=residual_code(count.residual))
    header = Header(
        kind=int(signal.kind),
        grid=signal.grid,
        channels=signal.channels,
        bit_depth=min(signal.bit_depth, 16),
        field=spec.field,
        params=spec.params,
        prior=0,
        streams=0,
        lam_code=lambda_code(settings.rate_weight),
    )
    content = Container(header=header, weights=encode_weights(list(result.groups.values())), latents=())
    return Written(content=content, steps=result.steps, converged=count.converged, residual=count.residual)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file's field: its sizes, its tensors as the file has them, and what renders it."""

    spec: CoordinateFile
    weights: Arrays
    renderer: CoordinateRenderer


def read(content: Container, *, threads: int | None = None) -> Opened:
    """The field in a file. Raises FormatError."""
    header = content.header
    spec = CoordinateFile.from_header(header)
    shapes = spec.weight_shapes
    base = prior(header.prior, spec)
    groups: dict[str, WeightGroup] = dict(zip(shapes, decode_weights(content.weights, list(shapes.values())), strict=True))
    weights = dequantise(groups, base)
    check_contraction(spec, weights)
    gain, offset = RANGES[Kind(header.kind)]
    threads = threads or os.cpu_count() or 1
    renderer: CoordinateRenderer
    if header.kind == Kind.AUDIO and len(header.grid) == 1:
        rate = waveform.parsed(content.metadata).rate
        renderer = WaveformRenderer(spec, weights, gain=gain, offset=offset, rate=rate, threads=threads)
    else:
        renderer = CoordinateRenderer(spec, weights, gain=gain, offset=offset, threads=threads)
    return Opened(spec=spec, weights=weights, renderer=renderer)


def torch_field(spec: CoordinateFile, weights: Arrays) -> "CoordinateField":
    """The field in torch, float32, with the weights of a file: for derivatives and for further training.

    Its Phi is in [-1, 1] for a picture: a value is (1 + Phi) / 2.
    """
    import torch

    from .field.coordinate import build
    from .field.coordinate_field import CoordinateField
    from .field.coordinate_file import frequencies

    scales = frequencies(spec.network)
    tensors = {name: torch.from_numpy(np.asarray(value / scales.get(name, 1.0), np.float32)) for name, value in weights.items()}
    return CoordinateField(build(replace(spec.network, normalise=False), tensors))
