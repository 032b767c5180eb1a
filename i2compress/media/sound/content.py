"""An .i2 file of sound: what it says of itself, and its samples: those of some seconds only, or at another rate, in bounded memory."""

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ... import container
from ...arrays import Float32Array
from ...config import Limits, View
from ...container import SIGNATURE, ChunkReader
from ...errors import FormatError, UsageError
from ...planes import Cost, open_plane, plane_cost
from ...planes.outline import describe_field, field_facts, field_settings
from ...processes import cores
from ...records import Json
from ...signal import Layout, Metadata
from ..protocol import Outline
from . import waveform_chunk
from .analysis import rotate
from .format import PEAK_UNIT, SOURCES, Segment, SoundFile, read_sound, sound_header
from .masking import band_gains
from .mdct import Evaluation, Synthesis
from .noise import fill
from .view import output_layout, output_span, source_span
from .waveform import Waveform

SYNTHESIS = 56  # bytes for each coefficient of a segment, as it becomes samples: tests/benchmarks/memory.py
FRAMES_AT_ONCE = 32


def load(data: bytes, *, partial: bool, threads: int | None) -> "Segmented | Waveform":
    """See Medium: sound in segments, or a waveform in one coordinate field."""
    if in_segments(data):
        return Segmented(read_sound(data, allow_partial=partial), threads=threads)
    return Waveform(container.read(data, allow_partial=partial), threads=threads)


def in_segments(data: bytes) -> bool:
    """Whether the first chunk is that of sound in segments."""
    return data[: len(SIGNATURE) + 1] == SIGNATURE + b"A"


def cost(data: bytes, view: View) -> Cost:
    """See Medium: of the segments that are needed, or of the part of a waveform."""
    if not in_segments(data):
        header, blobs = container.read_start(io.BytesIO(data))
        layout = waveform_chunk.layout_of(header, blobs)
        first, last = source_span(layout, view)
        finer = max(1.0, (view.rate or layout.rate) / layout.rate)
        return plane_cost(header).times((last - first) / layout.samples * finer)
    content = read_sound(data, allow_partial=True)
    first, last = (edge // content.header.hop // content.header.segment for edge in source_span(content.header.layout, view))
    total = Cost()
    for segment in content.segments[first : last + 1]:
        if segment.content is not None:
            found = plane_cost(segment.content.header)
            total = total.then(replace(found, memory=found.memory + SYNTHESIS * math.prod(segment.content.header.grid)))
    return total


class Segmented:
    """Sound in segments that was opened; see media.protocol.Content. A segment is entropy-decoded when it is needed.

    `header` is the file's. Where the file was cut short, the missing segments are silent.
    """

    def __init__(self, content: SoundFile, *, threads: int | None) -> None:
        self.header = content.header
        self.layout = content.header.layout
        self.metadata = Metadata(**content.metadata)
        self.complete = content.complete
        self._segments = content.segments
        self._framing = content.framing
        self._threads = threads or cores()

    def output(self, view: View) -> Layout:
        """See Content."""
        return output_layout(self.layout, self._span(view), view)

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """See Content: samples `[n, C]`, not clipped, a few frames at a time. Raises FormatError for a segment that no encoder writes."""
        first, last = self._span(view)
        yield from self._evaluated(view, first, last) if view.rate not in (None, self.header.rate) else self._plain(first, last)

    def _span(self, view: View) -> tuple[int, int]:
        """First output sample of a view and the one after its last. Raises UsageError where it has none."""
        start, stop = source_span(self.layout, view)
        step = self._step(view)
        return output_span(math.ceil(start / step), math.ceil(stop / step), view)

    def _step(self, view: View) -> float:
        return 1.0 if view.rate is None else self.header.rate / view.rate

    def _plain(self, first: int, last: int) -> Iterator[Float32Array]:
        """Source samples first..last."""
        start, stop = self._needed(first, last)
        synthesis, position = Synthesis(self._framing, start), start * self.header.hop
        for coefficients in self._frames(start, stop):
            x = synthesis.push(coefficients)
            yield from _cut(x, position, first, last)
            position += x.shape[1]

    def _evaluated(self, view: View, first: int, last: int) -> Iterator[Float32Array]:
        """Output samples first..last at another rate."""
        step = self._step(view)
        start, stop = self._needed(math.floor(first * step), math.ceil(last * step) + 1)
        evaluation = Evaluation(self._framing, step, self.header.channels, start)
        for coefficients in self._frames(start, stop):
            position = evaluation.position
            yield from _cut(evaluation.push(coefficients), position, first, last)

    def _needed(self, first: int, last: int) -> tuple[int, int]:
        """Frames that source samples first..last depend on."""
        hop = self.header.hop
        return max(0, (first - hop // 2) // hop), min(self.header.frames, (last - 1 + hop // 2) // hop + 1)

    def _frames(self, start: int, stop: int) -> Iterator[npt.NDArray[np.float64]]:
        """Coefficients `[C, F, hop]` of frames start..stop, some at a time."""
        for number in range(start // self.header.segment, -(-stop // self.header.segment)):
            first, last = self.header.bounds(number)
            coefficients = self.coefficients(number)
            for at in range(max(first, start), min(last, stop), FRAMES_AT_ONCE):
                yield self._full(coefficients[:, at - first : min(at + FRAMES_AT_ONCE, last, stop) - first])

    def _full(self, kept: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        out = np.zeros((*kept.shape[:2], self.header.hop))
        out[..., : kept.shape[2]] = kept
        return out

    def coefficients(self, number: int) -> npt.NDArray[np.float64]:
        """Coefficients of a segment, `[C, F, n]`, those from n on are 0; no bins where it is silent or missing."""
        first, last = self.header.bounds(number)
        segment = self._segments[number] if number < len(self._segments) else Segment(splits=np.zeros(last - first, np.int64))
        if segment.content is None:
            return np.zeros((self.header.channels, last - first, 0))
        opened = open_plane(segment.content, threads=self._threads)
        plane = opened.renderer.render().astype(np.float64).reshape(self.header.channels, last - first, segment.bins) - 0.5
        for place, height in segment.peaks:
            plane.ravel()[place] += PEAK_UNIT * height
        if segment.noise:
            plane = fill(plane, opened.latents[0].reshape(plane.shape) != 0, segment.noise, self.header.hop, self.header.rate)
        gains = band_gains(segment.weights, plane.shape[2], self.header.hop, self.header.rate)
        return rotate(plane / segment.gain * gains, segment.rotation, -1)


def _cut(x: npt.NDArray[np.float64], position: int, first: int, last: int) -> Iterator[Float32Array]:
    """The part of `x` `[C, n]`, whose first sample is number `position`, inside first..last, as `[n, C]`."""
    part = x[:, max(0, first - position) : max(0, last - position)]
    if part.shape[1]:
        yield np.ascontiguousarray(part.T, np.float32)


def describe(layout: Layout) -> str:
    """See Medium: 12.45 s, 48000 Hz, stereo, 16 bit."""
    what = {1: "mono", 2: "stereo"}.get(layout.channels, f"{layout.channels} channels")
    return f"{layout.samples / layout.rate:.4g} s, {layout.rate} Hz, {what}, {layout.bit_depth} bit{' float' if layout.floating else ''}"


def facts(layout: Layout) -> Mapping[str, Json]:
    """See Medium."""
    depth: dict[str, Json] = {"bit_depth": layout.bit_depth, "floating": layout.floating}
    return {"samples": layout.samples, "rate": layout.rate, "channels": layout.channels, **depth}


def check_output(layout: Layout, limits: Limits) -> None:
    """See Medium."""
    if limits.max_samples is not None and layout.samples * layout.channels > limits.max_samples:
        raise UsageError(
            f"the output has {layout.samples} samples a channel; expected at most {limits.max_samples} in all: use --time, or raise --max-samples"
        )


def outline(data: bytes) -> Outline:
    """See Medium."""
    if not in_segments(data):
        content = container.read(data)
        layout, header = waveform_chunk.layout_of(content.header, content.metadata), content.header
        return Outline(layout=layout, lam=header.lam, what=describe_field(header), facts=field_facts(header), settings=field_settings(header))
    file = read_sound(data)
    count, hop = file.header.segments, file.header.hop
    what = f"{count} segment{'s' if count > 1 else ''}, frames of {hop} samples"
    bins: list[Json] = [segment.bins for segment in file.segments]
    tune = "hearing" if any(segment.weights for segment in file.segments) else "snr"
    settings: dict[str, Json] = {"lam": file.header.lam, "tune": tune}
    first = next((segment.content for segment in file.segments if segment.content is not None), None)
    if first is not None:  # of the planes lambda is always the same one
        settings = {**field_settings(first.header), **settings}
    return Outline(layout=file.header.layout, lam=file.header.lam, what=what, facts={"hop": hop, "segments": count, "bins": bins}, settings=settings)


def output_format(head: bytes) -> str:
    """See Medium: the format that the sound came from; wav for a waveform and for lossy formats."""
    try:
        return SOURCES[sound_header(ChunkReader(head).expect("A")).source] if in_segments(head) else "wav"
    except FormatError:  # said when the file is decoded
        return "wav"
