"""Changing the sampling: Keys interpolation of features at the phases, Lanczos reduction of solved values."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array
from ..coords import keys_taps, phase_offsets
from .banded import apply, correlation
from .pyramid import Box, Range
from .span import Span

_LOBES = 3


def phases(h: Float32Array, reach: Box, window: Box, scales: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Float32Array]]:
    """The features at every phase of an integer scale, by separable Keys cubic interpolation (a = -1/2).

    Args:
        h: features `[L, t, h, w]` on the samples `reach`.
        reach: `window` and KEYS_HALO samples around it along the scaled axes, where the grid has them.
        window: the samples whose features are wanted.
        scales: output samples for each source sample, one number for each of the last axes (those before are done).

    Yields:
        the phase of each of those axes, and the features `[L, ...]` of the window moved by that phase's offset.
    """
    if not scales:
        yield (), h
        return
    axis = len(window) - len(scales)
    (origin, _), (start, stop) = reach[axis], window[axis]
    for phase, offset in enumerate(phase_offsets(scales[0])):
        if offset:
            moved = apply(correlation(keys_taps(offset)), h, axis + 1, start - origin, stop - start)
        else:
            moved = h[(slice(None),) * (axis + 1) + (slice(start - origin, stop - origin),)]
        for rest, shifted in phases(moved, reach, window, scales[1:]):
            yield (phase, *rest), shifted


@dataclass(frozen=True, kw_only=True)
class Lanczos:
    """Lanczos-3 reduction of one axis from the integer scale it was solved at.

    A weight depends only on where its output sample lies in the source, so every part of the whole gets the same.

    Args:
        span: the axis.
        samples: source samples of the whole axis; the solved ones beyond them do not exist and weigh nothing.
    """

    span: Span
    samples: int

    @property
    def solved(self) -> int:
        """Solved samples of the whole axis."""
        return self.samples * self.span.scale

    @property
    def ratio(self) -> float:
        """Solved samples for each output sample, more than 1."""
        return self.span.scale * self.span.size / self.span.out

    @property
    def taps(self) -> int:
        """Solved samples that make one output sample."""
        return math.floor(2 * _LOBES * self.ratio) + 1

    @property
    def region(self) -> Range:
        """Source samples start .. stop that the span's output needs."""
        if self.span.exact:
            return self.span.start, self.span.start + self.span.size
        scale = self.span.scale
        return self.first(0) // scale, -(-self.last(self.span.out - 1) // scale)

    def first(self, j: int) -> int:
        """First solved sample that output sample j may need."""
        return max(0, int(self._left(np.array([j]))[0]))

    def last(self, j: int) -> int:
        """One past the last solved sample that output sample j may need."""
        return min(self.solved, int(self._left(np.array([j]))[0]) + self.taps)

    def apply(self, x: Float32Array, axis: int, origin: int, outputs: Range) -> Float32Array:
        """Output samples of one axis.

        Args:
            x: solved values, sample 0 of `axis` being solved sample `origin`.
            axis: which axis.
            origin: as above.
            outputs: which output samples, start .. stop.

        Returns:
            float32, `stop - start` samples along `axis`.
        """
        index, weights = self._table(np.arange(*outputs))
        column = [-1 if a == axis else 1 for a in range(x.ndim)]
        total = np.zeros([len(index) if a == axis else side for a, side in enumerate(x.shape)], np.float32)
        # One tap after the other: a sum whose order does not depend on how many outputs are made at once.
        for tap in range(self.taps):
            part = np.take(x, (index[:, tap] - origin).clip(0, x.shape[axis] - 1), axis=axis)
            part *= weights[:, tap].reshape(column)
            total += part
        return total

    def each(self, bands: Iterator[Float32Array], axis: int, origin: int) -> Iterator[Float32Array]:
        """The whole output along `axis` of every band."""
        return (self.apply(band, axis, origin, (0, self.span.out)) for band in bands)

    def stream(self, bands: Iterator[Float32Array], axis: int, origin: int, outputs: Range | None = None) -> Iterator[Float32Array]:
        """Output in bands, from solved values in bands of which the first starts at solved sample `origin`; all of it, or these samples."""
        done, stop = (0, self.span.out) if outputs is None else outputs
        held = next(bands)
        while True:
            end = origin + held.shape[axis]
            ready = bisect_right(range(stop), end, lo=done, key=self.last)
            if ready > done:
                yield self.apply(held, axis, origin, (done, ready))
                done = ready
            if done == stop:
                return
            keep = min(self.first(done), end) - origin
            held, origin = held[(slice(None),) * axis + (slice(keep, None),)], origin + keep
            held = np.concatenate([held, next(bands)], axis=axis)

    def _centre(self, j: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Positions of output samples in solved samples. One division of integers: equal positions give equal weights."""
        span = self.span
        return span.scale * (2 * span.start * span.out + (2 * j + 1) * span.size) / (2 * span.out) - 0.5

    def _left(self, j: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        return np.ceil(self._centre(j) - _LOBES * self.ratio).astype(np.intp)

    def _table(self, j: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Float32Array]:
        """Solved samples and their weights, `[len(j), taps]` each."""
        index = self._left(j)[:, None] + np.arange(self.taps)
        t = (index - self._centre(j)[:, None]) / self.ratio
        weights = np.where(np.abs(t) < _LOBES, np.sinc(t) * np.sinc(t / _LOBES), 0.0)
        weights[(index < 0) | (index >= self.solved)] = 0.0
        return index, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
