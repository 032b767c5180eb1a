"""A second decoder of sparse pyramids, written from docs/format.md, section 16, alone: plain, slow, and sharing no code with i2compress."""

import math
from itertools import product
from pathlib import Path

import numpy as np
from reference_decoder import Context, RangeDecoder, Shape, Tensor, clamp, varint

PRIORS = Path(__file__).parent.parent / "i2compress" / "field" / "starts"
THRESHOLDS = [
    28919,
    22521,
    17539,
    13660,
    10638,
    8285,
    6452,
    5025,
    3914,
    3048,
    2374,
    1849,
    1440,
    1121,
    873,
    680,
    530,
    412,
    321,
    250,
    195,
    152,
    118,
    92,
]
NEIGHBOURS = [(0, 0, -1), (0, -1, 0), (-1, 0, 0), (0, -1, -1), (0, -1, 1), (-1, 0, -1), (-1, 0, 1), (-1, -1, 0), (-1, 1, 0)]
NEIGHBOURS += [(0, 0, -2), (0, -2, 0), (0, -2, -1), (0, -2, 1), (0, -1, -2)]
SLOPES = (3, 2, 1)  # the smallest with every one of the neighbours in an earlier wave

Cells = dict[Shape, int]


def add(a: Shape, b: Shape) -> Shape:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def parameters(payload: bytes) -> tuple[Shape, int, list[int]]:
    """Section 4: the grid, the prior and the parameters of field 8."""
    numbers, at = [], 2
    while at < len(payload):
        number, at = varint(payload, at)
        numbers.append(number)
    assert payload[0] & 3 == 3 and numbers[3] == 8 and len(numbers) == 14
    return tuple(numbers[:3]), numbers[4], numbers[7:]


def occupancy(data: bytes, shape: Shape) -> set[Shape]:
    """Section 16.3."""
    decoder, counts = RangeDecoder(data), {}
    before = [o for o in product((-1, 0, 1), repeat=3) if o < (0, 0, 0)]
    faces = [(-1, 0, 0), (0, -1, 0), (0, 0, -1)]

    def read(place: Shape, known: set[Shape], above: set[Shape] | None) -> bool:
        near = tuple(add(place, o) in known for o in faces)
        others = sum(add(place, o) in known for o in before if o not in faces)
        ahead = () if above is None else tuple(tuple(v >> 1 for v in add(place, tuple(-v for v in o))) in above for o in faces)
        context = (above is None, near, others, ahead)
        zeros, ones = counts.setdefault(context, [0, 0])
        a, b = 2 * ones + 1, 2 * zeros + 1
        d = sum(2**16 * min(a, b) < t * (a + b) for t in THRESHOLDS)
        bit = decoder.read(16 - d if a <= b else 16 + d, 16)
        assert bit in (0, 1)
        counts[context][bit] += 1
        return bit == 1

    coarse: set[Shape] = set()
    for place in product(*(range(-(-size // 2)) for size in shape)):
        if read(place, coarse, None):
            coarse.add(place)
    found: set[Shape] = set()
    for place in product(*map(range, shape)):
        if tuple(v >> 1 for v in place) in coarse and read(place, found, coarse):
            found.add(place)
    return found


def parents(cell: Shape, shape: Shape) -> dict[Shape, float]:
    """Section 16.2: the parents of a cell in a grid of that shape, and their weights."""
    found: dict[Shape, float] = {}
    for side in product((0, 1), repeat=3):
        at = tuple(clamp((c >> 1) + 2 * (c & 1) - 1, 0, n - 1) if s else c >> 1 for c, s, n in zip(cell, side, shape, strict=True))
        found[at] = found.get(at, 0) + math.prod(0.25 if s else 0.75 for s in side)
    return found


def lattice(active: set[Shape], blocks: Shape, k: int, levels: int) -> tuple[list[list[Shape]], list[Shape]]:
    """Section 16.2: the cells of each level in their order, and the shape of each grid."""
    inside = list(product(range(2**k), repeat=3))
    cells = [[tuple(v * 2**k + w for v, w in zip(block, o, strict=True)) for block in sorted(active) for o in inside]]
    shapes = [tuple(n * 2**k for n in blocks)]
    for _ in range(levels - 1):
        shapes.append(tuple(-(-n // 2) for n in shapes[-1]))
        cells.append(sorted({p for cell in cells[-1] for p in parents(cell, shapes[-1])}))
    return cells, shapes


def latents(data: bytes, context: Context, cells: list[list[Shape]], shapes: list[Shape], neighbours: int, weights: dict[str, Tensor]) -> list[Cells]:
    """Section 16.4, for files of one stream."""
    decoder, known = RangeDecoder(data), {}
    for level in reversed(range(len(cells))):
        features = feature_table(level, cells, shapes, known, weights)
        order = sorted(range(len(cells[level])), key=lambda i: sum(s * c for s, c in zip(SLOPES, cells[level][i], strict=True)))
        grid: Cells = {}
        for i in order:
            cell = cells[level][i]
            near = [256 * clamp(grid.get(add(cell, o), 0), -127, 127) for o in NEIGHBOURS[:neighbours]]
            grid[cell] = decoder.read(*context.predict(near + features[cell]))
        known[level] = grid
    return [known[level] for level in range(len(cells))]


def feature_table(
    level: int, cells: list[list[Shape]], shapes: list[Shape], known: dict[int, Cells], weights: dict[str, Tensor]
) -> dict[Shape, list[int]]:
    """The four features of every cell of a level, in 1/256."""
    if level == len(cells) - 1:
        return {cell: [0] * 4 for cell in cells[level]}
    matrix = [[float(v) for v in row] for row in weights[f"m{level}"].rows()]

    def rounded(values: list[float]) -> list[int]:
        return [clamp(math.floor(v + 0.5), -(2**18), 2**18) for v in values]

    above: dict[Shape, list[int]] = {}
    for at in reversed(range(level, len(cells))):
        here: dict[Shape, list[int]] = {}
        for cell in cells[at]:
            total = [0.0] * 4
            if at < len(cells) - 1:
                for parent, weight in parents(cell, shapes[at + 1]).items():
                    total = [t + weight * v for t, v in zip(total, above[parent], strict=True)]
            if at > level:
                y = 256 * clamp(known[at][cell], -127, 127)
                total = [t + row[at - level - 1] * y for t, row in zip(total, matrix, strict=True)]
            here[cell] = rounded(total)
        above = here
    return above


def read_weights(payload: bytes, number: int, c: int, levels: int, h: int, n: int) -> dict[str, Tensor]:
    """Sections 6.3 and 16.4."""
    inputs = n + 4
    table: list[tuple[str, Shape, float]] = [("B", (c, levels), levels**-0.5), ("c", (c,), 0.1), ("W", (1, c), 0.3 * c**-0.5)]
    table += [("S", (1, levels), 0), ("b", (1,), 0), ("A", (c, c), 0)]
    table += [(f"m{k}", (4, levels - 1 - k), 0.3) for k in range(levels - 1)]
    table += [("w1", (h, inputs), inputs**-0.5), ("b1", (h,), 0), ("w2", (h, h), 0.3 * h**-0.5), ("b2", (h,), 0)]
    table += [("w3", (2, h), 0.1 * h**-0.5), ("b3", (2,), 0), ("ws", (2, inputs), 0)]
    decoder, exponent, rank, state, found = RangeDecoder(payload), 8, 20, 1, {}
    for name, shape, spread in table:
        size = math.prod(shape)
        prior = [256 if name == "S" else 0] * size
        for i in range(size if spread else 0):
            state = (1664525 * state + 1013904223) % 2**32
            prior[i] = 4 * math.floor(64 * spread * math.sqrt(3) * ((state >> 8) / 2**23 - 1) + 0.5)
        if number:  # section 16.4: a table
            prior = np.load(PRIORS / f"shape-{number}.npz")[name].ravel().tolist()
        exponent = decoder.read(32 * exponent, 48)
        rank = decoder.read(32 * rank, 56)
        found[name] = Tensor(shape, prior, [decoder.read(0, 2 * rank) for _ in range(size)], exponent)
    return found


def decode(parts: list[tuple[str, bytes]]) -> tuple[list[Cells], list[Shape], dict[str, Tensor]]:
    """The latents of every level, the shapes of their grids, and the weights, of the chunks of a file with one stream of latents."""
    payloads = dict(parts)
    grid, prior, (c, levels, h, n, k, _, _) = parameters(payloads["H"])
    weights = read_weights(payloads["W"], prior, c, levels, h, n)
    blocks = tuple(-(-size // 2**k) for size in grid)
    cells, shapes = lattice(occupancy(payloads["O"], blocks), blocks, k, levels)
    context = Context({name: tensor.fixed() for name, tensor in weights.items() if name not in "BcWSbA"}, n, list(range(levels)))
    return latents(payloads["Y"], context, cells, shapes, n, weights), shapes, weights


def value(x: tuple[float, ...], grids: list[Cells], shapes: list[Shape], weights: dict[str, Tensor], step: float, iterations: int) -> float:
    """Section 16.5: Phi at a place."""

    def feature(level: int, cell: Shape, at: int) -> float:
        """Level `level`'s latents interpolated at a cell of level `at`."""
        if level == at:
            return float(grids[level][cell])
        return sum(weight * feature(level, parent, at + 1) for parent, weight in parents(cell, shapes[at + 1]).items())

    centre = tuple(math.floor(v + 0.5) for v in x)
    along = [((0.5 - t) ** 2 / 2, 0.75 - t**2, (0.5 + t) ** 2 / 2) for t in (v - c for v, c in zip(x, centre, strict=True))]
    h, total = [0.0] * len(grids), 0.0
    for taps in product(range(3), repeat=3):
        cell = tuple(c + tap - 1 for c, tap in zip(centre, taps, strict=True))
        if cell in grids[0]:
            weight = math.prod(along[axis][tap] for axis, tap in enumerate(taps))
            total += weight
            h = [v + weight * step * feature(level, cell, 0) for v, level in zip(h, reversed(range(len(grids))), strict=True)]
    h = [v / total for v in h]
    rows = {name: weights[name].rows() for name in "BWSA"}
    u = [sum(a * b for a, b in zip(row, h, strict=True)) + c for row, c in zip(rows["B"], weights["c"].values(), strict=True)]
    z = [0.0] * len(u)
    for _ in range(iterations):
        z = [max(sum(a * b for a, b in zip(row, z, strict=True)) + v, 0.0) for row, v in zip(rows["A"], u, strict=True)]
    pairs = [(rows["W"][0], z), (rows["S"][0], h)]
    return sum(a * b for row, values in pairs for a, b in zip(row, values, strict=True)) + weights["b"].values()[0]
