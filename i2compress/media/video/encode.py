"""A video becomes a file: group by group, each a plane of three axes with a field of its own."""

import math
from dataclasses import replace

import numpy as np

from ...arrays import Float32Array
from ...config import DEFAULT_FIELD, EncodeSettings
from ...errors import SignalError
from ...field.spec import Arrays
from ...header import MAX_AXIS
from ...planes import (
    MAX_SAMPLES,
    Plane,
    field_memory,
    next_base,
    open_plane,
    pyramid_memory,
)
from ...render.span import Span, whole
from ..course import Parts
from ..protocol import Coded, Hooks, Source
from .camera import MOST_GROWTH
from .colour import Colour
from .format import SOURCES, Group, VideoHeader, code_of, pixels, write_group, write_start
from .group import Frames, fit_group, frames_of, steps_of
from .groups import LARGEST, LONGEST, group_lengths, scene_starts
from .joints import FRAMES, best_limit
from .motion import moved

SAMPLE_MEMORY, WINDOW_MEMORY = 250.0, 300.0  # bytes of a fit for each pixel of a group, and for each of a window: tests/benchmarks/memory.py
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
    course = Parts(hooks.on_step, length=layout.grid[0], count=len(header.lengths), noun="group")
    base: Arrays | None = None
    last: tuple[Float32Array, Float32Array] | None = None
    steps = passes = 0
    converged, least = True, math.inf
    for number, (start, length) in enumerate(zip(header.starts, header.lengths, strict=False)):
        frames = frames_of(np.ascontiguousarray(source.read(start, length), np.float32), layout, colour, settings)
        shared = replace(settings, time_limit=None if settings.time_limit is None else settings.time_limit * length / layout.grid[0])
        told = course.of(number, start, start + length)
        fitted, follows = fit_group(frames, layout, shared, colour=colour, longest=max(header.lengths), base=base, on_step=told, stop=hooks.stop)
        plane = moved(open_plane(fitted.content, threads=settings.threads, base=base if follows else None), frames.values.shape[:3], frames.path)
        limit, last = _joint(plane, None if start in scenes else last, frames)
        parts.append(write_group(Group(content=fitted.content, follows=follows, limit=limit, path=frames.path)))
        base = next_base(fitted.weights) if settings.field == DEFAULT_FIELD else None
        steps, passes, converged, least = steps + fitted.steps, passes + fitted.passes, converged and fitted.converged, min(least, fitted.passes)
    hurried = settings.time_limit is not None and not hooks.stopped and least < min(FEWEST_STEPS, steps_of(settings))
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
    # The plane of a group that moves is larger than its frames.
    largest = max(LARGEST >> settings.halvings, math.prod(group)) // (frames * layout.grid[2])
    group = (frames, min(math.floor(MOST_GROWTH * layout.grid[1]), largest), layout.grid[2])
    return pyramid_memory(group, settings.halvings, sample=SAMPLE_MEMORY, windowed=WINDOW_MEMORY)


def _joint(plane: Plane, last: tuple[Float32Array, Float32Array] | None, frames: Frames) -> tuple[int, tuple[Float32Array, Float32Array]]:
    """How a group fades over, and its own last frame.

    Args:
        plane: of the group.
        last: the last frame of the group before, decoded and as it was wanted; None where that is of another scene, or there is none.
        frames: of the group.
    """
    wanted, weights = frames.values, frames.importance
    count, limit, shape = min(FRAMES, len(wanted)), 0, wanted.shape[1:3]
    if last is not None:
        first, importance = decoded_frames(plane, 0, count, shape), None if weights is None else weights[:count]
        limit = best_limit(first, last[0], wanted[:count], last[1], importance, len(wanted))
    return limit, (decoded_frames(plane, len(wanted) - 1, 1, shape)[0], wanted[-1])


def decoded_frames(plane: Plane, start: int, count: int, shape: tuple[int, ...]) -> Float32Array:
    """Frames `[count, H, W, C]` of a group whose frames have that `shape`, as its field has them."""
    spans = Span(start=start, size=count, out=count), *whole(shape)
    return np.concatenate(list(plane.renderer.bands(spans)))
