"""Which blocks of a grid are active, as bytes: bit by bit in raster order, coarse blocks before the blocks inside them.

A grid of 2 by 2 by 2 blocks says where there is anything; only there the blocks themselves are coded. Each bit is coded by what its context
had so far: ones and zeros, by how many active neighbours there are among those known and, of the blocks, which coarse ones are beside it.

A bit is a symbol of coding.laplace under scale 1/8 (index SCALE). With the mean (16 - d) / 32 a one has the probability exp(-d / 4) / 2, for
d >= 0; so the share of the rarer bit gives d as the number of thresholds exp(-(k + 1/2) / 4) / 2 that it is under: integers only.
"""

import itertools
from collections.abc import Callable

import numpy as np

from ..arrays import BoolArray, Shape
from ..errors import MalformedError
from .laplace import LaplaceDecoder, LaplaceEncoder

SCALE = 16
# 2**16 times the thresholds, rounded.
THRESHOLDS = (
    28919, 22521, 17539, 13660, 10638, 8285, 6452, 5025, 3914, 3048, 2374, 1849, 1440, 1121, 873, 680, 530, 412, 321, 250, 195, 152, 118, 92,
)  # fmt: skip
# The known neighbours in raster order: faces, then edges and corners.
_FACES = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
_OTHERS = tuple(o for o in itertools.product((-1, 0, 1), repeat=3) if o < (0, 0, 0) and o not in _FACES)
_AHEAD = ((1, 0, 0), (0, 1, 0), (0, 0, 1))  # known of the coarse grid only

Code = Callable[[int, tuple[int, ...], int], int]
"""Codes one bit, of a stage and a place, under a mean in 1/32, and gives it."""


class _Counts:
    """How often each context had which bit."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, ...], list[int]] = {}

    def mean(self, context: tuple[int, ...]) -> int:
        """The mean, in 1/32, under which the context's next bit is coded."""
        zeros, ones = (2 * count + 1 for count in self._counts.get(context, (0, 0)))
        rarer, total = min(zeros, ones), zeros + ones
        distance = sum(rarer << 16 < threshold * total for threshold in THRESHOLDS)
        return 16 - distance if ones <= zeros else 16 + distance

    def learn(self, context: tuple[int, ...], bit: int) -> None:
        """Count a bit."""
        self._counts.setdefault(context, [0, 0])[bit] += 1


def encode_occupancy(active: BoolArray) -> bytes:
    """The bytes of blocks `[X, Y, Z]`."""
    encoder, grids = LaplaceEncoder(), (_coarse(active), active)

    def code(stage: int, place: tuple[int, ...], mean: int) -> int:
        bit = int(grids[stage][place])
        encoder.encode([bit], [mean], [SCALE])
        return bit

    _walk(active.shape, code)
    return encoder.to_bytes()


def decode_occupancy(data: bytes, shape: Shape) -> BoolArray:
    """Mirror of encode_occupancy. Raises MalformedError for bytes that no encoder writes."""
    decoder = LaplaceDecoder(data)

    def code(stage: int, place: tuple[int, ...], mean: int) -> int:
        bit = int(decoder.decode([mean], [SCALE])[0])
        if bit not in (0, 1):
            raise MalformedError(f"a bit of the occupancy is {bit}; expected 0 or 1; the file is damaged")
        return bit

    return _walk(shape, code)


def _coarse(active: BoolArray) -> BoolArray:
    pads = [(0, -size % 2) for size in active.shape]
    x, y, z = ((size + 1) // 2 for size in active.shape)
    found: BoolArray = np.any(np.pad(active, pads).reshape(x, 2, y, 2, z, 2), axis=(1, 3, 5))
    return found


def _walk(shape: Shape, code: Code) -> BoolArray:
    """Codes the coarse grid, then the blocks inside its ones."""
    counts = _Counts()
    coarse = _stage(0, tuple((size + 1) // 2 for size in shape), None, counts, code)
    return _stage(1, shape, coarse, counts, code)


def _stage(stage: int, shape: Shape, above: BoolArray | None, counts: _Counts, code: Code) -> BoolArray:
    known = np.zeros(tuple(size + 2 for size in shape), np.int8)  # a margin of zeros
    parents = None if above is None else np.pad(above, 1)
    inside = np.ones(shape, np.bool_) if above is None else above.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(map(slice, shape))]
    for x, y, z in np.argwhere(inside).tolist():
        near = known[x : x + 3, y : y + 3, z : z + 3]
        faces = [int(near[1 + a, 1 + b, 1 + c]) for a, b, c in _FACES]
        others = sum(int(near[1 + a, 1 + b, 1 + c]) for a, b, c in _OTHERS)
        ahead = [] if parents is None else [int(parents[1 + (x + a >> 1), 1 + (y + b >> 1), 1 + (z + c >> 1)]) for a, b, c in _AHEAD]
        context = (stage, *faces, others, *ahead)
        bit = code(stage, (x, y, z), counts.mean(context))
        counts.learn(context, bit)
        known[x + 1, y + 1, z + 1] = bit
    found: BoolArray = known[1:-1, 1:-1, 1:-1].astype(np.bool_)
    return found
