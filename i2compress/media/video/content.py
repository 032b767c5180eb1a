"""An .i2 file of video: what it says of itself, and its frames: some of them, between them, at any size, in bounded memory."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...arrays import Float32Array
from ...config import Limits, View
from ...container import ChunkReader
from ...errors import FormatError, UsageError
from ...field.spec import Arrays
from ...planes import Cost, Plane, next_base, open_plane, plane_cost, plane_weights
from ...planes.outline import describe_field, field_facts, field_settings
from ...records import Json
from ...render.span import Span
from ...signal import Layout, Metadata
from ..protocol import Outline
from ..rectangle import CHANNELS, spans
from .colour import from_luma
from .format import FIRST, SOURCES, read_video, video_header
from .joints import faded, fades
from .motion import moved, seen
from .view import Moments, moments, output_layout, stretch

LIBRARY = 75e6  # bytes of the library that writes video, with what it holds of a clip: tests/benchmarks/memory.py


class Clip:
    """A video that was opened; see media.protocol.Content. A group is entropy-decoded when it is needed.

    Where the file was cut short, the frames that are missing are black.
    """

    def __init__(self, data: bytes, *, partial: bool, threads: int | None) -> None:
        found = read_video(data, allow_partial=partial)
        self.header, self.layout, self.complete = found.header, found.header.layout, found.complete
        self.metadata = Metadata(tags=found.metadata.get("tags"), colour=found.header.colour.to_bytes())
        self._groups, self._threads = found.groups, threads
        self._known: dict[int, Arrays] = {}  # what differences from the weights of a group are added to: the first one's, and those decoded last
        self._opened: tuple[int, Plane] | None = None  # the group that was opened last

    def output(self, view: View) -> Layout:
        """See Content."""
        return output_layout(self.layout, view)

    def stretch(self, view: View) -> tuple[float, float]:
        """See Timed."""
        return stretch(self.layout, view)

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """See Content: frames `[n, H, W, C]`, a few at a time; a little beyond 0..1 where they were made of luma and chroma."""
        found, starts = moments(self.layout, view), self.header.starts
        owners = _owners(found, starts)
        for number in np.unique(owners):
            places = found.places[owners == number] - starts[number]
            for band in self._frames(int(number), places, found, view):
                yield from_luma(band, self.header.colour) if self.header.colour.yuv else np.clip(band, 0, 1)

    def _frames(self, number: int, places: npt.NDArray[np.float64], found: Moments, view: View) -> Iterator[Float32Array]:
        """Values of the field at places of one group, counted from its first frame."""
        rectangle, length, phases = spans(self.layout.grid[1:], view), self.header.lengths[number], found.phases
        if number >= len(self._groups):
            shape = (rectangle[0].out, rectangle[1].out, self.layout.channels)
            black = np.array([0, 0.5, 0.5] if self.header.colour.yuv else [0] * self.layout.channels, np.float32)
            yield from (np.broadcast_to(black, (1, *shape)) for _ in places)
            return
        wanted, time = _solved(places, length, phases)
        done, limit = time.start * phases, self._groups[number].limit if fades(places, length) else 0
        last = self._frame(number - 1, rectangle) if limit else None
        for band in self._plane(number).renderer.bands((time, *rectangle)):
            chosen = wanted[(wanted >= done) & (wanted < done + len(band))] - done
            if len(chosen):
                at = (chosen + done + 0.5) / phases - 0.5
                yield band[chosen] if last is None else faded(band[chosen], last, at, length, limit)
            done += len(band)

    def _frame(self, number: int, rectangle: tuple[Span, ...]) -> Float32Array:
        """The last frame of a group, as its field has it, `[H, W, C]`."""
        (frame,) = np.concatenate(list(self._plane(number).renderer.bands((_last(self.header.lengths[number]), *rectangle))))
        return np.asarray(frame, np.float32)

    def _plane(self, number: int) -> Plane:
        if self._opened is None or self._opened[0] != number:
            group, grid = self._groups[number], (self.header.lengths[number], *self.layout.grid[1:])
            self._opened = None  # before there is another one
            self._opened = number, moved(open_plane(group.content, threads=self._threads, base=self._base(number)), grid, group.motion)
        return self._opened[1]

    def _base(self, number: int) -> Arrays | None:
        """What the weights of a group are differences from: those of another one, which may be differences too, back to one that stands by itself."""
        chain = [number]
        while self._groups[chain[-1]].follows and self._before(chain[-1]) not in self._known:
            chain.append(self._before(chain[-1]))
        for group in reversed(chain[1:]):
            base = self._known.get(self._before(group)) if self._groups[group].follows else None
            found = next_base(plane_weights(self._groups[group].content, base))
            self._known = {place: weights for place, weights in self._known.items() if place == 0} | {group: found}
        return self._known[self._before(number)] if self._groups[number].follows else None

    def _before(self, number: int) -> int:
        """The group whose weights those of a group are differences from."""
        return 0 if self._groups[number].follows == FIRST else number - 1


def _owners(found: Moments, starts: list[int]) -> npt.NDArray[np.intp]:
    """The group that each moment is in, of groups that start at these frames."""
    return np.searchsorted(starts, np.floor(found.places + 0.5), side="right") - 1


def _solved(places: npt.NDArray[np.float64], length: int, phases: int) -> tuple[npt.NDArray[np.intp], Span]:
    """The nearest of `phases` moments a frame to each place of a group of so many frames, and the frames that hold all of them."""
    wanted = np.clip(np.rint((places + 0.5) * phases - 0.5).astype(np.intp), 0, length * phases - 1)
    first, last = wanted[0] // phases, wanted[-1] // phases
    return wanted, Span(start=int(first), size=int(last - first) + 1, out=int(last - first + 1) * phases)


def _last(length: int) -> Span:
    return Span(start=length - 1, size=1, out=1)


def cost(data: bytes, view: View) -> Cost:
    """See Medium: of the groups that are needed."""
    file = read_video(data, allow_partial=True)
    layout, starts = file.header.layout, file.header.starts
    found, rectangle, total = moments(layout, view), spans(layout.grid[1:], view), Cost()
    owners = _owners(found, starts)
    for number in np.unique(owners[owners < len(file.groups)]):
        time = _solved(found.places[owners == number] - starts[number], file.header.lengths[number], found.phases)[1]
        group = file.groups[number]
        total = total.then(plane_cost(group.content.header, (time, *seen(rectangle, group.motion))))
        if group.limit and fades(found.places[owners == number] - starts[number], file.header.lengths[number]):
            before = file.groups[number - 1]
            total = total.then(plane_cost(before.content.header, (_last(file.header.lengths[number - 1]), *seen(rectangle, before.motion))))
    return replace(total, memory=LIBRARY + total.memory)


def load(data: bytes, *, partial: bool, threads: int | None) -> Clip:
    """See Medium."""
    return Clip(data, partial=partial, threads=threads)


def describe(layout: Layout) -> str:
    """See Medium: 176x144 RGB8, 120 frames, 29.97 a second."""
    frames, height, width = layout.grid
    pace = f"{frames / (layout.seconds or 1):.4g} a second{' on average' if layout.times else ''}"
    return f"{width}x{height} {CHANNELS[layout.channels]}{layout.bit_depth}, {frames} frame{'s' if frames > 1 else ''}, {pace}"


def facts(layout: Layout) -> Mapping[str, Json]:
    """See Medium."""
    frames, height, width = layout.grid
    size: dict[str, Json] = {"frames": frames, "width": width, "height": height, "channels": layout.channels, "bit_depth": layout.bit_depth}
    return {**size, "fps": layout.frequency, "variable": bool(layout.times), "duration": layout.seconds}


def check_output(layout: Layout, limits: Limits) -> None:
    """See Medium."""
    frames, height, width = layout.grid
    if limits.max_pixels is not None and height * width > limits.max_pixels:
        raise UsageError(f"the output has frames of {width}x{height}; expected at most {limits.max_pixels} pixels: raise --max-pixels")
    if limits.max_samples is not None and layout.samples * layout.channels > limits.max_samples:
        raise UsageError(f"the output has {frames} frames of {width}x{height}; expected at most {limits.max_samples} samples: raise --max-samples")


def outline(data: bytes) -> Outline:
    """See Medium."""
    file = read_video(data)
    lengths: list[Json] = [*file.header.lengths]
    header, count = file.groups[0].content.header, len(lengths)
    what = f"{count} group{'s' if count > 1 else ''} of up to {max(file.header.lengths)} frames, {describe_field(header)}"
    settings: dict[str, Json] = {**field_settings(header), "lam": file.header.lam}
    return Outline(layout=file.header.layout, lam=file.header.lam, what=what, facts={"groups": lengths, **field_facts(header)}, settings=settings)


def output_format(head: bytes) -> str:
    """See Medium: the format that the video came from, mp4 for most."""
    try:
        return SOURCES[video_header(ChunkReader(head).expect("V")).source]
    except FormatError:  # said when the file is decoded
        return SOURCES[0]
