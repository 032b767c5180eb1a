"""Features of the coordinate: the latent grids, upsampled to the source grid, a window at a time.

Everything here has three grid axes; two axes are a volume of one plane whose first axis is left alone.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array
from ..field.lasting import between
from .banded import Band, apply, doubling

Range: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[Range, Range, Range]  # samples start .. stop of each axis

BASE_LEVEL = 3  # grids from this level on are upsampled once for the whole grid: 1/64 of its samples at most


class Pyramid:
    """Features by window.

    Args:
        latents: integer grids, finest first, three axes each.
        up: half filters `[L - 1, 4]`; row l upsamples level l + 1 to level l.
        shifts: the binary logarithm of each grid's stride along each axis.
        levels: the level of each grid; those that are still come after the others of their level.
        stills: which are.
    """

    def __init__(
        self,
        latents: Sequence[npt.NDArray[np.int32]],
        up: Float32Array,
        shifts: Sequence[tuple[int, ...]],
        levels: Sequence[int],
        stills: Sequence[bool] = (),
    ) -> None:
        self._levels, self._stills = levels, stills or [False] * len(latents)
        first = [levels.index(level) for level in levels]  # of the level of each, which is none of the still ones
        self._shifts = [shifts[number] for number in first]
        self._shapes = [latents[number].shape for number in first]
        self._lasting = [shifts[number][0] - own[0] for number, own in enumerate(self._shifts)]
        self._latents = latents
        self._up = [doubling(half) for half in up]
        self._based = len(latents) - 1  # the grid from which on features are known for the whole grid
        self._base = latents[-1][None].astype(np.float32)
        while self._based and levels[self._based - 1] >= BASE_LEVEL:
            self._base = self._features(self._based - 1, _whole(self._shapes[self._based - 1]))
            self._based -= 1

    @property
    def grid(self) -> tuple[int, ...]:
        """Samples of the source grid, three axes."""
        return self._shapes[0]

    def features(self, window: Box) -> Float32Array:
        """Features `[G, t, h, w]` of a window inside the source grid, channel 0 from the last grid."""
        return self._features(0, window)

    def _features(self, number: int, window: Box) -> Float32Array:
        """Features of the grids from `number` on, on a window of that grid."""
        part = tuple(slice(*r) for r in window)
        if number == self._based:
            return self._base[(slice(None), *part)]
        level = self._levels[number]
        if level == self._levels[number + 1]:
            known = self._features(number + 1, window)
        else:
            active = [axis for axis in range(3) if self._shifts[number + 1][axis] > self._shifts[number][axis]]
            coarse = tuple(
                (max(0, (start >> 1) - 2), min(size, (stop + 5) >> 1)) if axis in active else (start, stop)
                for axis, ((start, stop), size) in enumerate(zip(window, self._shapes[number + 1], strict=True))
            )
            known = self._features(number + 1, (coarse[0], coarse[1], coarse[2]))
            for axis in active:
                known = _doubled(known, axis + 1, self._up[level], coarse[axis][0], window[axis])
        return np.concatenate([known, self._grid(number, part)[None]])

    def _grid(self, number: int, part: tuple[slice, ...]) -> Float32Array:
        """A grid on a part of its level."""
        if not self._stills[number]:
            return self._latents[number][part].astype(np.float32)
        frames, *rest = part
        grid = self._latents[number][(slice(None), *rest)].astype(np.float32)
        before, after = between(frames.start, frames.stop - frames.start, self._lasting[number], len(grid))
        weights = after[:, None, None]
        return (1 - weights) * grid[before] + weights * grid[np.minimum(before + 1, len(grid) - 1)]


def _doubled(x: Float32Array, axis: int, band: Band, origin: int, wanted: Range) -> Float32Array:
    """Samples `wanted` of the finer grid from x, whose sample 0 is sample `origin` of the coarser one."""
    start, stop = wanted
    fine = apply(band, x, axis, (start >> 1) - origin, ((stop - 1) >> 1) - (start >> 1) + 1)
    skip = start & 1
    return fine[(slice(None),) * axis + (slice(skip, skip + stop - start),)]


def _whole(shape: tuple[int, ...]) -> Box:
    depth, height, width = shape
    return (0, depth), (0, height), (0, width)
