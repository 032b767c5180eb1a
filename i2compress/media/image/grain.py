"""Grain: noise in place of the texture that a picture lost, as strong as that was in each block (`--tune texture`).

At low rates a fit leaves out what it cannot foresee: the grain of stone, of cloth, of leaves. What is left looks like paint. A file can
say how strong the fine detail was that is missing, block by block, in a hundred bytes or so, and a decoder puts noise of that strength
there: other detail than the source's, as much of it. The idea is that of the film grain of AV1 (Norkin and Birkbeck, DCC 2018) and of
common randomness (Balle et al. 2024, arXiv 2412.00505); docs/format.md, section 9, has the equations.

The noise of a sample depends on its place in the source alone, so a crop has that of the whole and every decoder draws the same.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...arrays import Float32Array
from ...coding.laplace import SCALE_COUNT, LaplaceDecoder, LaplaceEncoder
from ...coding.weights import weight_bits
from ...coords import KEYS_HALO
from ...errors import MalformedError
from ...render.blocks import Scales, Source
from ...render.pyramid import Box, Range
from ...render.resample import phases
from .dither import BITS, numbers

Levels = npt.NDArray[np.int64]

GRAIN = "grain"  # its name among the chunks of a file
BANDS = 3  # of an octave each, the finest first
REACH = (1 << BANDS) - 1  # samples on either side that the noise of one is made of
GAINS = np.array([4.328014, 12.694648, 28.920708], np.float32)  # by which the noise of a band has a standard deviation of 1
SHARE_UNIT = 256
MOST_LEVEL = 15
AMPLITUDES = np.array([0.0, *(2 ** ((level - 3) / 2) / 255 for level in range(1, MOST_LEVEL + 1))], np.float32)  # by level
MIN_SIDE_LOG2, MAX_SIDE_LOG2 = 3, 12
HEAD = 2 + BANDS  # bytes before the levels

# Choices of the encoder, by the look of pictures (docs/results/tune.md).
SIDE_LOG2 = 5  # half of it costs four times the bytes, and looks the same
STRENGTH = 0.7  # of what was lost: all of it looks noisier than the source, as its noise has no structure
KEPT = 0.85  # levels so near to what is foreseen become it
MEDIAN = 0.6745  # of the magnitude of normal numbers of standard deviation 1
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, kw_only=True)
class Grain:
    """How strong the noise is in each block of a picture.

    Args:
        side_log2: binary logarithm of the blocks' side in samples of the source.
        shares: `[BANDS]` in 1/256, 0..255, of each band in the strength.
        levels: `[ceil(H / side), ceil(W / side)]`, 0..15, rows of AMPLITUDES.
    """

    side_log2: int
    shares: tuple[int, ...]
    levels: Levels

    def to_bytes(self) -> bytes:
        """As the chunk of a file has it."""
        residuals = self.levels - _foreseen(self.levels)
        scale = weight_bits(residuals)[1]
        encoder = LaplaceEncoder()
        encoder.encode(residuals.ravel(), np.zeros(residuals.size, np.int64), np.full(residuals.size, scale))
        return bytes([self.side_log2, *self.shares, scale]) + encoder.to_bytes()

    @staticmethod
    def from_bytes(data: bytes, grid: tuple[int, int]) -> "Grain":
        """Mirror of to_bytes, of a picture of `grid` = (H, W). Raises MalformedError."""
        if len(data) < HEAD or not MIN_SIDE_LOG2 <= data[0] <= MAX_SIDE_LOG2 or data[HEAD - 1] >= SCALE_COUNT:
            raise MalformedError(f"grain begins with {data[:HEAD].hex(' ')}; expected blocks, shares and a scale: the file was written wrongly")
        side_log2, *shares, scale = data[:HEAD]
        rows, columns = (-(-size >> side_log2) for size in grid)
        count = rows * columns
        residuals = LaplaceDecoder(data[HEAD:]).decode(np.zeros(count, np.int64), np.full(count, scale)).reshape(rows, columns).tolist()
        levels = np.zeros((rows, columns), np.int64)
        above = [0] * columns
        for row, own in enumerate(residuals):
            left = 0
            for column, residual in enumerate(own):
                left = above[column] = residual + _mean(left, above[column], row, column)
                if not 0 <= left <= MOST_LEVEL:
                    raise MalformedError(f"grain of a block has level {left}; expected 0 to {MOST_LEVEL}: the file was written wrongly")
            levels[row] = above
        return Grain(side_log2=side_log2, shares=tuple(shares), levels=levels)

    def noise(self, rows: Range, columns: Range) -> Float32Array:
        """`[h, w]`: what is added to the values of these rows and columns of the source grid, in all colours alike."""
        total = np.zeros((rows[1] - rows[0], columns[1] - columns[0]), np.float32)
        places = [np.arange(start - REACH, stop + REACH).astype(np.uint32) for start, stop in (rows, columns)]
        noise = numbers(places[0][:, None], places[1]).astype(np.float32) * np.float32(2.0**-BITS) - np.float32(0.5)
        for band, (share, gain) in enumerate(zip(self.shares, GAINS, strict=True)):
            smooth, step = _smoothed(noise, 1 << band), 1 << band
            inner = REACH - (2 * step - 1)  # that many samples on either side are left, and are for the bands that follow
            fine = noise[step:-step, step:-step] - smooth
            total += (gain * np.float32(share / SHARE_UNIT)) * fine[inner : inner + total.shape[0], inner : inner + total.shape[1]]
            noise = smooth
        return total * self._amplitude(rows, columns)

    def _amplitude(self, rows: Range, columns: Range) -> Float32Array:
        """Linear between the middles of blocks, the nearest beyond the outer ones."""
        amplitude = AMPLITUDES[self.levels]
        for axis, (start, stop) in enumerate((rows, columns)):
            count = amplitude.shape[axis]
            place = np.clip((np.arange(start, stop) + 0.5) / (1 << self.side_log2) - 0.5, 0, count - 1)
            low = np.floor(place).astype(np.int64)
            share = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(2)])
            first, second = (np.take(amplitude, np.minimum(low + k, count - 1), axis) for k in range(2))
            amplitude = first + (second - first) * share
        found: Float32Array = amplitude
        return found


class Grained:
    """The blocks of a picture with its grain, of `colours` channels that get it; see render.blocks.Source."""

    def __init__(self, source: Source, grain: Grain, colours: int) -> None:
        self._source, self._grain, self._colours = source, grain, colours

    @property
    def grid(self) -> tuple[int, ...]:
        """See Source."""
        return self._source.grid

    def block_shape(self, scales: Scales) -> tuple[int, int, int]:
        """See Source."""
        return self._source.block_shape(scales)

    def values(self, block: Box, scales: Scales) -> Iterator[tuple[tuple[int, ...], Float32Array]]:
        """See Source: the noise of the samples of the source, and between them what is interpolated from it, as features are."""
        halos = [KEYS_HALO if scale > 1 else 0 for scale in scales]
        depth, rows, columns = [(max(0, r[0] - halo), min(size, r[1] + halo)) for r, halo, size in zip(block, halos, self.grid, strict=True)]
        noise = self._grain.noise(rows, columns)[None, None]
        moved = phases(noise, (depth, rows, columns), block, scales)
        for (phase, values), (_, own) in zip(self._source.values(block, scales), moved, strict=True):
            values[..., : self._colours] += own[0][..., None]
            yield phase, values


def lost_grain(source: Float32Array, decoded: Float32Array | None, opacity: bool, side_log2: int = SIDE_LOG2) -> Grain | None:
    """The grain that a picture lost; None where there is next to none.

    Args:
        source: `[H, W, C]` in [0, 1].
        decoded: of the same shape; None for a picture without any detail, whose grain has about the most bytes that there can be.
        opacity: the last channel is opacity, and where it is 0 there is nothing to be seen.
        side_log2: see Grain.
    """
    wanted, found = _brightness(source, source, opacity), None if decoded is None else _brightness(decoded, source, opacity)
    lost: list[npt.NDArray[np.float64]] = []
    for _ in range(BANDS):
        step = 1 << len(lost)
        wanted, fine = _parted(wanted, step)
        strength = np.square(_strength(fine, side_log2))
        if found is not None:
            found, fine = _parted(found, step)
            strength -= np.square(_strength(fine, side_log2))
        lost.append(np.maximum(strength, 0) * STRENGTH**2)
    levels = _levels(np.sqrt(np.sum(lost, 0)))
    if not levels.any():
        return None
    power = [band[levels > 0].sum() for band in lost]
    shares = [min(round(math.sqrt(own / sum(power)) * SHARE_UNIT), SHARE_UNIT - 1) for own in power]
    return Grain(side_log2=side_log2, shares=tuple(shares), levels=levels)


def _brightness(values: Float32Array, source: Float32Array, opacity: bool) -> Float32Array:
    """`[H, W]`, 0 where the source is transparent."""
    colour = values[..., :-1] if opacity else values
    bright = colour @ LUMA if colour.shape[-1] == len(LUMA) else colour.mean(-1)
    found: Float32Array = np.where(source[..., -1] > 0, bright, np.float32(0)) if opacity else bright
    return found


def _parted(values: Float32Array, step: int) -> tuple[Float32Array, Float32Array]:
    """The smooth and the fine part of values, edges replicated."""
    smooth = _smoothed(np.pad(values, step, "edge"), step)
    return smooth, values - smooth


def _smoothed(values: Float32Array, step: int) -> Float32Array:
    """Means of samples `step` apart along both axes with weights 1/4, 1/2, 1/4; `step` samples fewer on every side."""
    for axis in range(2):
        inner = values.shape[axis] - 2 * step
        before, own, after = (np.take(values, range(k * step, k * step + inner), axis) for k in range(3))
        values = (before + after) * np.float32(0.25) + own * np.float32(0.5)
    return values


def _strength(fine: Float32Array, side_log2: int) -> npt.NDArray[np.float64]:
    """Standard deviation in each block, by the median of magnitudes, as an edge is large in a part of a block only, and no texture."""
    side = 1 << side_log2
    padded = np.pad(np.abs(fine), [(0, -size % side) for size in fine.shape], "symmetric")
    rows, columns = (size >> side_log2 for size in padded.shape)
    blocks = padded.reshape(rows, side, columns, side).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    found: npt.NDArray[np.float64] = np.median(blocks, -1).astype(np.float64) / MEDIAN
    return found


def _levels(strength: npt.NDArray[np.float64]) -> Levels:
    """The nearest level of each strength, or what is foreseen there where that is nearly as near."""
    wanted = np.clip(3 + 2 * np.log2(np.maximum(strength * 255, 2**-1.5)), 0, MOST_LEVEL)
    levels = np.zeros(strength.shape, np.int64)
    for (row, column), level in np.ndenumerate(wanted):
        left, above = levels[row, column - 1] if column else 0, levels[row - 1, column] if row else 0
        foreseen = _mean(int(left), int(above), row, column)
        levels[row, column] = foreseen if abs(level - foreseen) < KEPT else round(level)
    return levels


def _mean(left: int, above: int, row: int, column: int) -> int:
    """What is foreseen of a level: the mean of those at its left and above it, rounded up; the one there is where there is one."""
    if row and column:
        return (left + above + 1) >> 1
    return above if row else left


def _foreseen(levels: Levels) -> Levels:
    """`_mean` of all levels."""
    left, above = np.zeros_like(levels), np.zeros_like(levels)
    left[:, 1:], above[1:] = levels[:, :-1], levels[:-1]
    found = (left + above + 1) >> 1
    found[0], found[1:, 0] = left[0], above[1:, 0]
    return found
