"""A video becomes a file: group by group, each a plane of three axes with a field of its own."""

import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Float32Array
from ...config import DEFAULT_FIELD, EncodeSettings
from ...efforts import FEWEST_STEPS
from ...errors import SignalError
from ...field.spec import Arrays
from ...header import MAX_AXIS
from ...planes import (
    MAX_SAMPLES,
    Plane,
    next_base,
    open_plane,
)
from ...processes import cores
from ...render.span import Span, whole
from .. import estimates
from ..course import Parts
from ..estimates import field_memory, field_seconds, pyramid_memory
from ..protocol import Coded, Hooks, Source
from ..workers import in_order, most_workers
from .camera import MOST_GROWTH
from .colour import Colour
from .format import ALONE, FIRST, SOURCES, Group, VideoHeader, code_of, pixels, write_group, write_start
from .group import FittedGroup, Frames, GroupFit, steps_of
from .groups import ROOM, SHORT, group_lengths, largest_group, longest_group, scene_starts
from .joints import FRAMES, best_limit
from .motion import moved

if TYPE_CHECKING:
    from ...fit import StepInfo

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
        lengths=group_lengths(source, scenes, settings),
        lam_code=code_of(settings.rate_weight),
    )
    tags = None if settings.strip else source.metadata.tags
    parts = [write_start(header, {} if tags is None else {"tags": tags})]
    groups = _Groups(source, settings, hooks, header)
    last: tuple[Float32Array, Float32Array] | None = None
    steps = passes = 0
    converged, least = True, math.inf
    with closing(groups.fitted()) as all_fitted:
        for start in header.starts[:-1]:
            group = next(all_fitted)
            fitted, frames = group.plane, group.frames
            plane = moved(open_plane(fitted.content, threads=groups.threads, base=group.base), frames.values.shape[:3], frames.motion)
            limit, last = _joint(plane, None if start in scenes else last, frames)
            follows = ALONE if group.base is None else FIRST
            parts.append(write_group(Group(content=fitted.content, follows=follows, limit=limit, motion=frames.motion)))
            steps, passes, converged = steps + fitted.steps, passes + fitted.passes, converged and fitted.converged
            least = min(least, fitted.passes)
            del group, fitted, frames, plane  # before the next one is fitted
    hurried = settings.time_limit is not None and not hooks.stopped and least < min(FEWEST_STEPS, steps_of(settings, layout))
    notes = (HURRIED.format(FEWEST_STEPS),) if hurried and settings.field == DEFAULT_FIELD else ()
    data = b"".join(parts)
    return Coded(data=data, steps=steps, passes=passes, rate_weight=settings.rate_weight, converged=converged, notes=notes)


class _Groups:
    """The groups of a source, fitted: the first one alone, then the others, which begin at its weights and so do not wait for each other.

    Args:
        source, settings, hooks: see encode.
        header: of the video.
    """

    def __init__(self, source: Source, settings: EncodeSettings, hooks: Hooks, header: VideoHeader) -> None:
        self._source, self._settings, self._hooks, self._header = source, settings, hooks, header
        self._began, self._at_once = time.monotonic(), _at_once(source, settings, len(header.lengths) - 1)
        self.threads = settings.threads if settings.threads is not None or self._at_once == 1 else max(1, cores() // self._at_once)
        self._names, turns = Parts.named("group", len(header.lengths)), self._turns()
        self._course = Parts(hooks.on_step, turns, ["{}"] * len(turns))

    def fitted(self) -> Generator[FittedGroup, None, None]:
        """All of them, in their order; to be closed."""
        first = self._part(0, None)(Hooks(on_step=self._on_step(0), stop=self._hooks.stop))
        base = next_base(first.plane.weights) if self._settings.field == DEFAULT_FIELD else None
        yield first
        del first  # which is large
        others = (self._part(number, base) for number in range(1, len(self._header.lengths)))
        yield from in_order(
            others, at_once=self._at_once, threads=self.threads or 1, on_step=lambda number: self._on_step(number + 1), stop=self._hooks.stop
        )

    def _part(self, number: int, base: Arrays | None) -> GroupFit:
        header, began = self._header, time.monotonic()
        layout, lengths = header.layout, header.lengths
        settings = replace(self._settings, threads=self.threads if number else self._settings.threads).of_part(number)
        if settings.time_limit is not None:  # shared with the groups that can only begin when this one is done
            left = settings.in_time(self._began).time_limit
            following = lengths[number :: self._at_once] if number else (lengths[0], *lengths[1 :: self._at_once])
            settings = replace(settings, time_limit=None if left is None else left * lengths[number] / sum(following))
        values = np.ascontiguousarray(self._source.read(header.starts[number], lengths[number]), np.float32)
        return GroupFit(values=values, layout=layout, colour=header.colour, settings=settings, longest=max(lengths), base=base, began=began)

    def _turns(self) -> list[int]:
        """Frames of what is fitted one after the other: the longest of the groups that are fitted at the same time, which come along together."""
        first, *others = self._header.lengths
        return [first, *(max(others[start : start + self._at_once]) for start in range(0, len(others), self._at_once))]

    def _on_step(self, number: int) -> "Callable[[StepInfo], None] | None":
        turn = 0 if number == 0 else 1 + (number - 1) // self._at_once
        return self._course.of(turn, name=self._names[number])


def _at_once(source: Source, settings: EncodeSettings, groups: int) -> int:
    """Groups that are fitted at the same time: as many as were asked for and have room; one on a GPU, which a single fit fills."""
    if min(groups, settings.jobs) <= 1:
        return 1
    from ...fit import pick_device

    if pick_device(settings.device).type != "cpu":
        return 1
    # This process keeps what it took for the first group.
    room = groups if settings.max_memory is None else int(settings.max_memory // encode_memory(source, settings)) - 1
    return max(1, min(groups, room, most_workers(settings.jobs)))


def encode_memory(source: Source, settings: EncodeSettings) -> float:
    """See Medium."""
    layout = source.layout
    frames = longest_group(layout, settings)
    group = (frames, *layout.grid[1:])
    if settings.field != DEFAULT_FIELD:
        return field_memory(group, layout.channels, settings)
    # The plane of a group that moves is larger than its frames, that of a short one by more.
    largest, planes = max(largest_group(settings), math.prod(group)), []
    for length, growth in ((frames, ROOM), (min(frames, SHORT), MOST_GROWTH)):
        planes.append((length, min(math.floor(growth * layout.grid[1]), largest // (length * layout.grid[2])), layout.grid[2]))
    beside = estimates.VIDEO_BESIDE + estimates.GROUP_BESIDE * (layout.grid[0] > frames)
    return beside + max(pyramid_memory(plane, settings.halvings, estimates.VIDEO_MEMORY) for plane in planes)


def encode_seconds(source: Source, settings: EncodeSettings) -> float:
    """See Medium; scenes are not looked for."""
    layout = source.layout
    frames = longest_group(layout, settings)
    groups = math.ceil(layout.grid[0] / frames)
    if settings.field != DEFAULT_FIELD:
        return groups * field_seconds((-(-layout.grid[0] // groups), *layout.grid[1:]), settings)
    return estimates.VIDEO.seconds(steps_of(settings, layout), layout.samples, fits=groups)


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
    return limit, (decoded_frames(plane, len(wanted) - 1, 1, shape)[0], wanted[-1].copy())


def decoded_frames(plane: Plane, start: int, count: int, shape: tuple[int, ...]) -> Float32Array:
    """Frames `[count, H, W, C]` of a group whose frames have that `shape`, as its field has them."""
    spans = Span(start=start, size=count, out=count), *whole(shape)
    return np.concatenate(list(plane.renderer.bands(spans)))
