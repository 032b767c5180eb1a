"""The finite table of Laplace distributions, and the range coder that uses it.

A symbol s is coded under a mean in units of 1/32 and one of 104 scales. The mean is split into its nearest integer k and
a fraction f/32 with f in -16..15; what is coded is s - k, under constriction's QuantizedLaplace(-RADIUS, RADIUS) with mean
f/32 and scale SCALES[i]. So only 32 * 104 distributions exist. Their cumulatives have 24 bits:

    left(r) = floor(FREE_WEIGHT * cdf(r - 1/2)) + r + RADIUS        for r in -RADIUS + 1..RADIUS, left(-RADIUS) = 0

exp() inside cdf is the one operation whose last digit may differ between machines; tests/test_laplace.py proves that 64
units in the last place either way move no cumulative of the table.

Scales: eight an octave from 2**-5 to just under 2**8, each an exact binary fraction, so that no power function is
involved. Coding with the nearest scale instead of the exact one costs 0.02 % of the rate at b = 1 and 0.11 % at b = 0.1
(averages; at worst 0.05 % and 0.34 %). The 24 bits cost another 0.00035 bits a symbol, because every one of the 4095
residuals keeps a share of 2**-24: 0.5 % of the rate at b = 0.1, where a symbol takes 0.08 bits.
"""

import constriction
import numpy as np
import numpy.typing as npt

from ..arrays import Float64Array, Int32Array, Int64Array, IntegerArray
from ..errors import LimitError, MalformedError

MEAN_BITS = 5
MEAN_UNIT = 1 << MEAN_BITS
LIMIT = 1023  # magnitude of symbols and of means, at most
RADIUS = 2047  # magnitude of a symbol minus its rounded mean, at most: 2 * LIMIT fits
PRECISION = 24
FREE_WEIGHT = 2**PRECISION - 1 - 2 * RADIUS

SCALES_PER_OCTAVE = 8
SCALE_LOW_LOG2 = -5
SCALE_COUNT = 104
_MANTISSAS = (1024, 1117, 1218, 1328, 1448, 1579, 1722, 1878)  # 1024 * 2**(r / 8), rounded
SCALES = np.array([_MANTISSAS[i % SCALES_PER_OCTAVE] * 2.0 ** (i // SCALES_PER_OCTAVE + SCALE_LOW_LOG2 - 10) for i in range(SCALE_COUNT)])
SCALES.setflags(write=False)

_MODEL = constriction.stream.model.QuantizedLaplace(-RADIUS, RADIUS)
_WORD_BITS = 32
_STATE_BITS = 64


def split_mean(means: npt.ArrayLike) -> tuple[Int64Array, Int64Array]:
    """Means in 1/32 as (k, f) of the same shape: means = 32 * k + f, f in -16..15."""
    fixed = np.asarray(means, np.int64)
    whole = (fixed + MEAN_UNIT // 2) >> MEAN_BITS
    return whole, fixed - (whole << MEAN_BITS)


def left_cumulative(residuals: npt.ArrayLike, fractions: npt.ArrayLike, scale_indices: npt.ArrayLike) -> Int64Array:
    """Quantised probability, in units of 2**-24, of everything below a residual; what constriction computes.

    Args:
        residuals: symbol minus rounded mean, -2047..2048; the last is the end of the range.
        fractions: f in -16..15.
        scale_indices: 0..103.

    Returns:
        int64 of the broadcast shape, 0..2**24.
    """
    residuals = np.asarray(residuals, np.int64)
    above = residuals - 0.5 - np.asarray(fractions, np.int64) / MEAN_UNIT
    tail = 0.5 * np.exp(-np.abs(above) / SCALES[np.asarray(scale_indices)])
    cumulative = np.where(above <= 0, tail, 1.0 - tail)
    left = (FREE_WEIGHT * cumulative).astype(np.int64) + residuals + RADIUS
    return np.where(residuals <= -RADIUS, 0, np.where(residuals > RADIUS, 2**PRECISION, left))


def code_length(symbols: npt.ArrayLike, means: npt.ArrayLike, scale_indices: npt.ArrayLike) -> Float64Array:
    """Bits of each symbol (float64, broadcast shape) under means in 1/32 and scale indices, from the coder's own table."""
    whole, fractions = split_mean(means)
    residuals = np.asarray(symbols, np.int64) - whole
    mass = left_cumulative(residuals + 1, fractions, scale_indices) - left_cumulative(residuals, fractions, scale_indices)
    bits: Float64Array = PRECISION - np.log2(mass)
    return bits


class LaplaceEncoder:
    """Range coder: symbols in, bytes out, first in first out."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols: npt.ArrayLike, means: npt.ArrayLike, scale_indices: npt.ArrayLike) -> None:
        """Append symbols.

        Args:
            symbols: integers `[N]`, at most 1023 in magnitude.
            means: integers `[N]` in 1/32, at most 1023 * 32 in magnitude.
            scale_indices: integers `[N]`, 0..103.

        Raises:
            LimitError: a symbol, mean or scale out of range.
        """
        values, fixed, indices = (np.asarray(a, np.int64) for a in (symbols, means, scale_indices))
        _check("symbol", values, -LIMIT, LIMIT)
        _check("mean", fixed, -LIMIT * MEAN_UNIT, LIMIT * MEAN_UNIT)
        _check("scale index", indices, 0, SCALE_COUNT - 1)
        whole, fractions = split_mean(fixed)
        if values.size:
            self._encoder.encode((values - whole).astype(np.int32), _MODEL, fractions / MEAN_UNIT, SCALES[indices])

    def to_bytes(self) -> bytes:
        """All that was encoded: the words' bytes, most significant first, cut where only zero bytes are left.

        The coder accepts any number in an interval at the end; the one with most trailing zero bytes is written.
        """
        words = self._encoder.get_compressed()
        if not words.size:
            return b""
        position, (low, width) = self._encoder.pos()
        size: int = 4 * position + _STATE_BITS // 8
        written: int = int.from_bytes(words.astype(">u4").tobytes(), "big") << (8 * size - _WORD_BITS * words.size)
        lower: int = written - (written - low) % 2**_STATE_BITS
        for cut in range(_STATE_BITS // 8, -1, -1):
            shortened = -(-lower >> 8 * cut)
            if shortened << 8 * cut < lower + width:
                return shortened.to_bytes(size - cut, "big").rstrip(b"\0")
        return written.to_bytes(size, "big")  # not reached: cut = 0 always fits


def _check(name: str, values: IntegerArray, low: int, high: int) -> None:
    if values.size and (values.min() < low or values.max() > high):
        raise LimitError(f"{name} is in {values.min()}..{values.max()}; the format holds {low} to {high}")


class LaplaceDecoder:
    """Mirror of LaplaceEncoder. Data that ends early reads as zeros: the symbols are wrong but the decoder goes on."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(-len(data) % 4)
        self._decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))

    def decode(self, means: npt.ArrayLike, scale_indices: npt.ArrayLike) -> Int64Array:
        """The next symbols `[N]`, not limited to 1023, under means `[N]` in 1/32 and scale indices `[N]`.

        Raises:
            MalformedError: bytes that no encoder writes.
        """
        whole, fractions = split_mean(means)
        if not whole.size:
            return whole
        try:
            residuals: Int32Array = self._decoder.decode(_MODEL, fractions / MEAN_UNIT, SCALES[np.asarray(scale_indices)])
        except AssertionError as error:
            raise MalformedError("entropy-coded data is not what any encoder writes; the file is damaged") from error
        return whole + residuals
