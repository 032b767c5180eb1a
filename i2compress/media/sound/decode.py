"""A file of sound becomes samples: those of some seconds only, or at another rate, in memory that does not grow with it."""

import math
import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...codec import I2File
from ...config import View
from ...render.view import output_depth, output_span, sound_span
from ...signal import FloatArray, Kind, Metadata, Signal
from .analysis import rotate
from .format import PEAK_UNIT, Segment, SoundFile, read_sound
from .masking import band_gains
from .mdct import Evaluation, Synthesis
from .noise import fill

FRAMES_AT_ONCE = 32


class I2Sound:
    """An opened file of sound: segments are entropy-decoded when they are needed.

    `header`, `metadata` and `complete` (False for a truncated file, whose missing segments are silent) are plain attributes.
    """

    def __init__(self, content: SoundFile, *, threads: int | None = None) -> None:
        self.header = content.header
        self.metadata = Metadata(**content.metadata)
        self.complete = content.complete
        self._segments = content.segments
        self._layout = content.layout
        self._threads = threads or os.cpu_count() or 1

    @staticmethod
    def from_bytes(data: bytes, *, threads: int | None = None, allow_partial: bool = False) -> "I2Sound":
        """Read a file's bytes; arguments and errors as those of I2File.from_bytes."""
        return I2Sound(read_sound(data, allow_partial=allow_partial), threads=threads)

    def span(self, view: View | None = None) -> tuple[int, int]:
        """First output sample of a view and the one after its last. Raises UsageError where it has none."""
        view = View() if view is None else view
        start, stop = sound_span(self.header.samples, self.header.rate, view)
        step = self._step(view)
        return output_span(math.ceil(start / step), math.ceil(stop / step), view)

    def depth(self, view: View | None = None) -> tuple[int, bool]:
        """Bits of the output's samples, and whether they are floating point."""
        return output_depth(View() if view is None else view, self.header.bit_depth, self.header.floating)

    def blocks(self, view: View | None = None) -> Iterator[FloatArray]:
        """float32 `[n, C]` in about [-1, 1], from start to end, a few frames at a time.

        Raises:
            UsageError: a view that the sound does not have.
            FormatError: a segment that no encoder writes.
        """
        view = View() if view is None else view
        first, last = self.span(view)
        yield from self._evaluated(view, first, last) if view.rate not in (None, self.header.rate) else self._plain(first, last)

    def render(self, view: View | None = None) -> Signal:
        """The whole view as a signal, its tags with it."""
        view = View() if view is None else view
        depth, floating = self.depth(view)
        values = np.concatenate(list(self.blocks(view)))
        rate = self.header.rate if view.rate is None else view.rate
        return Signal(values=values, kind=Kind.AUDIO, bit_depth=depth, floating=floating, rate=rate, metadata=self.metadata)

    def _step(self, view: View) -> float:
        return 1.0 if view.rate is None else self.header.rate / view.rate

    def _plain(self, first: int, last: int) -> Iterator[FloatArray]:
        """Source samples first..last."""
        start, stop = self._needed(first, last)
        synthesis, position = Synthesis(self._layout, start), start * self.header.hop
        for coefficients in self._frames(start, stop):
            x = synthesis.push(coefficients)
            yield from _cut(x, position, first, last)
            position += x.shape[1]

    def _evaluated(self, view: View, first: int, last: int) -> Iterator[FloatArray]:
        """Output samples first..last at another rate."""
        step = self._step(view)
        start, stop = self._needed(math.floor(first * step), math.ceil(last * step) + 1)
        evaluation = Evaluation(self._layout, step, self.header.channels, start)
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
        file = I2File(segment.content, threads=self._threads)
        plane = file.values().astype(np.float64).reshape(self.header.channels, last - first, segment.bins) - 0.5
        for place, height in segment.peaks:
            plane.ravel()[place] += PEAK_UNIT * height
        if segment.noise:
            plane = fill(plane, file.latents[0].reshape(plane.shape) != 0, segment.noise, self.header.hop, self.header.rate)
        gains = band_gains(segment.weights, plane.shape[2], self.header.hop, self.header.rate)
        return rotate(plane / segment.gain * gains, segment.rotation, -1)


def _cut(x: npt.NDArray[np.float64], position: int, first: int, last: int) -> Iterator[FloatArray]:
    """The part of `x` `[C, n]`, whose first sample is number `position`, inside first..last, as `[n, C]`."""
    part = x[:, max(0, first - position) : max(0, last - position)]
    if part.shape[1]:
        yield np.ascontiguousarray(part.T, np.float32)
