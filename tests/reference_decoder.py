"""A second decoder, written from docs/format.md alone: plain, slow, and sharing no code with i2compress (but the tables of trained starts).

Integers only (and math.exp for the table of section 5.3) up to the latents; the values are float lists.
Section numbers are those of docs/format.md. It trusts its input: errors of section 11 are assertions.
"""

import math
import zlib
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

Shape = tuple[int, ...]
Grid = dict[Shape, int]  # coordinate -> latent
Values = list[list[list[float]]]  # [row][column][channel]

OFFSETS = [(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-2, -1), (-2, 1), (-1, -2), (-2, -2), (-2, 2), (0, -3), (-3, 0)]
STARTS = Path(__file__).parents[1] / "i2compress" / "field" / "starts"  # tables, which belong to the format
MANTISSAS = [1024, 1117, 1218, 1328, 1448, 1579, 1722, 1878]


def clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Section 1: the number and where it ends."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def chunks(data: bytes) -> list[tuple[str, bytes]]:
    """Section 3."""
    assert data[:4] == b"\xf1\x69\x32\x01"
    found, at = [], 4
    while at < len(data):
        length, body = varint(data, at + 1)
        end = body + length
        assert zlib.crc32(data[at:end]) == int.from_bytes(data[end : end + 4], "little")
        found.append((chr(data[at]), data[body:end]))
        at = end + 4
    return found


@dataclass
class Header:
    """Section 4."""

    channels: int
    bit_depth: int
    grid: Shape
    explicit: bool
    streams: int
    width: int
    levels: int
    hidden: int
    neighbours: int
    tile: int
    iterations: int
    step: float
    planes: int
    split: int
    prior: int
    step_code: int

    @staticmethod
    def parse(payload: bytes) -> "Header":
        shape, at = payload[0], 2
        numbers = []
        while at < len(payload):
            number, at = varint(payload, at)
            numbers.append(number)
        assert shape & 3 == 0 and shape >> 2 & 3 == 1, "this decoder knows pictures"
        height, columns, kind, prior, streams, count, *params = numbers
        assert count == len(params) in (7, 9)
        c, levels, hidden, n, t, iterations, g, inputs, layout = (*params, 0, 0)[:9]
        assert inputs == 0, "this decoder knows pictures"
        depth = 16 if shape >> 4 & 1 else 8
        sizes = (c, levels, hidden, n, 1 << t, iterations)
        return Header(
            (shape >> 5) + 1, depth, (height, columns), kind == 1, streams, *sizes, 2 ** ((g - 64) / 8), layout % 4 + 1, layout // 4, prior, g
        )

    def levels_of_grids(self) -> list[int]:
        return [level for level in range(self.levels) for _ in range(self.planes if self.split <= level < self.split + 3 else 1)]

    def shape_of(self, number: int) -> Shape:
        return tuple(-(-size // 2 ** self.levels_of_grids()[number]) for size in self.grid)

    def tensors(self) -> list[tuple[str, Shape, float]]:
        """Section 6.1: name, shape and spread of the prior (0: not random)."""
        c, d, grids, h, inputs = self.width, self.channels, len(self.levels_of_grids()), self.hidden, self.neighbours + 4
        table: list[tuple[str, Shape, float]] = [("up", (self.levels - 1, 4), 0), ("B", (c, grids), grids**-0.5), ("c", (c,), 0.1)]
        table += [("W", (d, c), 0.3 * c**-0.5), ("S", (d, grids), 0), ("b", (d,), 0)]
        table += [("R1", (d, d, 3, 3), 0), ("R2", (d, d, 3, 3), 0)] if self.explicit else [("A", (c, c), 0), ("K", (c, 3, 3), 0)]
        maps = min(sum(level < 3 + (self.planes > 1) for level in self.levels_of_grids()), grids - 1)
        table += [(f"m{k}", (4, grids - 1 - k), 0.3) for k in range(maps)]
        table += [("w1", (h, inputs), inputs**-0.5), ("b1", (h,), 0), ("w2", (h, h), 0.3 * h**-0.5), ("b2", (h,), 0)]
        table += [("w3", (2, h), 0.1 * h**-0.5), ("b3", (2,), 0), ("ws", (2, inputs), 0)]
        return [row for row in table if math.prod(row[1])]


class RangeDecoder:
    """Sections 5.1 to 5.3."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.range = 2**64 - 1
        self.point = self.word() << 32 | self.word()

    def word(self) -> int:
        self.at += 4
        return int.from_bytes(self.data[self.at - 4 : self.at].ljust(4, b"\0"), "big")

    def read(self, mean: int, index: int) -> int:
        k = (mean + 16) >> 5
        fraction, scale_of = (mean - 32 * k) / 32, MANTISSAS[index % 8] * 2.0 ** (index // 8 - 15)

        def left(r: int) -> int:
            if r <= -2047 or r >= 2048:
                return 0 if r < 0 else 1 << 24
            x = r - 0.5
            tail = math.exp(-abs(x - fraction) / scale_of) / 2
            return math.floor(16773121 * (tail if x <= fraction else 1 - tail)) + r + 2047

        scale = self.range >> 24
        q = self.point // scale
        assert q < 1 << 24
        low, high = -2047, 2048
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if left(middle) <= q else (low, middle)
        self.point -= scale * left(low)
        self.range = scale * (left(low + 1) - left(low))
        if self.range < 1 << 32:
            self.range <<= 32
            self.point = self.point << 32 | self.word()
        return k + low


@dataclass
class Tensor:
    """Elements in C order: 256 times the prior, q and e of section 6."""

    shape: Shape
    prior: list[int]
    q: list[int]
    e: int

    def values(self) -> list[float]:
        return [p / 256 + q * 2.0**-self.e for p, q in zip(self.prior, self.q, strict=True)]

    def rows(self) -> list[list[float]]:
        flat, n = self.values(), self.shape[1]
        return [flat[i : i + n] for i in range(0, len(flat), n)]

    def fixed(self) -> list[list[int]]:
        """Section 7.3: rows of integers with 12 fractional bits."""
        flat = [16 * p + (q << (12 - self.e)) for p, q in zip(self.prior, self.q, strict=True)]
        n = self.shape[-1]
        return [flat[i : i + n] for i in range(0, len(flat), n)]


def read_weights(payload: bytes, header: Header) -> dict[str, Tensor]:
    """Section 6."""
    decoder, exponent, rank, state = RangeDecoder(payload), 8, 20, 1
    found = {}
    for name, shape, spread in header.tensors():
        size = math.prod(shape)
        prior = {"up": [-8, -28, 68, 224] * shape[0], "b": [128] * size}.get(name, [0] * size)
        for i in range(size if spread else 0):
            state = (1664525 * state + 1013904223) % 2**32
            prior[i] = 4 * math.floor(64 * spread * math.sqrt(3) * ((state >> 8) / 2**23 - 1) + 0.5)
        if name == "S" and header.planes > 1:
            prior = colours(header)
        if header.prior:
            prior = trained(header, name)
        exponent = decoder.read(32 * exponent, 48)
        rank = decoder.read(32 * rank, 56)
        assert 0 <= exponent <= 15 and 0 <= rank <= 51
        found[name] = Tensor(shape, prior, [decoder.read(0, 2 * rank) for _ in range(size)], exponent)
    return found


def trained(header: Header, name: str) -> list[int]:
    """Section 6.6: the prior of a tensor, in 1/256."""
    s = clamp(header.step_code, 28, 68)
    a = max(knot for knot in (28, 38, 48, 58) if knot <= s)
    t = s - a

    def mixed(tensor: str) -> list[list[int]]:
        """Its integers, as rows of its last axis; of one with a single axis, a row."""
        table = np.load(STARTS / f"{header.prior}.npz")[f"prior/{tensor}"]
        first, second = ([int(x) for x in table[(knot - 28) // 10].ravel()] for knot in (a, a + 10))
        flat, n = [((10 - t) * x + t * y + 5) // 10 for x, y in zip(first, second, strict=True)], table.shape[-1]
        return [flat[i : i + n] for i in range(0, len(flat), n)]

    wide = [level for level in range(6) for _ in range(3 if 2 <= level < 5 else 1)]  # of the grids of a picture with colours
    levels, d = header.levels_of_grids(), header.channels
    opaque = [d % 2 == 0 and levels[: grid + 1].count(level) == d for grid, level in enumerate(levels)]
    first = [wide.index(level) + (0 if opaque[grid] else levels[:grid].count(level)) for grid, level in enumerate(levels)]
    rows = mixed(name if not name.startswith("m") else f"m{first[int(name[1:])]}")
    if name == "up":
        rows = rows[: len(set(levels)) - 1]
    if name.startswith("m"):
        own = int(name[1:])
        after = range(own + 1, len(levels))
        rows = [[row[first[grid] - first[own] - 1] if opaque[own] or not opaque[grid] else 0 for grid in after] for row in rows]
    if name in ("W", "S", "b"):
        columns = list(zip(*rows, strict=True)) if name != "b" else [tuple(rows[0])]
        mean = [(2 * sum(column) + 3) // 6 for column in columns]
        rows = [[value] for value in rows[0]] if name == "b" else rows
        rows = (rows if d > 2 else [mean]) + ([[0] * 16 if name == "W" else mean] if d % 2 == 0 else [])
    if name in ("B", "S"):  # a column for each grid, coarsest first
        picked = [[row[len(wide) - 1 - first[grid]] for grid in reversed(range(len(levels)))] for row in rows]
        own_rows = [name == "S" and d % 2 == 0 and i == len(rows) - 1 for i in range(len(rows))]
        rows = [
            [value if opaque[len(levels) - 1 - i] == of_opacity else 0 for i, value in enumerate(row)]
            for row, of_opacity in zip(picked, own_rows, strict=True)
        ]
    return [value for row in rows for value in row]


def colours(header: Header) -> list[int]:
    """Section 6.2: S where a level has several planes, in 1/256."""
    levels, d = header.levels_of_grids(), header.channels
    rows = {(2, 2): [[6, 0], [0, 6]], (3, 3): [[6, -2, 6], [6, -4, -5], [6, 6, -1]]}
    rows[4, 4] = [[6, -2, 6, 0], [6, -4, -5, 0], [6, 6, -1, 0], [0, 0, 0, 6]]
    table = rows.get((d, header.planes), [[0] * header.planes] * d)
    return [4 * table[k][levels[:g].count(levels[g])] for k in range(d) for g in reversed(range(len(levels)))]


def coding_order(shape: Shape, tile: int, neighbours: int) -> list[tuple[Shape, Shape]]:
    """Section 7.2: coordinates, and coordinates inside the tile, in order."""
    slopes = (0, 1) if neighbours == 1 else (1, 1) if neighbours <= 3 else (2, 1)
    cells = []
    for y, x in product(*map(range, shape)):
        inside = (y % tile, x % tile)
        cells.append((slopes[0] * inside[0] + slopes[1] * inside[1], (y // tile, x // tile), inside, (y, x)))
    return [(cell, inside) for _, _, inside, cell in sorted(cells)]


@dataclass
class Context:
    """Section 7.3."""

    t: dict[str, list[list[int]]]
    neighbours: int
    levels: list[int]
    features: dict[tuple[int, Shape], list[int]] = field(default_factory=dict)

    def feature(self, number: int, at: Shape, grids: dict[int, Grid]) -> list[int]:
        if f"m{number}" not in self.t:
            return [0] * 4
        own = self.levels[number]
        parent = tuple(p >> (self.levels[number + 1] - own) for p in at)
        if (number, parent) not in self.features:
            after = range(number + 1, len(self.levels))
            known = [256 * clamp(grids[g][tuple(p >> (self.levels[g] - own) for p in at)], -127, 127) for g in after]
            self.features[number, parent] = [clamp((dot(row, known) + 2048) >> 12, -(2**18), 2**18) for row in self.t[f"m{number}"]]
        return self.features[number, parent]

    def predict(self, x: list[int]) -> tuple[int, int]:
        t, top = self.t, 2**18
        h1 = [clamp((dot(row, x) + 256 * b + 2048) >> 12, 0, top) for row, b in zip(t["w1"], t["b1"][0], strict=True)]
        grown = [max((dot(row, h1) + 256 * b + 2048) >> 12, 0) for row, b in zip(t["w2"], t["b2"][0], strict=True)]
        h2 = [min(a + b, top) for a, b in zip(h1, grown, strict=True)]
        v = [dot(t["w3"][k], h2) + dot(t["ws"][k], x) + 256 * t["b3"][0][k] for k in range(2)]
        return clamp((v[0] + 2**14) >> 15, -32736, 32736), clamp((v[1] + 17 * 2**16) >> 17, 0, 103)


def dot(a: list[int], b: list[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def read_latents(payloads: list[bytes], header: Header, weights: dict[str, Tensor]) -> dict[int, Grid]:
    """Section 7."""
    names = [name for name in weights if name[0] == "m" or name in ("w1", "b1", "w2", "b2", "w3", "b3", "ws")]
    context = Context({name: weights[name].fixed() for name in names}, header.neighbours, header.levels_of_grids())
    grids: dict[int, Grid] = {}
    for number, payload in enumerate(payloads):
        last = header.streams - 1 - number
        decoder = RangeDecoder(payload)
        for level in range(len(context.levels) - 1 if number == 0 else last, last - 1, -1):
            grid = grids[level] = {}
            if not payload:
                grid.update((at, 0) for at, _ in coding_order(header.shape_of(level), header.tile, header.neighbours))
                continue
            for at, inside in coding_order(header.shape_of(level), header.tile, header.neighbours):
                near = []
                for dy, dx in OFFSETS[: header.neighbours]:
                    seen = inside[0] + dy >= 0 and 0 <= inside[1] + dx < header.tile
                    near.append(256 * clamp(grid.get((at[0] + dy, at[1] + dx), 0) if seen else 0, -127, 127))
                grid[at] = decoder.read(*context.predict(near + context.feature(level, at, grids)))
                assert abs(grid[at]) <= 1023
    return grids
