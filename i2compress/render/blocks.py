"""Solving a region: fixed blocks of the source grid, each with its halo, in bands.

Blocks are aligned to the source grid and always computed whole and in the same way. A crop or a band only selects
among them, so it equals the same part of the whole bit for bit, whatever the order of a sum inside a block.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Protocol, TypeAlias

import numpy as np

from ..arrays import Float32Array
from ..coords import KEYS_HALO
from .layer import Core, Layer
from .pyramid import Box, Pyramid, Range
from .resample import phases

Scales: TypeAlias = tuple[int, int, int]

UNSCALED: Scales = (1, 1, 1)
_FLAT_BLOCK = (1, 64, 256)
_VOLUME_BLOCK = (8, 32, 128)
_SMALL_SCALE, _LARGE_BLOCK = 64, (4, 16)  # from this scale on only small regions fit into an output, for which larger blocks are wasted
_MIN_ROWS = 16  # fewer make the halo dear, but at large scales a band of so many would be too tall
MAX_BAND = 1024  # output rows


class Source(Protocol):
    """A field whose values are computed block by block."""

    @property
    def grid(self) -> tuple[int, ...]:
        """Samples of the source grid, three axes."""

    def block_shape(self, scales: Scales) -> tuple[int, int, int]:
        """Source samples of a block."""

    def values(self, block: Box, scales: Scales) -> Iterator[tuple[tuple[int, ...], Float32Array]]:
        """For each phase of the scales, the phase and the values `[t, h, w, D]` of the whole block moved by its offset."""


class PyramidSource:
    """A pyramid's features and the layer that makes values of them."""

    def __init__(self, pyramid: Pyramid, layer: Layer) -> None:
        self._pyramid = pyramid
        self._layer = layer

    @property
    def grid(self) -> tuple[int, ...]:
        """See Source."""
        return self._pyramid.grid

    def block_shape(self, scales: Scales) -> tuple[int, int, int]:
        """See Source."""
        return block_shape(self.grid, scales)

    def values(self, block: Box, scales: Scales) -> Iterator[tuple[tuple[int, ...], Float32Array]]:
        """See Source."""
        window, core = with_halo(block, self.grid, self._layer.halo)
        reach = [_grown(r, KEYS_HALO if scale > 1 else 0, size) for r, scale, size in zip(window, scales, self.grid, strict=True)]
        features = self._pyramid.features((reach[0], reach[1], reach[2]))
        for phase, h in phases(features, (reach[0], reach[1], reach[2]), window, scales):
            yield phase, self._layer.values(h, core)


class BlockSolver:
    """Values of any region of a field at integer scales.

    Args:
        source: the field.
        channels: values of a sample.
        threads: blocks computed at a time.
    """

    def __init__(self, source: Source, *, channels: int, threads: int) -> None:
        self._source = source
        self._channels = channels
        self._threads = threads

    @property
    def grid(self) -> tuple[int, ...]:
        """Samples of the field's grid, three axes."""
        return self._source.grid

    def rows(self, scales: Scales, axis: int) -> int:
        """Source samples of a block along one axis."""
        return self._source.block_shape(scales)[axis]

    def bands(self, region: Box, scales: Scales, axis: int) -> Iterator[Float32Array]:
        """The region's values in order along `axis`, `[t, h, w, D]`, one row of blocks at a time.

        Args:
            region: source samples.
            scales: output samples for each source sample.
            axis: the axis along which bands follow each other.
        """
        rows = self.rows(scales, axis)
        pool, left = ThreadPoolExecutor(self._threads), Event()
        # A second band is begun while the first has blocks left, so that no thread waits for the last of them.
        ahead = 1 if self._threads == 1 else 2
        begun: deque[tuple[Float32Array, list[Future[None]]]] = deque()
        try:
            for start, stop in pieces(*region[axis], rows):
                part = tuple((start, stop) if a == axis else r for a, r in enumerate(region))
                begun.append(self._begin(pool, left, (part[0], part[1], part[2]), scales))
                if len(begun) == ahead:
                    yield _finished(*begun.popleft())
            while begun:
                yield _finished(*begun.popleft())
        finally:
            left.set()  # a block at a large scale takes minutes, which nobody waits for who has interrupted it
            pool.shutdown(cancel_futures=True)

    def _begin(self, pool: ThreadPoolExecutor, left: Event, region: Box, scales: Scales) -> tuple[Float32Array, list[Future[None]]]:
        sides = ((stop - start) * scale for (start, stop), scale in zip(region, scales, strict=True))
        band = np.empty((*sides, self._channels), np.float32)
        blocks = blocks_of(self._source.grid, self._source.block_shape(scales), region)
        return band, [pool.submit(self._solve, band, block, region, scales, left) for block in blocks]

    def _solve(self, band: Float32Array, block: Box, region: Box, scales: Scales, left: Event) -> None:
        """Write what `region` shows of a block into the region's values."""
        seen = [(max(b[0], r[0]), min(b[1], r[1])) for b, r in zip(block, region, strict=True)]
        source = tuple(slice(s - b, e - b) for (s, e), (b, _) in zip(seen, block, strict=True))
        target = [((s - r) * n, (e - r) * n, n) for (s, e), (r, _), n in zip(seen, region, scales, strict=True)]
        for phase, values in self._source.values(block, scales):
            if left.is_set():
                return
            part = tuple(slice(start + p, stop, step) for p, (start, stop, step) in zip(phase, target, strict=True))
            band[part] = values[source]


def block_shape(grid: tuple[int, ...], scales: Scales) -> tuple[int, int, int]:
    """Source samples of a block; fewer at large scales, so that a band of the output stays small, and so does what a small crop takes."""
    if grid[0] != 1:
        return _VOLUME_BLOCK
    if max(scales) >= _SMALL_SCALE:
        rows, columns = _LARGE_BLOCK
        return 1, max(1, min(rows, MAX_BAND // scales[1])), columns
    depth, rows, columns = _FLAT_BLOCK
    least = max(1, min(_MIN_ROWS, MAX_BAND // scales[1]))
    return depth, max(least, min(rows, 2 * rows // scales[1])), columns


def blocks_of(grid: tuple[int, ...], shape: tuple[int, ...], region: Box) -> list[Box]:
    """The blocks of `shape`, whole, that a region touches."""
    axes = []
    for size, step, (start, stop) in zip(grid, shape, region, strict=True):
        axes.append([(k * step, min((k + 1) * step, size)) for k in range(start // step, -(-stop // step))])
    return [(t, y, x) for t, y, x in itertools.product(*axes)]


def with_halo(block: Box, grid: tuple[int, ...], halo: int) -> tuple[Box, Core]:
    """The block and `halo` samples around it where the grid has them, and where the block lies in that."""
    window = [_grown(r, halo, size) for r, size in zip(block, grid, strict=True)]
    core = [slice(start - first, stop - first) for (start, stop), (first, _) in zip(block, window, strict=True)]
    return (window[0], window[1], window[2]), (core[0], core[1], core[2])


def _grown(part: Range, halo: int, size: int) -> Range:
    return max(0, part[0] - halo), min(size, part[1] + halo)


def pieces(start: int, stop: int, step: int) -> Iterator[Range]:
    """start .. stop cut at the multiples of step."""
    for k in range(start // step, -(-stop // step)):
        yield max(start, k * step), min(stop, (k + 1) * step)


def _finished(band: Float32Array, jobs: list[Future[None]]) -> Float32Array:
    for job in jobs:
        job.result()
    return band
