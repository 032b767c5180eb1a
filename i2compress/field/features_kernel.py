"""The features of a pyramid from its latent grids, and their gradients, on a CPU: compiled, row after row.

A grid is upsampled by two along its axes with a symmetric filter of eight taps, of which `half` are the first four. Place 2 m sees the
samples m - 2 .. m + 1 with the weights (half[0], half[2], half[3], half[1]), place 2 m + 1 sees m - 1 .. m + 2 with the same in reverse;
beyond its edges a grid goes on with its outermost samples. Frames are combined first, then rows, where they are short.

Memory is `[C, frames, rows, columns]`; of two axes there is one frame. A step from one level to the next doubles frames, rows and columns, or one
of both. A channel is the work of one thread, so no sum depends on how many there are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import uintp
from torch import Tensor

from ..arrays import Float32Array
from .tiles import compiled, in_parts

ORDER = (0, 2, 3, 1)  # of the taps of `half` that the samples under an even place have
REACH = 2  # samples that a grid goes on beyond each edge


@compiled
def _rows(y, height, half, at, weights):  # type: ignore[no-untyped-def]
    """The four rows that place y of the upsampled axis sees, and their weights."""
    odd = y & 1
    for i in range(4):
        at[i] = min(max((y >> 1) + odd - 2 + i, 0), height - 1)
        weights[i] = half[ORDER[3 - i if odd else i]]


@compiled
def _combined(line, source, at, weights, width):  # type: ignore[no-untyped-def]
    """line = the weighed sum of four rows of a grid, with what is beyond its edges."""
    a, b, c, d = source[at[0]], source[at[1]], source[at[2]], source[at[3]]
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    for k in range(uintp(width)):
        line[k + uintp(REACH)] = w0 * a[k] + w1 * b[k] + (w2 * c[k] + w3 * d[k])
    for k in range(REACH):
        line[k], line[width + REACH + k] = line[REACH], line[width + REACH - 1]


@compiled
def _up(source, half, out, top, left, line, wide, at, weights):  # type: ignore[no-untyped-def]
    """out `[H, W]`: the places from (top, left) on of the upsampled source `[h, w]`."""
    height, width = source.shape
    rows, columns = out.shape
    h0, h1, h2, h3 = half[0], half[1], half[2], half[3]
    begin, end = uintp(left >> 1), uintp((left + columns + 1) >> 1)
    one, two, three, four = uintp(1), uintp(2), uintp(3), uintp(4)
    for y in range(rows):
        _rows(y + top, height, half, at, weights)
        _combined(line, source, at, weights, width)
        for m in range(begin, end):
            wide[two * m] = h0 * line[m] + h2 * line[m + one] + (h3 * line[m + two] + h1 * line[m + three])
            wide[two * m + one] = h1 * line[m + one] + h3 * line[m + two] + (h2 * line[m + three] + h0 * line[m + four])
        target, shift = out[y], uintp(left)
        for k in range(uintp(columns)):
            target[k] = wide[k + shift]


@compiled
def _mixed(frame, source, at, weights):  # type: ignore[no-untyped-def]
    """frame `[h, w]` = the weighed sum of four frames of a grid `[T, h, w]`."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    for y in range(len(frame)):
        row, a, b, c, d = frame[y], source[at[0], y], source[at[1], y], source[at[2], y], source[at[3], y]
        for k in range(uintp(len(row))):
            row[k] = w0 * a[k] + w1 * b[k] + (w2 * c[k] + w3 * d[k])


@compiled
def _upsample(sources, half, out, first, last, start, doubled):  # type: ignore[no-untyped-def]
    """Channels first..last - 1 of out `[C, T, H, W]`, places from `start` on of the sources `[C, t, h, w]` once they are doubled.

    `doubled`: whether the frames are, and whether their rows and columns are.
    """
    frames, height, width = sources.shape[1:]
    rows, columns = out.shape[2:]
    line, wide = np.empty(width + 2 * REACH, np.float32), np.empty(2 * width, np.float32)
    at, weights, mixed = np.empty(4, np.int64), np.empty(4, np.float32), np.empty((height, width), np.float32)
    for c in range(first, last):
        for t in range(out.shape[1]):
            if doubled[0]:
                _rows(t + start[0], frames, half, at, weights)
                _mixed(mixed, sources[c], at, weights)
                source = mixed
            else:
                source = sources[c, t + start[0]]
            if doubled[1]:
                _up(source, half, out[c, t], start[1], start[2], line, wide, at, weights)
                continue
            for y in range(rows):
                target, row, shift = out[c, t, y], source[y + start[1]], uintp(start[2])
                for k in range(uintp(columns)):
                    target[k] = row[k + shift]


@compiled
def _down(g, source, half, g_source, total, top, left, line, by_line, wide, even, odd, at, weights):  # type: ignore[no-untyped-def]
    """From the gradients g by what `_up` gives: those by the source, which are added to g_source, and by `half`, added to `total`.

    wide, even, odd: 0 beyond the places that are seen; even and odd have four zeros before and after their numbers.
    """
    height, width = source.shape
    rows, columns = g.shape
    h0, h1, h2, h3 = half[0], half[1], half[2], half[3]
    one, two, three, four = uintp(1), uintp(2), uintp(3), uintp(4)
    for y in range(rows):
        _rows(y + top, height, half, at, weights)
        _combined(line, source, at, weights, width)
        here, shift = g[y], uintp(left)
        for k in range(uintp(columns)):
            wide[k + shift] = here[k]
        for m in range(uintp(width)):
            even[m + four], odd[m + four] = wide[two * m], wide[two * m + one]
        for j in range(uintp(width + 2 * REACH)):
            from_even = h0 * even[j + four] + h2 * even[j + three] + (h3 * even[j + two] + h1 * even[j + one])
            by_line[j] = from_even + (h1 * odd[j + three] + h3 * odd[j + two] + (h2 * odd[j + one] + h0 * odd[j]))
        for k in range(REACH):
            by_line[REACH] += by_line[k]
            by_line[width + REACH - 1] += by_line[width + REACH + k]
        _across(total, line, even, odd, width)
        for i in range(4):
            part = _weighed(g_source[at[i]], source[at[i]], by_line, weights[i], REACH)
            total[ORDER[3 - i if (y + top) & 1 else i]] += part


@compiled
def _weighed(total, source, g, weight, shift):  # type: ignore[no-untyped-def]
    """total += weight g, a row of it from a place on; and the product of the source with g."""
    part, beyond = np.float32(0), uintp(shift)
    for k in range(uintp(len(total))):
        total[k] += weight * g[k + beyond]
        part += source[k] * g[k + beyond]
    return part


@compiled
def _back(g, sources, half, g_sources, sums, first, last, start, doubled):  # type: ignore[no-untyped-def]
    """From the gradients `g` by what `_upsample` gives: those by the sources, and by `half` for each channel, `sums[c]`."""
    frames, height, width = sources.shape[1:]
    rows, columns = g.shape[2:]
    line, by_line = np.empty(width + 2 * REACH, np.float32), np.empty(width + 2 * REACH, np.float32)
    wide, even, odd = np.zeros(2 * width, np.float32), np.zeros(width + 8, np.float32), np.zeros(width + 8, np.float32)
    at, weights = np.empty(4, np.int64), np.empty(4, np.float32)
    mixed, by_mixed = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    for c in range(first, last):
        g_sources[c] = 0
        for t in range(g.shape[1]):
            if doubled[0]:
                _rows(t + start[0], frames, half, at, weights)
                _mixed(mixed, sources[c], at, weights)
                by_mixed[:] = 0
                source, by_source = mixed, by_mixed
            else:
                source, by_source = sources[c, t + start[0]], g_sources[c, t + start[0]]
            if doubled[1]:
                _down(g[c, t], source, half, by_source, sums[c], start[1], start[2], line, by_line, wide, even, odd, at, weights)
            else:
                for y in range(rows):
                    total, here, shift = by_source[y + start[1]], g[c, t, y], uintp(start[2])
                    for k in range(uintp(columns)):
                        total[k + shift] += here[k]
            if doubled[0]:
                _rows(t + start[0], frames, half, at, weights)
                for i in range(4):
                    part = 0.0
                    for y in range(height):
                        part += _weighed(g_sources[c, at[i], y], sources[c, at[i], y], by_mixed[y], weights[i], 0)
                    sums[c, ORDER[3 - i if (t + start[0]) & 1 else i]] += part


@compiled
def _across(total, line, even, odd, width):  # type: ignore[no-untyped-def]
    """total += the gradients by `half` of the filter along a row."""
    s0 = s1 = s2 = s3 = np.float32(0)
    one, two, three, four = uintp(1), uintp(2), uintp(3), uintp(4)
    for m in range(uintp(width)):
        e, o = even[m + four], odd[m + four]
        s0 += e * line[m] + o * line[m + four]
        s2 += e * line[m + one] + o * line[m + three]
        s3 += (e + o) * line[m + two]
        s1 += e * line[m + three] + o * line[m + one]
    total[0] += s0
    total[1] += s1
    total[2] += s2
    total[3] += s3


class CompiledFeatures(torch.autograd.Function):
    """h / step `[1, G, *grid]` of latents, as PyramidField.features has it, differentiable once."""

    @staticmethod
    def forward(ctx: Any, levels: Sequence[int], ways: "Sequence[Way]", spread: Sequence[Tensor | None], up: Tensor, *latents: Tensor) -> Tensor:
        """See PyramidField.features.

        Args:
            ctx: autograd's.
            levels: of each latent grid, finest first.
            ways: by level, how it comes of the one after it.
            spread: of a still grid, what its frames count in those of its level, `[frames, stills]`; None for others.
            up: the first halves of the filters by level, `[L - 1, 4]`.
            latents: `[1, 1, *grid_g]`, finest first.
        """
        lead = (1,) * (5 - latents[0].ndim)  # of two axes, one frame
        grids = [latent.detach()[0, 0].numpy().reshape(lead + latent.shape[2:]) for latent in latents]
        halves = np.ascontiguousarray(up.detach().numpy())
        ctx.levels, ctx.ways, ctx.halves, ctx.wholes, ctx.axes = levels, ways, halves, [], 3 - len(lead)
        ctx.spread = [None if weights is None else weights.numpy() for weights in spread]
        whole: Float32Array | None = None
        for level in range(levels[-1], -1, -1):
            own = [number for number in reversed(range(len(levels))) if levels[number] == level]
            coarse = 0 if whole is None else len(whole)
            joined = np.empty((coarse + len(own), *grids[own[-1]].shape), np.float32)
            if whole is not None:
                ctx.wholes.append(whole)
                _doubled(whole, halves[level], joined[:coarse], ways[level])
            for channel, number in enumerate(own, coarse):
                if (weights := ctx.spread[number]) is None:
                    joined[channel] = grids[number]
                else:
                    _spread(grids[number], weights, joined[channel])
            whole = joined
        assert whole is not None  # there is a level 0
        return torch.from_numpy(whole).view(1, -1, *latents[0].shape[2:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grid = grads[0].shape[2:]
        whole = np.ascontiguousarray(grads[0][0].numpy()).reshape(-1, *(1,) * (3 - len(grid)), *grid)
        by_up = np.zeros_like(ctx.halves)
        found: list[Tensor] = []
        for level in range(ctx.levels[-1] + 1):
            own = list(ctx.levels).count(level)
            for by_grid, weights in zip(whole[: -own - 1 : -1], ctx.spread[len(found) : len(found) + own], strict=True):
                total = by_grid if weights is None else _gathered(by_grid, weights)
                found.append(torch.from_numpy(total).view(1, 1, *total.shape[3 - ctx.axes :]))
            if level < ctx.levels[-1]:
                whole, by_up[level] = _doubled_back(whole[:-own], ctx.wholes[-1 - level], ctx.halves[level], ctx.ways[level])
        return None, None, None, torch.from_numpy(by_up), *found


def _spread(grid: Float32Array, weights: Float32Array, out: Float32Array) -> None:
    """out[f] = the sum over s of weights[f, s] grid[s], frames that follow each other."""
    for frame, row in zip(out, weights, strict=True):
        first, *others = np.flatnonzero(row)
        np.multiply(grid[first], row[first], out=frame)
        for still in others:
            frame += row[still] * grid[still]


def _gathered(g: Float32Array, weights: Float32Array) -> Float32Array:
    """The gradients by the grid that `_spread` spread, from those by what it gave."""
    total = np.zeros((weights.shape[1], *g.shape[1:]), np.float32)
    for frame, row in zip(g, weights, strict=True):
        for still in np.flatnonzero(row):
            total[still] += row[still] * frame
    return total


class Way(NamedTuple):
    """How a level comes of the one after it.

    Args:
        start: frame, row and column at which a window of it begins in the doubled one.
        doubled: whether its frames are doubled, and whether their rows and columns are.
    """

    start: tuple[int, int, int]
    doubled: tuple[bool, bool]


def _doubled(sources: Float32Array, half: Float32Array, out: Float32Array, way: Way) -> None:
    in_parts(len(sources), out.size, lambda _, first, last: _upsample(sources, half, out, first, last, *way))


def _doubled_back(g: Float32Array, sources: Float32Array, half: Float32Array, way: Way) -> tuple[Float32Array, Float32Array]:
    g_sources, sums = np.empty_like(sources), np.zeros((len(sources), 4))
    in_parts(len(sources), g.size, lambda _, first, last: _back(g, sources, half, g_sources, sums, first, last, *way))
    return g_sources, sums.sum(0).astype(np.float32)
