"""The values of an implicit pyramid field from its features, and their gradients, on a CPU: compiled, tile after tile (field.tiles).

    u = B h + c,   z <- relu(A z + K * z + u),   Phi = W z + S h + b

and, with g the gradient by Phi and the one-step gradient v = (W^T g) [z > 0] at the last z,

    by A, B, c: v z^T, v h^T, sum v;   by K: the correlation of z with v;   by W, S, b: g z^T, g h^T, sum g;   by h: B^T v + S^T g

z lies in memory as rows of channels, `[T', H + 2, C, W + 2]`, with zeros around them, so that the taps of K need no edges, and the channels
of a place are near each other. T' = T + 2 where there are three axes, else 1. Of two axes, all applications go through the rows together.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numba import uintp
from torch import Tensor

from ..arrays import Float32Array, Float64Array
from .tiles import PARTS, TILE, compiled, fill, in_parts, outer, product

TENSORS = ("B", "c", "A", "K", "W", "S", "b")


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
def _inject_row(h, place, b, c, tile, acc, u, u_at, u_line, z, z_at, width):  # type: ignore[no-untyped-def]
    """A row of u = B h + c and of z = relu(u); h `[G, T H W]` from a place on, a row of z with a sample more on both sides of each channel."""
    channels, grids = b.shape
    for begin in range(0, width, TILE):
        n = uintp(min(TILE, width - begin))
        _load(tile, h, place + begin, n)
        fill(acc, c, n)
        product(acc, 0, b, 0, channels, tile, grids, n)
        for o in range(channels):
            p, q = uintp(o) * uintp(TILE), uintp(u_at + o * u_line + begin)
            for k in range(n):
                u[q + k] = acc[p + k]
            q = uintp(z_at + o * (width + 2) + begin + 1)
            for k in range(n):
                z[q + k] = max(acc[p + k], np.float32(0))


@compiled
def _apply_row(z, rows, u, u_at, u_line, a, taps, tile, acc, new, new_at, width):  # type: ignore[no-untyped-def]
    """A row of relu(A z + K * z + u); taps `[C, 1 or 3, 3, 3]`, and `rows` where the rows of z that they are over begin."""
    channels, line = a.shape[0], width + 2
    for begin in range(0, width, TILE):
        n = uintp(min(TILE, width - begin))
        _tile_of(tile, z, rows[len(rows) // 2, 1] + begin + 1, line, channels, n)
        for o in range(channels):
            p, q = uintp(o) * uintp(TILE), uintp(u_at + o * u_line + begin)
            for k in range(n):
                acc[p + k] = u[q + k]
        product(acc, 0, a, 0, channels, tile, channels, n)
        for o in range(channels):
            p, shift = uintp(o) * uintp(TILE), o * line + begin
            for d in range(len(rows)):
                _nine(acc, p, z, uintp(rows[d, 0] + shift), uintp(rows[d, 1] + shift), uintp(rows[d, 2] + shift), taps[o, d], n)
            q = uintp(new_at + shift + 1)
            for k in range(n):
                new[q + k] = max(acc[p + k], np.float32(0))


@compiled
def _nine(acc, at, z, p, q, r, k, n):  # type: ignore[no-untyped-def]
    """acc += the 3x3 taps `k` of three rows of z, from p, q and r on."""
    a0, a1, a2, b0, b1, b2, c0, c1, c2 = k[0, 0], k[0, 1], k[0, 2], k[1, 0], k[1, 1], k[1, 2], k[2, 0], k[2, 1], k[2, 2]
    one, two = uintp(1), uintp(2)
    for x in range(n):
        above = a0 * z[p + x] + a1 * z[p + x + one] + a2 * z[p + x + two]
        here = b0 * z[q + x] + b1 * z[q + x + one] + b2 * z[q + x + two]
        acc[at + x] += above + here + (c0 * z[r + x] + c1 * z[r + x + one] + c2 * z[r + x + two])


@compiled
def _read_row(h, place, s, bias, z, z_at, w, tile, acc, out, width):  # type: ignore[no-untyped-def]
    """A row of Phi `[D, T H W]`; `tile` holds the channels of h or of z."""
    values, grids, channels = len(w), len(h), w.shape[1]
    for begin in range(0, width, TILE):
        n = uintp(min(TILE, width - begin))
        fill(acc, bias, n)
        _load(tile, h, place + begin, n)
        product(acc, 0, s, 0, values, tile, grids, n)
        _tile_of(tile, z, z_at + begin + 1, width + 2, channels, n)
        product(acc, 0, w, 0, values, tile, channels, n)
        for o in range(values):
            line, p, q = out[o], uintp(o) * uintp(TILE), uintp(place + begin)
            for k in range(n):
                line[q + k] = acc[p + k]


@compiled
def _tiles(b, w):  # type: ignore[no-untyped-def]
    """Memory for a tile of all channels that go in, and for one of all that come out."""
    return np.empty(max(b.shape) * TILE, np.float32), np.empty(max(b.shape[0], len(w)) * TILE, np.float32)


@compiled
def _solve(h, tensors, z, out, first, last, height, width, applications):  # type: ignore[no-untyped-def]
    """Rows first..last - 1 of the last z and of Phi, of two axes, after so many applications.

    Row y of each application follows row y + 1 of the one before it, so that only the last three rows of each are kept, in the second cache.
    What others work on beyond the first and the last row is made here too, as far as it reaches.
    """
    b, c, a, taps, w, s, bias = tensors
    channels = len(b)
    row = channels * (width + 2)
    kept, us = np.zeros(3 * applications * row, np.float32), np.empty((applications + 1) * channels * width, np.float32)
    tile, acc = _tiles(b, w)
    rows = np.empty((1, 3), np.int64)
    for time in range(max(0, first - applications), last + applications):
        for number in range(applications + 1):
            y, reach = time - number, applications - number
            if y < max(0, first - reach) or y >= last + reach or y > height or (y == height and not reach):
                continue
            new, at = (kept, (3 * number + y % 3) * row) if reach else (z, (y + 1) * row)
            u_at = y % (applications + 1) * channels * width
            if y == height:  # below the last row there are zeros
                new[at : at + row] = 0
            elif number == 0:
                _inject_row(h, y * width, b, c, tile, acc, us, u_at, width, new, at, width)
            else:
                for i in range(3):
                    rows[0, i] = (3 * (number - 1) + (y + i - 1) % 3) * row
                _apply_row(kept, rows, us, u_at, width, a, taps, tile, acc, new, at, width)
            if not reach:
                _read_row(h, y * width, s, bias, z, at, w, tile, acc, out, width)


@compiled
def _inject(h, tensors, u, z, first, last, height, width):  # type: ignore[no-untyped-def]
    """Rows of u and of the first z, of three axes; row r is row r % H of slice r // H."""
    b, c, _, _, w, _, _ = tensors
    tile, acc = _tiles(b, w)
    for r in range(first, last):
        at = ((r // height + 1) * (height + 2) + r % height + 1) * len(b) * (width + 2)
        _inject_row(h, r * width, b, c, tile, acc, u, at + 1, width + 2, z, at, width)


@compiled
def _apply(z, u, tensors, new, first, last, height, width):  # type: ignore[no-untyped-def]
    """Rows of the next z, of three axes."""
    b, _, a, taps, w, _, _ = tensors
    tile, acc = _tiles(b, w)
    row = len(b) * (width + 2)
    rows = np.empty((3, 3), np.int64)
    for r in range(first, last):
        at = ((r // height + 1) * (height + 2) + r % height + 1) * row
        for d in range(3):
            for i in range(3):
                rows[d, i] = at + ((d - 1) * (height + 2) + i - 1) * row
        _apply_row(z, rows, u, at + 1, width + 2, a, taps, tile, acc, new, at, width)


@compiled
def _read_out(h, tensors, z, out, first, last, height, width):  # type: ignore[no-untyped-def]
    """Rows of Phi, of three axes."""
    b, _, _, _, w, s, bias = tensors
    tile, acc = _tiles(b, w)
    for r in range(first, last):
        at = ((r // height + 1) * (height + 2) + r % height + 1) * len(b) * (width + 2)
        _read_row(h, r * width, s, bias, z, at, w, tile, acc, out, width)


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
            v[:] = zero
            product(v, 0, w_t, 0, channels, top, values, n)
            for o in range(channels):
                p = uintp(o) * uintp(TILE)
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
            back[:] = zero
            product(back, 0, b_t, 0, grids, v, channels, n)
            product(back, 0, s_t, 0, grids, top, values, n)
            for i in range(grids):
                p = uintp(i) * uintp(TILE)
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
        rows, sizes = slices * height, (height, width)
        together = b, c, a, k.reshape(len(k), -1, 3, 3), w, s, bias
        z = _around(slices, height, width, margin, len(a))
        out = np.empty((len(w), places), np.float32)
        if margin:
            u, new = (_around(slices, height, width, margin, len(a)) for _ in range(2))
            in_parts(rows, places, lambda _, *part: _inject(seen, together, u.reshape(-1), z.reshape(-1), *part, *sizes))
            for _ in range(iterations - 1):
                in_parts(rows, places, partial(_applied, z, u, together, new, sizes))
                z, new = new, z
            in_parts(rows, places, lambda _, *part: _read_out(seen, together, z.reshape(-1), out, *part, *sizes))
        else:
            in_parts(rows, places, lambda _, *part: _solve(seen, together, z.reshape(-1), out, *part, *sizes, iterations - 1))
        if any(ctx.needs_input_grad):
            ctx.kept = seen, z, b, w, s, k.shape
            ctx.rows, ctx.sizes = rows, (*sizes, margin)
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
    z: Float32Array, u: Float32Array, tensors: tuple[Float32Array, ...], new: Float32Array, sizes: tuple[int, int], _: int, first: int, last: int
) -> None:
    _apply(z.reshape(-1), u.reshape(-1), tensors, new.reshape(-1), first, last, *sizes)


_plain = False


def compiles(device: torch.device) -> bool:
    """Whether a fit on that device uses what is compiled: on a CPU, outside `uncompiled`."""
    return device.type == "cpu" and not _plain


def suits(tensors: Sequence[Tensor]) -> bool:
    """Whether the compiled loops can do it: float32 on a CPU."""
    return all(compiles(tensor.device) and tensor.dtype == torch.float32 for tensor in tensors)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Inside, a CPU makes what a GPU would: torch's own passes, and steps that can be recorded. To try them out; a fit must begin and end inside."""
    global _plain
    before, _plain = _plain, True
    try:
        yield
    finally:
        _plain = before
