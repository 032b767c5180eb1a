"""The values of an implicit pyramid field from its features, and their gradients, on a CPU: compiled, tile after tile (field.tiles).

    u = B h + c,   z <- relu(A z + K * z + u),   Phi = W z + S h + b

and, with g the gradient by Phi and the one-step gradient v = (W^T g) [z > 0] at the last z,

    by A, B, c: v z^T, v h^T, sum v;   by K: the correlation of z with v;   by W, S, b: g z^T, g h^T, sum g;   by h: B^T v + S^T g

z and u lie in memory as rows of channels, `[T', H + 2, C, W + 2]`, with zeros around them, so that the taps of K need no edges, and
the channels of a place are near each other. T' = T + 2 where there are three axes, else 1.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numba import uintp
from torch import Tensor

from ..arrays import Float32Array, Float64Array
from .tiles import PARTS, TILE, compiled, in_parts, outer, product

TENSORS = ("B", "c", "A", "K", "W", "S", "b")


@compiled
def _inject(h, b, c, s, bias, u, z, out, first, last, height, width, margin):  # type: ignore[no-untyped-def]
    """u, z = relu(u), and what h adds to Phi; h `[G, T H W]`, out `[D, T H W]`."""
    channels, grids, values = b.shape[0], b.shape[1], s.shape[0]
    row = channels * (width + 2)
    tile, acc = np.empty(grids * TILE, np.float32), np.empty(TILE, np.float32)
    for r in range(first, last):
        base = ((r // height + margin) * (height + 2) + r % height + 1) * row
        for begin in range(0, width, TILE):
            n = uintp(min(TILE, width - begin))
            _load(tile, h, r * width + begin, n)
            for o in range(channels):
                for k in range(n):
                    acc[k] = c[o]
                product(acc, 0, b[o : o + 1], tile, grids, n)
                q = uintp(base + o * (width + 2) + begin + 1)
                for k in range(n):
                    u[q + k] = acc[k]
                for k in range(n):
                    z[q + k] = max(acc[k], np.float32(0))
            for o in range(values):
                for k in range(n):
                    acc[k] = bias[o]
                product(acc, 0, s[o : o + 1], tile, grids, n)
                line, q = out[o], uintp(r * width + begin)
                for k in range(n):
                    line[q + k] = acc[k]


@compiled
def _load(tile, h, first, n):  # type: ignore[no-untyped-def]
    """n places of each channel of h."""
    for c in range(len(h)):
        p, q, source = uintp(c) * uintp(TILE), uintp(first), h[c]
        for k in range(n):
            tile[p + k] = source[q + k]


@compiled
def _tile_of(tile, z, first, stride, channels, n):  # type: ignore[no-untyped-def]
    for c in range(channels):
        p, q = uintp(c) * uintp(TILE), uintp(first + c * stride)
        for k in range(n):
            tile[p + k] = z[q + k]


@compiled
def _apply(z, u, a, taps, new, first, last, height, width, margin):  # type: ignore[no-untyped-def]
    """new = relu(A z + K * z + u); taps `[C, 1 or 3, 3, 3]`."""
    channels, depth = a.shape[0], taps.shape[1]
    line, row = width + 2, channels * (width + 2)
    tile, acc = np.empty(channels * TILE, np.float32), np.empty(TILE, np.float32)
    for r in range(first, last):
        base = ((r // height + margin) * (height + 2) + r % height + 1) * row
        for begin in range(0, width, TILE):
            n = uintp(min(TILE, width - begin))
            _tile_of(tile, z, base + begin + 1, line, channels, n)
            for o in range(channels):
                q = uintp(base + o * line + begin + 1)
                for k in range(n):
                    acc[k] = u[q + k]
                product(acc, 0, a[o : o + 1], tile, channels, n)
                for d in range(depth):
                    here = base + (d - margin) * (height + 2) * row + o * line + begin
                    _nine(acc, z, uintp(here - row), uintp(row), taps[o, d], n)
                for k in range(n):
                    new[q + k] = max(acc[k], np.float32(0))


@compiled
def _nine(acc, z, p, row, k, n):  # type: ignore[no-untyped-def]
    """acc += the 3x3 taps `k` of three rows of z from p on."""
    a0, a1, a2, b0, b1, b2, c0, c1, c2 = k[0, 0], k[0, 1], k[0, 2], k[1, 0], k[1, 1], k[1, 2], k[2, 0], k[2, 1], k[2, 2]
    q, one, two = p + row, uintp(1), uintp(2)
    r = q + row
    for x in range(n):
        above = a0 * z[p + x] + a1 * z[p + x + one] + a2 * z[p + x + two]
        here = b0 * z[q + x] + b1 * z[q + x + one] + b2 * z[q + x + two]
        acc[x] += above + here + (c0 * z[r + x] + c1 * z[r + x + one] + c2 * z[r + x + two])


@compiled
def _read_out(z, w, out, first, last, height, width, margin):  # type: ignore[no-untyped-def]
    """out += W z."""
    values, channels = w.shape
    row = channels * (width + 2)
    tile, acc = np.empty(channels * TILE, np.float32), np.empty(TILE, np.float32)
    for r in range(first, last):
        base = ((r // height + margin) * (height + 2) + r % height + 1) * row
        for begin in range(0, width, TILE):
            n = uintp(min(TILE, width - begin))
            _tile_of(tile, z, base + begin + 1, width + 2, channels, n)
            for o in range(values):
                line, q = out[o], uintp(r * width + begin)
                for k in range(n):
                    acc[k] = line[q + k]
                product(acc, 0, w[o : o + 1], tile, channels, n)
                for k in range(n):
                    line[q + k] = acc[k]


@compiled
def _back(g, z, h, b, w, s, g_h, sums, first, last, height, width, margin):  # type: ignore[no-untyped-def]
    """Gradients: by h into g_h `[G, T H W]`, by the tensors added to `sums`, in the order of TENSORS; g `[D, T H W]`."""
    by_b, by_c, by_a, by_k, by_w, by_s, by_bias = sums
    channels, grids, values, depth = b.shape[0], b.shape[1], w.shape[0], by_k.shape[1]
    line, row = width + 2, channels * (width + 2)
    w_t, b_t, s_t = w.T.copy(), b.T.copy(), s.T.copy()
    top, v = np.empty(values * TILE, np.float32), np.empty(channels * TILE, np.float32)
    z_tile, h_tile, back = np.empty(channels * TILE, np.float32), np.empty(grids * TILE, np.float32), np.empty(grids * TILE, np.float32)
    zero = np.float32(0)
    for r in range(first, last):
        base = ((r // height + margin) * (height + 2) + r % height + 1) * row
        for begin in range(0, width, TILE):
            n = uintp(min(TILE, width - begin))
            _tile_of(z_tile, z, base + begin + 1, line, channels, n)
            _load(h_tile, h, r * width + begin, n)
            for o in range(values):
                p, source, q = uintp(o) * uintp(TILE), g[o], uintp(r * width + begin)
                for k in range(n):
                    top[p + k] = source[q + k]
            for o in range(channels):
                p = uintp(o) * uintp(TILE)
                for k in range(n):
                    v[p + k] = zero
                product(v, o, w_t, top, values, n)
                for k in range(n):
                    v[p + k] = v[p + k] if z_tile[p + k] > zero else zero
            outer(by_a, v, channels, z_tile, channels, n)
            outer(by_b, v, channels, h_tile, grids, n)
            outer(by_w, top, values, z_tile, channels, n)
            outer(by_s, top, values, h_tile, grids, n)
            _sums(by_c, v, channels, n)
            _sums(by_bias, top, values, n)
            for o in range(channels):
                for d in range(depth):
                    for y in range(3):
                        here = base + ((d - margin) * (height + 2) + y - 1) * row + o * line + begin
                        _correlate(by_k[o, d, y], v, uintp(o) * uintp(TILE), z, uintp(here), n)
            for i in range(grids):
                p = uintp(i) * uintp(TILE)
                for k in range(n):
                    back[p + k] = zero
                product(back, i, b_t, v, channels, n)
                product(back, i, s_t, top, values, n)
                target, q = g_h[i], uintp(r * width + begin)
                for k in range(n):
                    target[q + k] = back[p + k]


@compiled
def _sums(total, tile, count, n):  # type: ignore[no-untyped-def]
    for o in range(count):
        p, part = uintp(o) * uintp(TILE), np.float32(0)
        for k in range(n):
            part += tile[p + k]
        total[o] += part


@compiled
def _correlate(total, v, p, z, q, n):  # type: ignore[no-untyped-def]
    """total[i] += sum_k v[k] z[k + i], i = 0..2."""
    s0 = s1 = s2 = np.float32(0)
    for k in range(n):
        value = v[p + k]
        s0 += value * z[q + k]
        s1 += value * z[q + k + uintp(1)]
        s2 += value * z[q + k + uintp(2)]
    total[0] += s0
    total[1] += s1
    total[2] += s2


def _around(slices: int, height: int, width: int, margin: int, channels: int) -> Float32Array:
    """Memory for rows of channels, with zeros around them."""
    buffer = np.empty((slices + 2 * margin, height + 2, channels, width + 2), np.float32)
    buffer[:, :: height + 1] = 0
    buffer[..., :: width + 1] = 0
    if margin:
        buffer[:: slices + 1] = 0
    return buffer


class CompiledValues(torch.autograd.Function):
    """Phi `[1, D, *grid]` of features h `[1, G, *grid]`, differentiable once."""

    @staticmethod
    def forward(ctx: Any, iterations: int, h: Tensor, *tensors: Tensor) -> Tensor:
        """Tensors: in the order of TENSORS, those of the features times the step."""
        b, c, a, k, w, s, bias = (np.ascontiguousarray(tensor.detach().numpy()) for tensor in tensors)
        grid = h.shape[2:]
        slices, height, width = (1,) * (3 - len(grid)) + tuple(grid)
        seen = np.ascontiguousarray(h.detach()[0].numpy()).reshape(len(h[0]), -1)
        places = seen.shape[1]
        margin = len(grid) - 2
        u, z, new = (_around(slices, height, width, margin, len(a)) for _ in range(3))
        out = np.empty((len(w), places), np.float32)
        rows, sizes = slices * height, (height, width, margin)
        in_parts(rows, places, lambda _, *part: _inject(seen, b, c, s, bias, u.reshape(-1), z.reshape(-1), out, *part, *sizes))
        for _ in range(iterations - 1):
            in_parts(rows, places, partial(_applied, z, u, a, _taps(k), new, sizes))
            z, new = new, z
        in_parts(rows, places, lambda _, *part: _read_out(z.reshape(-1), w, out, *part, *sizes))
        if any(ctx.needs_input_grad):
            ctx.kept = seen, z, b, w, s, k.shape
            ctx.rows, ctx.sizes = rows, sizes
        return torch.from_numpy(out).view(1, len(w), *grid)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        seen, z, b, w, s, taps = ctx.kept
        channels, values = len(b), len(w)
        g = np.ascontiguousarray(grads[0].numpy()).reshape(values, -1)
        g_h = np.empty_like(seen)
        depth = 3 if len(taps) == 4 else 1
        shapes = (b.shape, (channels,), (channels, channels), (channels, depth, 3, 3), w.shape, s.shape, (values,))
        sums: list[tuple[Float64Array, ...]] = [tuple(np.zeros(shape) for shape in shapes) for _ in range(PARTS)]
        in_parts(ctx.rows, seen.shape[1], lambda number, *part: _back(g, z.reshape(-1), seen, b, w, s, g_h, sums[number], *part, *ctx.sizes))
        by_h = torch.from_numpy(g_h).view(1, -1, *grads[0].shape[2:])
        found = [torch.from_numpy(sum(parts[1:], parts[0]).astype(np.float32)) for parts in zip(*sums, strict=True)]
        found[3] = found[3].view(taps)
        return None, by_h, *found


def _applied(
    z: Float32Array, u: Float32Array, a: Float32Array, taps: Float32Array, new: Float32Array, sizes: tuple[int, ...], _: int, first: int, last: int
) -> None:
    _apply(z.reshape(-1), u.reshape(-1), a, taps, new.reshape(-1), first, last, *sizes)


def _taps(kernel: Float32Array) -> Float32Array:
    return kernel.reshape(len(kernel), -1, 3, 3)


def suits(tensors: Sequence[Tensor]) -> bool:
    """Whether the compiled loops can do it: float32 on a CPU."""
    return all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)
