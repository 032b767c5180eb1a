"""The floating-point half of docs/format.md (sections 8 and 9, integer scales), written from that page alone, in float64."""

import math

import numpy as np
import numpy.typing as npt
from reference_decoder import Grid, Header, Tensor

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
    h = np.zeros((header.sums(), *header.shape_of(len(levels) - 1)))
    for level in range(header.levels - 1, -1, -1):
        numbers = [number for number, other in enumerate(levels) if other == level]
        for axis in (1, 2) if level < header.levels - 1 else ():
            h = doubled(h, axis, header.shape_of(numbers[0])[axis - 1], weights["up"].rows()[level])
        for k, number in enumerate(numbers[1:]):
            h[k] += grid_of(number)[0]
        h = np.concatenate([h, grid_of(numbers[0])])
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


def picture(header: Header, weights: dict[str, Tensor], grids: dict[int, Grid], scale: int = 1) -> npt.NDArray[np.int64]:
    """Code values `[H, W, D]` at an integer scale."""
    h = features(header, weights, grids)
    out = np.zeros((header.grid[0] * scale, header.grid[1] * scale, header.channels))
    for p in range(scale):
        rows = moved(h, 1, (p + 0.5) / scale - 0.5)
        for q in range(scale):
            out[p::scale, q::scale] = np.moveaxis(solved(header, weights, moved(rows, 2, (q + 0.5) / scale - 0.5)), 0, -1)
    top = 2**header.bit_depth - 1
    return np.array(np.floor(np.clip(out, 0, 1) * top + 0.5), np.int64)


def spread_margin() -> float:
    """Section 6.2: how close any argument of floor comes to an integer, over all parameters in range."""
    state, units = 1, []
    for _ in range(10000):  # more than the largest file draws
        state = (1664525 * state + 1013904223) % 2**32
        units.append((state >> 8) / 2**23 - 1)
    spreads = [0.1, 0.3, *(k**-0.5 for k in range(1, 46)), *(a * k**-0.5 for a in (0.1, 0.3) for k in range(1, 65))]
    arguments = 64 * math.sqrt(3) * np.outer(spreads, units) + 0.5
    return float(np.abs(arguments - np.round(arguments)).min())
