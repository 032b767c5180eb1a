"""Both ends: a signal becomes the bytes of an .i2 file, and the bytes become a signal at any resolution.

Decoding needs numpy only; torch is imported when something is encoded.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from . import container, coordinate_codec, waveform
from .coding.latents import Grid, decode_latents, encode_latents, latent_bits
from .coding.weights import WeightGroup, decode_weights, encode_weights
from .config import DEFAULT_FIELD, EncodeSettings, View
from .container import Container, Header, lambda_code
from .errors import LimitError, MalformedError, SignalError
from .field.coordinate_file import FIELD_NUMBERS, CoordinateFile
from .field.spec import MAX_CONTRACTION, MAX_STEP_CODE, STEPS_PER_OCTAVE, PyramidSpec, prior
from .field.weights import context_weights, rendering_weights
from .header import MAX_AXIS
from .metrics import mean_squared_error, psnr
from .render import Renderer
from .render.renderer import GridRenderer
from .render.view import output_depth
from .signal import FloatArray, Kind, Metadata, Signal, to_codes

if TYPE_CHECKING:
    from .fit import StepInfo as StepInfo

MAX_SAMPLES = 1 << 27  # of a file that is decoded; about 4 GB of memory
MAX_LEVELS = 6
DEFAULT_WIDTH = 16
PLANES_FROM = 3 << 14  # samples of the smallest picture with a grid for each channel: smaller ones do not earn their weights
SPLIT = 2  # the first level with a grid for each channel: colours are smooth, and a single grid a level has no room for them
# At lambda 1e-3 a latent of 1 is worth 0.3 at first: with 1, latents overshoot before the weights have found their places. At other
# lambdas it goes with the square root, as the best step of a uniform quantiser does (D in proportion to its square, dD/dR = -lambda).
STEP_CODE, STEP_LAMBDA = 50, 1e-3
SPLIT_BYTES = 4096  # latents of at least so many bytes are cut into streams, for partial decoding
STREAMS = 3
TOLERANCE_CODES = 0.25  # of the fixed point, in code values of the output
TOLERANCE_ERROR = 0.02  # or as a share of the root mean squared error, for 16-bit sources
ITERATION_LIMIT = 64


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The result of an encode.

    Args:
        data: the .i2 file.
        psnr: dB, measured on the decoded `data` in code values (colour under full transparency left out); inf if lossless.
        bpp: bits a sample of the whole file.
        seconds: wall-clock time of the encode.
        steps: optimiser steps made.
        passes: those on each part of the signal; fewer than `steps` where it is fitted part by part.
        loss: D + lambda R with the whole file in R and D of the decoded `data`.
        estimate: bytes that the rate model foresaw for weights and latents.
        sizes: bytes of the file by kind of chunk.
        converged: False where a fixed point is not reached in the iterations that the file says.
    """

    data: bytes
    psnr: float
    bpp: float
    seconds: float
    steps: int
    passes: int
    loss: float
    estimate: float
    sizes: dict[str, int]
    converged: bool = True


class _Found(NamedTuple):
    """Of Encoded, what the kinds of fields find each in their way."""

    data: bytes
    estimate: float
    steps: int
    passes: int
    converged: bool


def encode_signal(
    signal: Signal,
    settings: EncodeSettings | None = None,
    *,
    on_step: "Callable[[StepInfo], None] | None" = None,
    stop: Callable[[], bool] | None = None,
) -> Encoded:
    """Fit a field to `signal` and write it as an .i2 file.

    Args:
        signal: what to encode.
        settings: how; None for the defaults.
        on_step: called after every step.
        stop: asked before every step; True ends the fit with the best state so far.

    Raises:
        SignalError: a signal that the format does not hold.
        ResourceError: the device is not there or has not enough memory.
    """
    settings = EncodeSettings() if settings is None else settings
    began = time.monotonic()
    _check_encodable(signal, settings)
    importance = opacity_importance(signal)
    encode = _encode_pyramid if settings.field == DEFAULT_FIELD else _encode_coordinates
    found = encode(signal, settings, importance, on_step, stop)
    data = found.data
    error = _decoded_error(data, signal, importance, settings.threads)
    bits = 8 * len(data) / math.prod(signal.grid)
    sizes: dict[str, int] = {}
    for chunk in container.chunk_sizes(data):
        sizes[chunk.name] = sizes.get(chunk.name, 0) + chunk.size
    return Encoded(
        data=data,
        psnr=psnr(error),
        bpp=bits,
        seconds=time.monotonic() - began,
        steps=found.steps,
        passes=found.passes,
        loss=error + settings.rate_weight * bits,
        estimate=found.estimate,
        sizes=sizes,
        converged=found.converged,
    )


def pyramid_spec(signal: Signal, settings: EncodeSettings) -> PyramidSpec:
    """The sizes of the field that `signal` is fitted with; the decoder's iterations are found after the fit."""
    planes = signal.channels if math.prod(signal.grid) >= PLANES_FROM else 1
    code = STEP_CODE + STEPS_PER_OCTAVE / 2 * math.log2(settings.rate_weight / STEP_LAMBDA)
    return PyramidSpec(
        grid=signal.grid,
        channels=signal.channels,
        explicit=settings.explicit,
        width=settings.width or DEFAULT_WIDTH,
        levels=levels_for(signal.grid),
        planes=planes,
        split=SPLIT if planes > 1 else 0,
        step_code=min(max(round(code), 0), MAX_STEP_CODE),
    )


def _encode_pyramid(
    signal: Signal,
    settings: EncodeSettings,
    importance: FloatArray | None,
    on_step: "Callable[[StepInfo], None] | None",
    stop: Callable[[], bool] | None,
) -> _Found:
    from .fit import fit_signal

    spec = pyramid_spec(signal, settings)
    result = fit_signal(signal.values, spec, settings, importance=importance, on_step=on_step, stop=stop)
    spec = replace(spec, iterations=_iterations(spec, result.groups, result.latents, signal, result.distortion))
    data, estimate = _write(spec, result.groups, result.latents, signal, settings)
    return _Found(data, estimate, result.steps, result.passes, True)


def _encode_coordinates(
    signal: Signal,
    settings: EncodeSettings,
    importance: FloatArray | None,
    on_step: "Callable[[StepInfo], None] | None",
    stop: Callable[[], bool] | None,
) -> _Found:
    """As _encode_pyramid; the fixed point of a field that need not contract may not be reached."""

    def tolerance(error: float) -> float:
        return _tolerance(signal, error)

    written = coordinate_codec.write(signal, settings, importance=importance, tolerance=tolerance, on_step=on_step, stop=stop)
    content = replace(written.content, metadata=_metadata(signal, settings))
    return _Found(container.write(content), float(len(content.weights)), written.steps, written.steps, written.converged)


def levels_for(grid: tuple[int, ...]) -> int:
    """Levels of latent grids of a picture: as many as leave the coarsest two samples across, at most 6."""
    return max(1, min(MAX_LEVELS, math.floor(math.log2(min(grid)))))


def opacity_importance(signal: Signal) -> FloatArray | None:
    """Weights of the squared errors: 0 for colour under full transparency, else 1; None where all are 1."""
    if not signal.has_alpha:
        return None
    opaque = signal.values[..., -1:] > 0
    weights = np.ones_like(signal.values)
    weights[..., :-1] = opaque
    return weights


def _check_encodable(signal: Signal, settings: EncodeSettings) -> None:
    waveform = signal.kind is Kind.AUDIO and len(signal.grid) == 1
    if not (signal.kind is Kind.IMAGE or (waveform and settings.field != DEFAULT_FIELD)):
        raise SignalError(f"signal is {signal.kind.name.lower()}; this version encodes images, and waveforms as coordinate fields")
    if max(signal.grid) > MAX_AXIS or math.prod(signal.grid) > MAX_SAMPLES:
        what = "waveform" if waveform else "picture"
        raise SignalError(
            f"{what} is {'x'.join(map(str, signal.grid[::-1]))}; expected sides up to {MAX_AXIS} and {MAX_SAMPLES} samples in all: make it smaller"
        )


def _iterations(spec: PyramidSpec, groups: dict[str, WeightGroup], latents: list[Grid], signal: Signal, distortion: float) -> int:
    """How many iterations bring the output close to the fixed point on a part of the picture that tells."""
    if spec.explicit:
        return 1
    part = tuple(min(size, 512) for size in spec.grid)
    small = replace(spec, grid=part)
    grids = [grid[tuple(slice(0, size) for size in shape)] for grid, shape in zip(latents, small.latent_shapes, strict=True)]
    tolerance = _tolerance(signal, distortion)
    renderer = Renderer(small, rendering_weights(small, groups, prior(0, small)), grids)
    return renderer.iterations_for(tolerance, limit=ITERATION_LIMIT).iterations


def _tolerance(signal: Signal, error: float) -> float:
    """How far the values may be from the fixed point, for a mean squared error."""
    return float(max(TOLERANCE_CODES / (2**signal.bit_depth - 1), TOLERANCE_ERROR * math.sqrt(error)))


def _metadata(signal: Signal, settings: EncodeSettings) -> dict[str, bytes]:
    kept = {} if settings.strip else vars(signal.metadata)
    blobs = {name: blob for name, blob in kept.items() if blob is not None}
    return blobs if signal.kind is Kind.IMAGE else {**blobs, waveform.NAME: waveform.blob(signal)}


def _write(spec: PyramidSpec, groups: dict[str, WeightGroup], latents: list[Grid], signal: Signal, settings: EncodeSettings) -> tuple[bytes, float]:
    """The file, and the bytes that the rate model foresees for its weights and latents."""
    context = context_weights(spec, groups, prior(0, spec))
    weights = encode_weights(list(groups.values()))
    estimate = float(latent_bits(latents, context, tile=spec.tile).sum()) / 8
    grids = len(spec.grid_levels)
    streams = min(STREAMS, grids) if estimate >= SPLIT_BYTES else 1
    parts = tuple(encode_latents(latents, context, tile=spec.tile, levels=part) for part in stream_grids(grids, streams))
    header = Header(
        kind=int(signal.kind),
        grid=signal.grid,
        channels=signal.channels,
        bit_depth=signal.bit_depth,
        field=spec.field,
        params=spec.params,
        prior=0,
        streams=streams,
        lam_code=lambda_code(settings.rate_weight),
    )
    content = Container(header=header, weights=weights, latents=parts, metadata=_metadata(signal, settings))
    return container.write(content), estimate + len(weights)


def stream_grids(grids: int, streams: int) -> list[range]:
    """The latent grids in each stream, in the order of the file: the coarse ones together, then each of the finest alone.

    Raises:
        MalformedError: more streams than grids.
    """
    if streams > grids:
        raise MalformedError(f"file has {streams} latent streams for {grids} latent grids; expected no more streams than grids")
    return [range(streams - 1, grids), *(range(grid, grid + 1) for grid in reversed(range(streams - 1)))]


def _decoded_error(data: bytes, signal: Signal, importance: FloatArray | None, threads: int | None) -> float:
    """Mean squared error of the decoded file against the source; of a picture both in code values, scaled to [0, 1]."""
    top, total, row = 2**signal.bit_depth - 1, 0.0, 0
    for band in I2File.from_bytes(data, threads=threads).bands(View()):
        rows = slice(row, row + len(band))
        values = to_codes(band, signal.bit_depth).astype(np.float64) / top if signal.kind is Kind.IMAGE else band
        total += mean_squared_error(values, signal.values[rows], None if importance is None else importance[rows]) * band.size
        row += len(band)
    return total / signal.values.size


class I2File:
    """An opened .i2 file: entropy-decoded once, rendered as often and at whatever resolution is asked.

    `header`, `metadata`, `spec` and `complete` (False for a truncated file whose missing latents count as 0) are plain attributes.
    """

    def __init__(self, content: Container, *, threads: int | None = None) -> None:
        header = content.header
        if math.prod(header.grid) > MAX_SAMPLES:
            raise LimitError(f"file has {math.prod(header.grid)} samples; this version decodes up to {MAX_SAMPLES}")
        self.header = header
        self.metadata = Metadata(**{name: blob for name, blob in content.metadata.items() if name != waveform.NAME})
        self.waveform = waveform.parsed(content.metadata)
        self.complete = content.complete
        self.spec: PyramidSpec | CoordinateFile
        self.weights: dict[str, npt.NDArray[np.floating]]
        self.latents: list[Grid]
        self._renderer: GridRenderer
        threads = threads or os.cpu_count() or 1
        if header.field in FIELD_NUMBERS:
            opened = coordinate_codec.read(content, threads=threads)
            self.spec, self.weights, self.latents, self._renderer = opened.spec, {**opened.weights}, [], opened.renderer
        else:
            self.spec, self.weights, self.latents, self._renderer = _open_pyramid(content, threads)

    @staticmethod
    def from_bytes(data: bytes, *, threads: int | None = None, allow_partial: bool = False) -> "I2File":
        """Read a file's bytes.

        Args:
            data: the file.
            threads: CPU threads; None for all.
            allow_partial: take a truncated file whose header and weights are whole.

        Raises:
            FormatError: damaged, truncated or too new.
        """
        return I2File(container.read(data, allow_partial=allow_partial), threads=threads)

    def output_shape(self, view: View | None = None) -> tuple[int, ...]:
        """H, W and channels of what a view of a picture gives; samples and channels of a waveform.

        Raises:
            UsageError: a crop or a time that lies outside, or a view of another kind of signal.
        """
        return *self._renderer.shape(View() if view is None else view), self.spec.channels

    def values(self) -> FloatArray:
        """The values on the source grid, not clipped, float32 `[*grid, D]`."""
        return self._renderer.render()

    def bands(self, view: View | None = None) -> Iterator[FloatArray]:
        """float32 `[h, W, C]` in [0, 1], top to bottom, in memory that does not grow with the height; of a waveform `[n, C]` in [-1, 1]."""
        low = 0 if self.header.kind == Kind.IMAGE else -1
        for band in self._renderer.bands(View() if view is None else view):
            yield np.clip(band, low, 1)

    def render(self, view: View | None = None) -> Signal:
        """The whole view as a signal, its metadata with it."""
        view = View() if view is None else view
        values = np.concatenate(list(self.bands(view)))
        kind, depth = Kind(self.header.kind), view.bit_depth or self.header.bit_depth
        if kind is Kind.IMAGE:
            return Signal(values=values, kind=kind, bit_depth=depth, metadata=self.metadata)
        form = self.waveform
        depth, floating = output_depth(view, form.bit_depth, form.floating)
        return Signal(values=values, kind=kind, bit_depth=depth, floating=floating, rate=view.rate or form.rate, metadata=self.metadata)


def _open_pyramid(content: Container, threads: int) -> tuple[PyramidSpec, dict[str, npt.NDArray[np.floating]], list[Grid], Renderer]:
    """Sizes, weights, latents and renderer of a file. Raises FormatError."""
    spec = PyramidSpec.from_header(content.header)
    base = prior(content.header.prior, spec)
    shapes = spec.weight_shapes
    groups = dict(zip(shapes, decode_weights(content.weights, list(shapes.values())), strict=True))
    weights = rendering_weights(spec, groups, base)
    _check_contraction(spec, weights)
    latents = _read_latents(content, spec, groups)
    return spec, {**weights}, latents, Renderer(spec, weights, latents, threads=threads)


def _check_contraction(spec: PyramidSpec, weights: dict[str, FloatArray]) -> None:
    if spec.explicit:
        return
    matrix, taps = weights["A"].astype(np.float64), weights["K"].astype(np.float64)
    bound = float(np.linalg.norm(matrix, 2) + np.abs(taps).reshape(len(taps), -1).sum(1).max())
    if not bound <= MAX_CONTRACTION:
        raise MalformedError(f"implicit layer has contraction bound {bound:.3f}; expected at most {MAX_CONTRACTION}: the file was written wrongly")


def _read_latents(content: Container, spec: PyramidSpec, groups: dict[str, WeightGroup]) -> list[Grid]:
    """All grids, finest first; zeros where a partial file has none."""
    context = context_weights(spec, groups, prior(content.header.prior, spec))
    shapes = spec.latent_shapes
    known: list[Grid] = []
    for data, levels in zip(content.latents, stream_grids(len(shapes), content.header.streams), strict=False):
        known = [*decode_latents(data, shapes, context, tile=spec.tile, levels=levels, coarser=known), *known]
    return [np.zeros(shape, np.int32) for shape in shapes[: len(shapes) - len(known)]] + known
