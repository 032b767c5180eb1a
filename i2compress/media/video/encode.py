"""A video becomes a file: group by group, each a plane of three axes with a field of its own."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Float32Array
from ...config import DEFAULT_FIELD, VIDEO_STEPS, EncodeSettings
from ...errors import SignalError
from ...field.spec import MAX_STEP_CODE, STEPS_PER_OCTAVE, Arrays, PyramidSpec, prior
from ...header import MAX_AXIS
from ...kinds import Kind
from ...planes import (
    FIT_SECONDS,
    MAX_SAMPLES,
    FittedPlane,
    Plane,
    PlaneJob,
    code_tolerance,
    field_memory,
    field_seconds,
    fit_pyramid,
    next_base,
    open_plane,
    pyramid_memory,
)
from ...planes.coordinate import file_spec, fit_field
from ...render.span import Span
from ...signal import Layout
from ..course import Parts
from ..protocol import Coded, Hooks, Source
from .colour import SUBSAMPLED, Colour, to_luma, unit
from .format import SOURCES, Group, VideoHeader, code_of, pixels, write_group, write_start
from .groups import LARGEST, LONGEST, group_lengths, scene_starts
from .joints import FRAMES, best_limit

if TYPE_CHECKING:
    from ...fit import StepInfo

MAX_LEVELS = 5
SAMPLE_MEMORY, WINDOW_MEMORY = 250.0, 300.0  # bytes of a fit for each pixel of a group, and for each of a window: tests/benchmarks/memory.py
WIDTH, HIDDEN = 8, 16
SPLIT = 1  # the first level with a grid for each channel
PLANES_FROM = 3 << 14  # samples of the smallest group with a grid for each channel
STEP_CODE, STEP_LAMBDA = 50, 1e-3  # as of pictures
COLOUR_GAIN = 6 / 64  # of each plane on its channel at first, where channels are luma and chroma
PART = (16, 256, 256)  # samples of a group on which the decoder's iterations are counted
INPUT_SCALE = (128, 640)  # of coordinate fields: (Implicit)^2's, and the longest side of the videos that it is for
STEP, SAMPLE_STEP, TAIL = 0.02, 1e-6, 8  # seconds of a step of a group, and for each sample of it; and the steps that follow a fit
FEWEST_STEPS = 40
HURRIED = "the time limit left fewer than {} steps for each group, and good video takes more; give more time, or encode a smaller video"


def encode(source: Source, settings: EncodeSettings, hooks: Hooks) -> Coded:
    """See Medium: a field for each group of pictures, so that memory is bounded."""
    layout, colour = source.layout, Colour.from_bytes(source.metadata.colour)
    if max(layout.grid) > MAX_AXIS or pixels(layout) > MAX_SAMPLES:
        size = f"{layout.grid[0]} frames of {layout.grid[2]}x{layout.grid[1]}"
        raise SignalError(f"video has {size}; expected sides up to {MAX_AXIS} and {MAX_SAMPLES} samples a frame: make it smaller")
    scenes = scene_starts(source)
    header = VideoHeader(
        layout=layout,
        colour=colour,
        source=SOURCES.index(source.format) if source.format in SOURCES else 0,
        lengths=group_lengths(layout, scenes, largest=LARGEST >> settings.halvings),
        lam_code=code_of(settings.rate_weight),
    )
    tags = None if settings.strip else source.metadata.tags
    parts = [write_start(header, {} if tags is None else {"tags": tags})]
    course = Parts(hooks.on_step, header.lengths, Parts.named("group", len(header.lengths)))
    base: Arrays | None = None
    last: tuple[Float32Array, Float32Array] | None = None
    steps = passes = 0
    converged, least = True, math.inf
    for number, (start, length) in enumerate(zip(header.starts, header.lengths, strict=False)):
        values = np.ascontiguousarray(source.read(start, length), np.float32)
        values = to_luma(values, colour) if colour.yuv else values
        shared = replace(settings, time_limit=None if settings.time_limit is None else settings.time_limit * length / layout.grid[0])
        fitted, follows = _fit(values, layout, colour, shared, base, course.of(number), hooks.stop)
        plane = open_plane(fitted.content, threads=settings.threads, base=base if follows else None)
        limit, last = _joint(plane, None if start in scenes else last, values, importance(values, layout, colour))
        parts.append(write_group(Group(content=fitted.content, follows=follows, limit=limit)))
        base = next_base(fitted.weights) if settings.field == DEFAULT_FIELD else None
        steps, passes, converged, least = steps + fitted.steps, passes + fitted.passes, converged and fitted.converged, min(least, fitted.passes)
    hurried = settings.time_limit is not None and not hooks.stopped and least < min(FEWEST_STEPS, _steps(settings))
    notes = (HURRIED.format(FEWEST_STEPS),) if hurried and settings.field == DEFAULT_FIELD else ()
    data = b"".join(parts)
    return Coded(data=data, steps=steps, passes=passes, rate_weight=settings.rate_weight, converged=converged, notes=notes)


def encode_memory(source: Source, settings: EncodeSettings) -> float:
    """See Medium."""
    layout = source.layout
    frames = max(1, min(LONGEST, (LARGEST >> settings.halvings) // pixels(layout), layout.grid[0]))
    group = (frames, *layout.grid[1:])
    if settings.field != DEFAULT_FIELD:
        return field_memory(group, layout.channels, settings)
    return pyramid_memory(group, settings.halvings, sample=SAMPLE_MEMORY, windowed=WINDOW_MEMORY)


def encode_seconds(source: Source, settings: EncodeSettings) -> float:
    """See Medium; scenes are not looked for."""
    layout = source.layout
    if settings.field != DEFAULT_FIELD:
        return field_seconds(layout.grid, layout.channels, settings)
    groups = math.ceil(layout.grid[0] / max(1, min(LONGEST, (LARGEST >> settings.halvings) // pixels(layout))))
    return groups * FIT_SECONDS + (_steps(settings) + TAIL) * (groups * STEP + SAMPLE_STEP * layout.samples)


def _steps(settings: EncodeSettings) -> int:
    return VIDEO_STEPS[settings.effort] if settings.steps is None else settings.steps


def _fit(
    values: Float32Array,
    layout: Layout,
    colour: Colour,
    settings: EncodeSettings,
    base: Arrays | None,
    on_step: "Callable[[StepInfo], None] | None",
    stop: Callable[[], bool] | None,
) -> tuple[FittedPlane, bool]:
    """The plane of one group, `values` `[n, H, W, C]` as its field is to have them, and whether its weights are differences from `base`."""
    job = PlaneJob(
        values=values,
        kind=Kind.VIDEO,
        bit_depth=layout.bit_depth,
        settings=settings if settings.field != DEFAULT_FIELD else replace(settings, steps=_steps(settings)),
        tolerance=code_tolerance(layout.bit_depth),
        importance=importance(values, layout, colour),
        on_step=on_step,
        stop=stop,
    )
    if settings.field != DEFAULT_FIELD:
        return fit_field(job, file_spec(job.grid, job.channels, settings, scale=INPUT_SCALE)), False
    from ...fit import Start

    spec = pyramid_spec(job.grid, job.channels, settings)
    if base is not None and {name: values.shape for name, values in base.items()} == spec.weight_shapes:
        return fit_pyramid(job, spec, part=PART, base=base), True
    return fit_pyramid(job, spec, part=PART, start=Start(weights=first_weights(spec) if colour.yuv else {})), False


def _joint(
    plane: Plane, last: tuple[Float32Array, Float32Array] | None, values: Float32Array, weights: Float32Array | None
) -> tuple[int, tuple[Float32Array, Float32Array]]:
    """How a group fades over, and its own last frame.

    Args:
        plane: of the group.
        last: the last frame of the group before, decoded and as it was wanted; None where that is of another scene, or there is none.
        values: the group's frames as they were wanted.
        weights: of squared errors, of the same shape.
    """
    count, limit = min(FRAMES, len(values)), 0
    if last is not None:
        first, importance = decoded_frames(plane, 0, count), None if weights is None else weights[:count]
        limit = best_limit(first, last[0], values[:count], last[1], importance, len(values))
    return limit, (decoded_frames(plane, len(values) - 1, 1)[0], values[-1])


def decoded_frames(plane: Plane, start: int, count: int) -> Float32Array:
    """Frames `[count, H, W, C]` of a group, as its field has them."""
    height, width = plane.header.grid[1:]
    spans = Span(start=start, size=count, out=count), Span(start=0, size=height, out=height), Span(start=0, size=width, out=width)
    return np.concatenate(list(plane.renderer.bands(spans)))


def pyramid_spec(grid: tuple[int, ...], channels: int, settings: EncodeSettings) -> PyramidSpec:
    """The sizes of the field that a group of `grid` (n, H, W) is fitted with."""
    planes = channels if math.prod(grid) >= PLANES_FROM else 1
    code = STEP_CODE + STEPS_PER_OCTAVE / 2 * math.log2(settings.rate_weight / STEP_LAMBDA)
    return PyramidSpec(
        grid=grid,
        channels=channels,
        explicit=settings.explicit,
        width=settings.width or WIDTH,
        levels=max(1, min(MAX_LEVELS, math.floor(math.log2(min(grid[1:]))))),
        hidden=HIDDEN,
        planes=planes,
        split=SPLIT if planes > 1 else 0,
        step_code=min(max(round(code), 0), MAX_STEP_CODE),
    )


def first_weights(spec: PyramidSpec) -> Arrays:
    """Where a fit of luma and chroma begins: each plane of latents on its own channel, the single grids on luma."""
    gains = np.zeros_like(prior(0, spec)["S"])
    for grid, level in enumerate(reversed(spec.grid_levels)):
        number = len(spec.grid_levels) - 1 - grid
        plane = spec.grid_levels[:number].count(level)
        gains[min(plane, len(gains) - 1), grid] = COLOUR_GAIN
    return {"S": gains} if spec.planes > 1 else {}


def importance(values: Float32Array, layout: Layout, colour: Colour) -> Float32Array | None:
    """Weights of the squared errors of what is fitted: so that their mean is that of the code values, as shares of the largest, of all samples.

    Luma and chroma count as many samples as there are of them; colour under full transparency does not count.
    """
    if colour.yuv:
        (down, across), (luma, chroma) = SUBSAMPLED[colour.chroma], unit(layout.bit_depth, colour)
        share = 1 / (down * across)
        weights = np.array([luma**2, share * chroma**2, share * chroma**2], np.float32) * (3 / (1 + 2 * share))
        return np.ascontiguousarray(np.broadcast_to(weights.astype(np.float32), values.shape))
    if layout.channels not in (2, 4):
        return None
    seen = np.ones(values.shape, np.float32)
    seen[..., :-1] = values[..., -1:] > 0
    return seen
