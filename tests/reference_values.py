"""The floating-point half of docs/format.md (sections 8 and 9, integer scales), written from that page alone, in float64."""

import math
import zlib
from itertools import product

import numpy as np
import numpy.typing as npt
from reference_decoder import Grid, Header, RangeDecoder, Tensor

Array = npt.NDArray[np.float64]  # [channels, rows, columns]


def at(x: Array, axis: int, index: npt.NDArray[np.intp]) -> Array:
    """Samples of an axis, the nearest one inside for an index outside."""
    return np.take(x, np.clip(index, 0, x.shape[axis] - 1), axis=axis)


def doubled(x: Array, axis: int, size: int, t: list[float]) -> Array:
    i = np.arange(x.shape[axis])
    even = t[0] * at(x, axis, i - 2) + t[2] * at(x, axis, i - 1) + t[3] * x + t[1] * at(x, axis, i + 1)
    odd = t[1] * at(x, axis, i - 1) + t[3] * x + t[2] * at(x, axis, i + 1) + t[0] * at(x, axis, i + 2)
    both = np.stack([even, odd], axis + 1)
    merged = both.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return np.take(merged, np.arange(size), axis=axis)


def features(header: Header, weights: dict[str, Tensor], grids: dict[int, Grid]) -> Array:
    def grid_of(level: int) -> Array:
        shape = header.shape_of(level)
        return np.array([grids[level][y, x] for y in range(shape[0]) for x in range(shape[1])], np.float64).reshape(1, *shape)

    levels = header.levels_of_grids()
    h = grid_of(len(levels) - 1)
    for number in range(len(levels) - 2, -1, -1):
        for axis in (1, 2) if levels[number] < levels[number + 1] else ():
            h = doubled(h, axis, header.shape_of(number)[axis - 1], weights["up"].rows()[levels[number]])
        h = np.concatenate([h, grid_of(number)])
    return h * header.step


def moved(h: Array, axis: int, delta: float) -> Array:
    """Section 9: h at i + delta, Keys cubic."""
    i, total = np.arange(h.shape[axis]), np.zeros_like(h)
    for step in range(-2, 3):
        t = abs(step - delta)
        w = 1.5 * t**3 - 2.5 * t**2 + 1 if t <= 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0
        total += w * at(h, axis, i + step)
    return total


def shifted(z: Array, dy: int, dx: int) -> Array:
    """z(x + j), 0 outside."""
    height, width = z.shape[1:]
    padded = np.pad(z, ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]


def solved(header: Header, weights: dict[str, Tensor], h: Array) -> Array:
    """Section 8 after the features: Phi."""
    v = {name: np.array(t.values()).reshape(t.shape) for name, t in weights.items()}
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    u = np.tensordot(v["B"], h, 1) + v["c"][:, None, None]
    z = np.maximum(u, 0)
    for _ in range(0 if header.explicit else header.iterations - 1):
        spread = sum(v["K"][:, dy + 1, dx + 1, None, None] * shifted(z, dy, dx) for dy, dx in steps)
        z = np.maximum(np.tensordot(v["A"], z, 1) + spread + u, 0)
    phi: Array = np.tensordot(v["W"], z, 1) + np.tensordot(v["S"], h, 1) + v["b"][:, None, None]
    if header.explicit:
        for name, bent in (("R1", phi), ("R2", None)):
            source = np.maximum(phi, 0) if bent is None else bent
            phi = phi + sum(np.tensordot(v[name][:, :, dy + 1, dx + 1], shifted(source, dy, dx), 1) for dy, dx in steps)
    return phi


def grain(payload: bytes, grid: tuple[int, ...]) -> Array:
    """Section 9.1: what is added, `[1, H, W]`, from the chunk's payload."""
    data = zlib.decompress(payload)
    side, decoder = 2 ** data[0], RangeDecoder(data[5:])
    rows, columns = (math.ceil(size / side) for size in grid)
    level: dict[tuple[int, int], int] = {}
    for cell in product(range(rows), range(columns)):
        left, above = level.get((cell[0], cell[1] - 1)), level.get((cell[0] - 1, cell[1]))
        near = [x for x in (left, above) if x is not None]
        level[cell] = decoder.read(0, data[4]) + (sum(near) + len(near) // 2) // max(len(near), 1)
        assert 0 <= level[cell] <= 15

    def amplitude(row: int, column: int) -> float:
        total = 0.0
        for k, m in product(range(rows), range(columns)):
            weight = 1.0
            for place, middle, count in ((row, k, rows), (column, m, columns)):
                at_block = min(max((place + 0.5) / side - 0.5, 0), count - 1)
                weight *= max(0.0, 1 - abs(at_block - middle))
            total += weight * (2 ** ((level[k, m] - 3) / 2) / 255 if level[k, m] else 0)
        return total

    def hashed(x: int) -> int:
        x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
        x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
        return x ^ (x >> 16)

    height, width = grid
    reach = 16
    rows_of, columns_of = range(-reach, height + reach), range(-reach, width + reach)
    n = np.array([[(hashed((j + hashed(i % 2**32)) % 2**32) >> 8) / 2**24 - 0.5 for j in columns_of] for i in rows_of])
    total = np.zeros_like(n)
    for k, gain in enumerate((4.328014, 12.694648, 28.920708)):
        smooth = n
        for axis in (0, 1):  # what wraps around is within `reach`
            smooth = (np.roll(smooth, 2**k, axis) + 2 * smooth + np.roll(smooth, -(2**k), axis)) / 4
        total += data[1 + k] / 256 * gain * (n - smooth)
        n = smooth
    strength = np.array([[amplitude(i, j) for j in range(width)] for i in range(height)])
    found: Array = (strength * total[reach:-reach, reach:-reach])[None]
    return found


def picture(header: Header, weights: dict[str, Tensor], grids: dict[int, Grid], scale: int = 1, noise: bytes | None = None) -> npt.NDArray[np.int64]:
    """Code values `[H, W, D]` at an integer scale; `noise` is the payload of the chunk 'g'."""
    h = features(header, weights, grids)
    out = np.zeros((header.grid[0] * scale, header.grid[1] * scale, header.channels))
    for p in range(scale):
        rows = moved(h, 1, (p + 0.5) / scale - 0.5)
        for q in range(scale):
            out[p::scale, q::scale] = np.moveaxis(solved(header, weights, moved(rows, 2, (q + 0.5) / scale - 0.5)), 0, -1)
            if noise is not None:
                own = moved(moved(grain(noise, header.grid), 1, (p + 0.5) / scale - 0.5), 2, (q + 0.5) / scale - 0.5)
                out[p::scale, q::scale, : header.channels - (header.channels % 2 == 0)] += own[0][..., None]
    top = 2**header.bit_depth - 1
    return np.array(np.floor(np.clip(out, 0, 1) * top + 0.5), np.int64)


def spread_margin() -> float:
    """Section 6.2: how close any argument of floor comes to an integer, over all parameters in range."""
    state, units = 1, []
    for _ in range(10000):  # more than the largest file draws
        state = (1664525 * state + 1013904223) % 2**32
        units.append((state >> 8) / 2**23 - 1)
    spreads = [0.1, 0.3, *(k**-0.5 for k in range(1, 22)), *(a * k**-0.5 for a in (0.1, 0.3) for k in range(1, 65))]
    arguments = 64 * math.sqrt(3) * np.outer(spreads, units) + 0.5
    return float(np.abs(arguments - np.round(arguments)).min())
