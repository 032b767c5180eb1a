"""Which blocks of a grid are active, as bytes: bit by bit in raster order, coarse blocks before the blocks inside them.

A grid of blocks of 2 by 2 by 2 says where there is anything; only there, the blocks themselves are coded. Each bit is coded under the share
of ones that its context had so far: (ones + 1/2) / (all + 1) of the bits with as many active neighbours among those known, and in the grid of
blocks also as many among the coarse ones beside it. Counts are integers and one division is exact in binary64, so the bits are the same everywhere.
"""

import itertools
from collections.abc import Callable

import constriction
import numpy as np

from ..arrays import BoolArray, Shape
from ..errors import MalformedError

_MODEL = constriction.stream.model.Bernoulli(perfect=False)
# The known neighbours in raster order: faces, then edges and corners.
_FACES = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
_OTHERS = tuple(o for o in itertools.product((-1, 0, 1), repeat=3) if o < (0, 0, 0) and o not in _FACES)
_AHEAD = ((1, 0, 0), (0, 1, 0), (0, 0, 1))  # known of the coarse grid only
_CODES = 8 * 11 * 8  # contexts: which faces, how many others, which coarse ones ahead


class _Counts:
    """How often each context had a one."""

    def __init__(self) -> None:
        self._counts = np.ones((2, _CODES, 2)) / 2

    def share(self, stage: int, context: int) -> float:
        zeros, ones = self._counts[stage, context]
        return float(min(max(ones / (zeros + ones), 2.0**-12), 1 - 2.0**-12))

    def learn(self, stage: int, context: int, bit: int) -> None:
        self._counts[stage, context, bit] += 1


def encode_occupancy(active: BoolArray) -> bytes:
    """The bytes of blocks `[X, Y, Z]`."""
    encoder = constriction.stream.queue.RangeEncoder()
    coarse = _coarse(active)

    def code(wanted: BoolArray, place: tuple[int, ...], share: float) -> int:
        bit = int(wanted[place])
        encoder.encode(np.array([bit], np.int32), _MODEL, np.array([share]))
        return bit

    _walk(active.shape, lambda stage, place, share: code((coarse, active)[stage], place, share))
    words = encoder.get_compressed().astype(">u4").tobytes()
    return bytes(words.rstrip(b"\0"))


def decode_occupancy(data: bytes, shape: Shape) -> BoolArray:
    """Mirror of encode_occupancy. Raises MalformedError for bytes that no encoder writes."""
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32))

    def code(stage: int, place: tuple[int, ...], share: float) -> int:
        return int(decoder.decode(_MODEL, np.array([share]))[0])

    try:
        return _walk(shape, code)
    except AssertionError as error:
        raise MalformedError("the occupancy is not what any encoder writes; the file is damaged") from error


def _coarse(active: BoolArray) -> BoolArray:
    pads = [(0, -size % 2) for size in active.shape]
    x, y, z = ((size + 1) // 2 for size in active.shape)
    found: BoolArray = np.any(np.pad(active, pads).reshape(x, 2, y, 2, z, 2), axis=(1, 3, 5))
    return found


def _walk(shape: Shape, code: Callable[[int, tuple[int, ...], float], int]) -> BoolArray:
    """Codes the coarse grid, then the blocks inside its ones; `code` is told the stage, the place and the share of ones, and gives the bit."""
    counts = _Counts()
    coarse = _stage(0, tuple((size + 1) // 2 for size in shape), None, counts, code)
    return _stage(1, shape, coarse, counts, code)


def _stage(stage: int, shape: Shape, above: BoolArray | None, counts: _Counts, code: Callable[[int, tuple[int, ...], float], int]) -> BoolArray:
    known = np.zeros(tuple(size + 2 for size in shape), np.int8)  # a margin of zeros
    parents = None if above is None else np.pad(above, 1).astype(np.int8)
    places = np.ndindex(*shape) if above is None else map(tuple, np.argwhere(above.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(map(slice, shape))]))
    for x, y, z in places:
        faces = sum(int(known[x + 1 + a, y + 1 + b, z + 1 + c]) << i for i, (a, b, c) in enumerate(_FACES))
        others = sum(int(known[x + 1 + a, y + 1 + b, z + 1 + c]) for a, b, c in _OTHERS)
        ahead = 0
        if parents is not None:
            ahead = sum(int(parents[1 + (x + a >> 1), 1 + (y + b >> 1), 1 + (z + c >> 1)]) << i for i, (a, b, c) in enumerate(_AHEAD))
        context = (faces * 11 + others) * 8 + ahead
        bit = code(stage, (x, y, z), counts.share(stage, context))
        counts.learn(stage, context, bit)
        known[x + 1, y + 1, z + 1] = bit
    found: BoolArray = known[1:-1, 1:-1, 1:-1].astype(np.bool_)
    return found
