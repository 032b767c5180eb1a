"""A second decoder of sound, written from sections 7.4 and 13 of docs/format.md: plain, slow, sharing no code with i2compress.

It uses the range decoder and the weights' stream of reference_decoder. Pyramids of one level, as encoders of sound write them.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import reference_decoder as base

Floats = npt.NDArray[np.float64]

EDGES = [100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400, 5300, 6400, 7700, 9500, 12000, 15500]
OFFSETS_3D = [(0, 0, -1), (0, -1, 0), (-1, 0, 0), (0, -1, -1), (0, -1, 1), (-1, 0, -1), (-1, 0, 1), (-1, -1, 0), (-1, 1, 0), (0, 0, -2)]
OFFSETS_3D += [(0, -2, 0), (0, -2, -1), (0, -2, 1), (0, -1, -2)]


def logarithm(v: int) -> int:
    """Section 7.4."""
    return math.floor(256 * math.log2(1 + v) + 0.5)


@dataclass
class Plane:
    """The header of a segment's plane (section 4), with what reference_decoder.read_weights needs."""

    grid: tuple[int, ...]
    width: int
    hidden: int
    neighbours: int
    tile: int
    iterations: int
    step: float
    prior: int = 0

    @staticmethod
    def parse(payload: bytes) -> "Plane":
        axes, at, numbers = (payload[0] >> 2 & 3) + 1, 2, []
        assert payload[0] & 3 == 1 and payload[0] >> 5 == 0
        while at < len(payload):
            number, at = base.varint(payload, at)
            numbers.append(number)
        grid, (field, prior, streams, count, c, levels, h, n, t, iterations, g, magnitudes) = tuple(numbers[:axes]), numbers[axes:]
        assert (field, prior, streams, count, levels, magnitudes) == (0, 0, 1, 8, 1, 1)
        return Plane(grid, c, h, n, 1 << t, iterations, 2 ** ((g - 64) / 8))

    planes = 1

    def tensors(self) -> list[tuple[str, tuple[int, ...], float]]:
        c, h, inputs, d = self.width, self.hidden, self.neighbours + 7, len(self.grid)
        return [
            ("B", (c, 1), 1), ("c", (c,), 0.1), ("W", (1, c), 0.3 * c**-0.5), ("S", (1, 1), 0), ("b", (1,), 0),
            ("A", (c, c), 0), ("K", (c, *(3,) * d), 0),
            ("w1", (h, inputs), inputs**-0.5), ("b1", (h,), 0), ("w2", (h, h), 0.3 * h**-0.5), ("b2", (h,), 0),
            ("w3", (2, h), 0.1 * h**-0.5), ("b3", (2,), 0), ("ws", (2, inputs), 0),
        ]  # fmt: skip


def latents(payload: bytes, plane: Plane, weights: dict[str, base.Tensor]) -> npt.NDArray[np.int64]:
    """Section 7 with 7.4, one level; grids smaller than a tile."""
    d, grid = len(plane.grid), np.zeros(plane.grid, np.int64)
    assert max(plane.grid) <= plane.tile
    offsets = (base.OFFSETS if d == 2 else OFFSETS_3D)[: plane.neighbours]
    slopes = (2, 1) if d == 2 else (3, 2, 1)
    context = base.Context({name: weights[name].fixed() for name in ("w1", "b1", "w2", "b2", "w3", "b3", "ws")}, plane.neighbours, [0])
    decoder = base.RangeDecoder(payload)
    cells = sorted(product(*map(range, plane.grid)), key=lambda p: (sum(s * a for s, a in zip(slopes, p, strict=True)), p))
    for p in cells:
        near = []
        for offset in offsets:
            q = tuple(a + o for a, o in zip(p, offset, strict=True))
            inside = all(0 <= a < size for a, size in zip(q, plane.grid, strict=True))
            near.append(logarithm(abs(int(grid[q]))) if inside else 0)
        place = [1024 * p[-1] // plane.grid[-1], logarithm(min(p[-1], 16383)), 256 * p[0] if d == 3 else 0]
        grid[p] = decoder.read(*context.predict([*near, 0, 0, 0, 0, *place]))
    return grid


def values(grid: npt.NDArray[np.int64], plane: Plane, weights: dict[str, base.Tensor]) -> Floats:
    """Section 8."""
    w = {name: np.array(weights[name].values()).reshape(weights[name].shape) for name in ("B", "c", "W", "S", "b", "A", "K")}
    h = grid * plane.step
    u = w["B"].reshape(-1, *(1,) * grid.ndim) * h + w["c"].reshape(-1, *(1,) * grid.ndim)
    z = np.maximum(u, 0)
    for _ in range(plane.iterations - 1):
        padded = np.pad(z, ((0, 0), *((1, 1),) * grid.ndim))
        new = np.tensordot(w["A"], z, 1) + u
        for j in product(range(3), repeat=grid.ndim):
            part = padded[(slice(None), *(slice(a, a + size) for a, size in zip(j, grid.shape, strict=True)))]
            new += w["K"][(slice(None), *j)].reshape(-1, *(1,) * grid.ndim) * part
        z = np.maximum(new, 0)
    return np.asarray(np.tensordot(w["W"][0], z, 1) + w["S"][0, 0] * h + w["b"][0])


def chain(decoder: base.RangeDecoder, count: int, scale: int) -> list[int]:
    """Section 13.2: numbers around the one before."""
    found: list[int] = []
    for _ in range(count):
        found.append(decoder.read(32 * found[-1] if found else 0, scale))
    return found


def window(kind: int, t: Floats, overlap: int) -> Floats:
    """Section 13.5."""
    v = np.pi / 4 * (1 + 2 * t / overlap)
    return np.asarray(np.sin(np.pi / 2 * np.sin(v) ** 2) if kind else np.sin(v))


def decode(data: bytes) -> tuple[Floats, list[npt.NDArray[np.int64]]]:
    """Samples `[n, C]` and the latents of each segment that is not silent: section 13."""
    parts = base.chunks(data)
    assert parts[0][0] == "A"
    n, at = base.varint(parts[0][1], 0)
    rate, at = base.varint(parts[0][1], at)
    shape, transform, _ = parts[0][1][at : at + 3]
    segment, _ = base.varint(parts[0][1], at + 3)
    channels, size, kind = (shape & 7) + 1, 1 << (transform & 7) + 6, transform >> 3 & 1
    frames = -(-n // size)
    coefficients, splits, grids = np.zeros((channels, frames, size)), [0] * frames, []
    rest = [part for part in parts[1:] if part[0].isupper()]
    for first in range(0, frames, segment):
        count = min(segment, frames - first)
        payload = rest.pop(0)[1]
        bins, at = base.varint(payload, 0)
        if not bins:
            continue
        gain, at = base.varint(payload, at)
        flags, at = payload[at], at + 1
        rotation, at = (payload[at], at + 1) if channels == 2 else (0, at)
        scale, at, peaks, place = payload[at], at + 1, {}, -1
        number, at = base.varint(payload, at) if flags & 2 else (0, at)
        for _ in range(number):
            gap, at = base.varint(payload, at)
            zigzag, at = base.varint(payload, at)
            place += gap + 1
            peaks[place] = -(zigzag + 1) // 2 if zigzag % 2 else zigzag // 2
        numbers = base.RangeDecoder(payload[at:])
        bands = chain(numbers, 25 if flags & 1 else 0, 48)
        noise = chain(numbers, 25 if flags & 4 else 0, 48)
        splits[first : first + count] = chain(numbers, count, scale)
        plane = Plane.parse(rest.pop(0)[1])
        assert plane.grid == ((count, bins) if channels == 1 else (channels, count, bins))
        weights = base.read_weights(rest.pop(0)[1], plane)  # type: ignore[arg-type]  # it asks for tensors() only
        grids.append(latents(rest.pop(0)[1], plane, weights))
        phi = values(grids[-1], plane, weights).ravel()
        for place, height in peaks.items():
            phi[place] += 64 * height
        x = np.zeros((channels, count, size))
        x[..., :bins] = phi.reshape(channels, count, bins) - 0.5
        if noise:
            zero = np.ones(x.shape, bool)
            zero[..., :bins] = grids[-1].reshape(channels, count, bins) == 0
            add_noise(x, zero, [noise[sum((2 * k + 1) * rate >= 4 * size * e for e in EDGES)] for k in range(size)])
        x /= 2 ** ((gain - 2048) / 64)
        for k in range(size if bands else 0):
            x[..., k] *= 2 ** (bands[sum((2 * k + 1) * rate >= 4 * size * e for e in EDGES)] / 4)
        if channels == 2:
            a = math.pi * rotation / 64
            x = np.stack([math.cos(a) * x[0] - math.sin(a) * x[1], math.sin(a) * x[0] + math.cos(a) * x[1]])
        coefficients[:, first : first + count] = x
    assert not rest
    return samples(coefficients, splits, kind)[:, :n].T, grids


def add_noise(x: Floats, zero: npt.NDArray[np.bool_], levels: list[int]) -> None:
    """Section 13.3, in place."""
    energy = (x**2).sum((0, 2))
    strength = [min(math.sqrt(e / energy.mean()), 2) if energy.any() else 0.0 for e in energy]
    for i, place in enumerate(np.ndindex(*x.shape)):
        h = i * 2654435761 % 2**32
        h = (h ^ h >> 15) * 2246822519 % 2**32
        if zero[place] and levels[place[2]] != 60:
            x[place] += (-1 if h >= 2**31 else 1) * strength[place[1]] * 2 ** (-levels[place[2]] / 2)


def samples(coefficients: Floats, splits: list[int], kind: int) -> Floats:
    """Sections 13.4 and 13.5."""
    channels, frames, size = coefficients.shape
    out, borders, at = np.zeros((channels, frames * size)), [], 0
    for frame, split in enumerate(splits):
        block = size >> split
        i = np.arange(block)
        basis = np.sqrt(2 / block) * np.cos(np.pi / block * (i[:, None] + 0.5) * (i + 0.5))
        for j in range(1 << split):
            out[:, at : at + block] = coefficients[:, frame, j :: 1 << split] @ basis
            before = splits[frame - 1] if j == 0 and frame else split
            borders.append((at, size >> max(split, before)))
            at += block
    for at, overlap in borders[1:]:
        t = np.arange(overlap // 2) + 0.5
        after, before = at + np.arange(overlap // 2), at - 1 - np.arange(overlap // 2)
        a, c = out[:, after], out[:, before]
        near, far = window(kind, t, overlap), window(kind, -t, overlap)
        out[:, after], out[:, before] = near * a - far * c, near * c + far * a
    return out
