"""The field's definition in float64, as plainly as it can be written, and random fields to try it on."""

import math

import numpy as np
import numpy.typing as npt

from i2compress.config import View
from i2compress.field.spec import PyramidSpec, prior

Array = npt.NDArray[np.float64]
Weights = dict[str, npt.NDArray[np.float32]]
Latents = list[npt.NDArray[np.int32]]


def random_field(spec: PyramidSpec, seed: int = 0, rho: float = 0.8) -> tuple[Weights, Latents]:
    """Weights about prior 0 whose layer contracts at rate `rho`, and latents of -3..3."""
    rng = np.random.default_rng(seed)
    weights = {name: value.astype(np.float32) for name, value in prior(0, spec).items()}
    for name in weights:
        if not spec.is_context(name):
            weights[name] += rng.normal(0, 0.1, weights[name].shape).astype(np.float32)
    if not spec.explicit:
        bound = np.linalg.norm(weights["A"], 2) + np.abs(weights["K"]).reshape(spec.width, -1).sum(axis=1).max()
        weights["A"] *= np.float32(rho / bound)
        weights["K"] *= np.float32(rho / bound)
    return weights, [rng.integers(-3, 4, shape).astype(np.int32) for shape in spec.latent_shapes]


def filtered(x: Array, axis: int, rows: list[dict[int, float]]) -> Array:
    """out[i] = sum of weight * x[clip(index)] over rows[i] along one axis."""
    x = np.moveaxis(x, axis, 0)
    last = len(x) - 1
    out = [sum((weight * x[min(max(index, 0), last)] for index, weight in row.items()), np.zeros(x.shape[1:])) for row in rows]
    return np.moveaxis(np.stack(out), 0, axis)


def features(spec: PyramidSpec, weights: Weights, latents: Latents) -> Array:
    """h `[G, *grid]`."""
    acc = np.zeros((0, *latents[-1].shape))
    for level in reversed(range(spec.levels)):
        own, *planes = (grid.astype(np.float64) for grid, other in zip(latents, spec.grid_levels, strict=True) if other == level)
        planes = [grid if grid.shape == own.shape else lasting(grid, len(own), len(latents[-1])) for grid in planes]
        if level < spec.levels - 1:
            kernel = np.concatenate([weights["up"][level], weights["up"][level][::-1]]).astype(np.float64)
            for axis, size in enumerate(own.shape):
                # Transposed convolution, stride 2, the input padded by 2 and the output cropped by 7.
                rows = [{m - 2: kernel[p + 7 - 2 * m] for m in range(size + 4) if 0 <= p + 7 - 2 * m < 8} for p in range(size)]
                acc = filtered(acc, axis + 1, rows)
        acc = np.concatenate([acc, *(grid[None] for grid in reversed(planes)), own[None]])
    return acc


def lasting(grid: Array, frames: int, coarsest: int) -> Array:
    """A still grid as so many frames of its level: each counts fully in the middle of those it stands for, and fades over to the next."""
    span = 1
    while -(-frames // span) != coarsest:
        span *= 2
    out = np.zeros((frames, *grid.shape[1:]))
    for frame in range(frames):
        place = min(max((frame + 0.5) / span - 0.5, 0.0), len(grid) - 1.0)
        before, share = int(place), place - int(place)
        out[frame] = (1 - share) * grid[before] + (share * grid[before + 1] if share else 0)
    return out


def convolve(x: Array, kernel: Array) -> Array:
    """Cross-correlation `[M, *grid]` of x `[N, *grid]` with `[M, N, 3, ...]`, zero outside."""
    grid = x.shape[1:]
    padded = np.pad(x, [(0, 0)] + [(1, 1)] * len(grid))
    out = np.zeros((len(kernel), *grid))
    for tap in np.ndindex(kernel.shape[2:]):
        shifted = padded[(slice(None), *(slice(t, t + n) for t, n in zip(tap, grid, strict=True)))]
        out += np.einsum("mn,n...->m...", kernel[(slice(None), slice(None), *tap)], shifted)
    return out


def solve(spec: PyramidSpec, weights: Weights, h: Array, iterations: int) -> Array:
    """Phi `[*grid, D]` from features on a lattice."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    column = (slice(None), *(None,) * spec.axes)
    u = np.einsum("cl,l...->c...", w["B"], h) + w["c"][column]
    z = np.maximum(u, 0)
    if not spec.explicit:
        kernel = np.zeros((spec.width, spec.width, *w["K"].shape[1:]))
        kernel[np.arange(spec.width), np.arange(spec.width)] = w["K"]
        for _ in range(iterations - 1):
            z = np.maximum(np.einsum("ij,j...->i...", w["A"], z) + convolve(z, kernel) + u, 0)
    phi = np.einsum("dc,c...->d...", w["W"], z) + np.einsum("dl,l...->d...", w["S"], h) + w["b"][column]
    if spec.explicit:
        phi = phi + convolve(phi, w["R1"])
        phi = phi + convolve(np.maximum(phi, 0), w["R2"])
    return np.moveaxis(phi, 0, -1)


def keys(t: float) -> float:
    t = abs(t)
    if t >= 2:
        return 0.0
    return 1.5 * t**3 - 2.5 * t**2 + 1 if t <= 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2


def solve_scaled(spec: PyramidSpec, weights: Weights, latents: Latents, scales: tuple[int, ...]) -> Array:
    """Phi of the whole picture at integer scales, one solve for each phase."""
    h = features(spec, weights, latents)
    out = np.zeros((*(n * s for n, s in zip(spec.grid, scales, strict=True)), spec.channels))
    for phase in np.ndindex(scales):
        moved = h
        for axis, (k, s) in enumerate(zip(phase, scales, strict=True)):
            offset = (k + 0.5) / s - 0.5
            rows = [{i + m: keys(m - offset) for m in range(-2, 3)} for i in range(spec.grid[axis])]
            moved = filtered(moved, axis + 1, rows)
        out[tuple(slice(k, None, s) for k, s in zip(phase, scales, strict=True))] = solve(spec, weights, moved, spec.iterations)
    return out


def reduced(x: Array, axis: int, part: tuple[int, int], scale: int, out: int) -> Array:
    """Lanczos-3 from the samples of one whole axis, solved at `scale`, to `out` samples of its part (start, size)."""
    start, size = part
    total = x.shape[axis]
    ratio = scale * size / out
    rows = []
    for j in range(out):
        centre = (start + (j + 0.5) * size / out) * scale - 0.5
        row = {}
        for i in range(total):
            t = (i - centre) / ratio
            if abs(t) < 3:
                row[i] = float(np.sinc(t) * np.sinc(t / 3))
        rows.append({i: weight / sum(row.values()) for i, weight in row.items()})
    return filtered(x, axis, rows)


def render(spec: PyramidSpec, weights: Weights, latents: Latents, view: View, shape: tuple[int, ...]) -> Array:
    """What Renderer.render must give for a picture."""
    x, y, w, h = view.crop or (0, 0, spec.grid[1], spec.grid[0])
    parts = ((y, h), (x, w))
    scales = tuple(math.ceil(out / size) for out, (_, size) in zip(shape, parts, strict=True))
    values = solve_scaled(spec, weights, latents, scales)
    for axis, (out, (start, size)) in enumerate(zip(shape, parts, strict=True)):
        if out == size * scales[axis]:
            values = np.take(values, range(start * scales[axis], (start + size) * scales[axis]), axis=axis)
        else:
            values = reduced(values, axis, (start, size), scales[axis], out)
    return values
