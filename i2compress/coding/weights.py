"""The networks' own numbers as bytes.

The caller splits its tensors into groups and quantises each: q = round((w - prior) / 2**-exponent). A stream holds, for
every group in turn, the exponent, the scale of q, and then q in C order under a Laplace distribution of mean 0.

Header numbers are coded with the same coder: the exponent under a Laplace distribution around the previous group's
(8 for the first), the scale's rank (its table index divided by 2: four scales an octave) around the previous rank
(20, scale 1, for the first).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..arrays import Float64Array, Int64Array, IntegerArray, Shape
from ..errors import LimitError, MalformedError
from .laplace import LIMIT, MEAN_UNIT, SCALE_COUNT, LaplaceDecoder, LaplaceEncoder, code_length

MAX_EXPONENT = 15
RANK_STEP = 2
RANKS = SCALE_COUNT // RANK_STEP
_FIRST_EXPONENT = 8
_FIRST_RANK = 20
_EXPONENT_SPREAD = 48  # scale 2
_RANK_SPREAD = 56  # scale 4


@dataclass(frozen=True, kw_only=True)
class WeightGroup:
    """Quantised numbers that share a step.

    Args:
        symbols: int64 of any shape, at most 1023 in magnitude; C order in the stream.
        exponent: the step is 2**-exponent, 0..15.

    Raises:
        LimitError: either out of range; a coarser step helps.
    """

    symbols: Int64Array
    exponent: int

    def __post_init__(self) -> None:
        if not 0 <= self.exponent <= MAX_EXPONENT:
            raise LimitError(f"weight group has step 2**-{self.exponent}; expected an exponent from 0 to {MAX_EXPONENT}")
        _check_symbols(self.symbols)


def _check_symbols(symbols: IntegerArray) -> None:
    largest = int(np.abs(symbols).max(initial=0))
    if largest > LIMIT:
        raise LimitError(f"quantised weight has magnitude {largest}; the format holds {LIMIT}: use a coarser step")


@lru_cache(maxsize=1)
def _bits_table() -> Float64Array:
    """Bits of each symbol -1023..1023 under each rank: `[2047, 52]`."""
    table = code_length(np.arange(-LIMIT, LIMIT + 1)[:, None], 0, np.arange(0, SCALE_COUNT, RANK_STEP))
    table.setflags(write=False)
    return table


def symbol_bits(scale_index: int) -> Float64Array:
    """Bits of each symbol -1023..1023 under a scale that `weight_bits` gave."""
    return _bits_table()[:, scale_index // RANK_STEP]


def weight_bits(symbols: IntegerArray) -> tuple[float, int]:
    """Bits of a group's symbols (any shape) under the best scale, without its header of some six bits; and that scale's index.

    Raises:
        LimitError: a symbol over 1023 in magnitude.
    """
    _check_symbols(symbols)
    values, counts = np.unique(symbols, return_counts=True)
    bits = counts @ _bits_table()[values.astype(np.int64) + LIMIT]
    best = int(np.argmin(bits))
    return float(bits[best]), best * RANK_STEP


def encode_weights(groups: Sequence[WeightGroup]) -> bytes:
    """One stream of all groups, each under its best scale."""
    encoder = LaplaceEncoder()
    exponent, rank = _FIRST_EXPONENT, _FIRST_RANK
    for group in groups:
        scale = weight_bits(group.symbols)[1]
        encoder.encode([group.exponent, scale // RANK_STEP], [exponent * MEAN_UNIT, rank * MEAN_UNIT], [_EXPONENT_SPREAD, _RANK_SPREAD])
        exponent, rank = group.exponent, scale // RANK_STEP
        encoder.encode(group.symbols.ravel(), np.zeros(group.symbols.size, np.int64), np.full(group.symbols.size, scale))
    return encoder.to_bytes()


def decode_weights(data: bytes, shapes: Sequence[Shape]) -> list[WeightGroup]:
    """Mirror of encode_weights; `shapes` are those of the groups' symbols.

    Raises:
        MalformedError: bytes that no encoder writes.
    """
    decoder = LaplaceDecoder(data)
    exponent, rank = _FIRST_EXPONENT, _FIRST_RANK
    groups = []
    for shape in shapes:
        exponent, rank = decoder.decode([exponent * MEAN_UNIT, rank * MEAN_UNIT], [_EXPONENT_SPREAD, _RANK_SPREAD]).tolist()
        if not (0 <= exponent <= MAX_EXPONENT and 0 <= rank < RANKS):
            raise MalformedError(
                f"weight group has exponent {exponent} and scale rank {rank}; expected 0 to {MAX_EXPONENT} and 0 to {RANKS - 1}; the file is damaged"
            )
        size = int(np.prod(shape))
        symbols = decoder.decode(np.zeros(size, np.int64), np.full(size, rank * RANK_STEP))
        if np.abs(symbols).max(initial=0) > LIMIT:
            raise MalformedError(f"quantised weight is over {LIMIT} in magnitude; the file is damaged")
        groups.append(WeightGroup(symbols=symbols.reshape(shape), exponent=exponent))
    return groups
