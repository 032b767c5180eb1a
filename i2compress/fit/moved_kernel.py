"""Frames that are read from places beside their samples, on a CPU: compiled, along one axis at a time, with Keys' cubic.

Memory is `[C, frames, rows, columns]`. A frame is the work of one thread, so no sum depends on how many there are.
"""

import numpy as np
from numba import uintp

from ..arrays import Float32Array
from ..field.tiles import compiled, in_parts

TAPS = 4


@compiled
def _keys(f, weights):  # type: ignore[no-untyped-def]
    """The weights of the samples -1..2 at place f in [0, 1): coords.keys_four, compiled."""
    one = np.float32(1)
    g = one - f
    weights[0] = np.float32(-0.5) * f * g * g
    weights[1] = one - f * f * (np.float32(2.5) - np.float32(1.5) * f)
    weights[2] = one - g * g * (np.float32(2.5) - np.float32(1.5) * g)
    weights[3] = np.float32(-0.5) * g * f * f


@compiled
def _samples(at, size, weights, places):  # type: ignore[no-untyped-def]
    """Which samples of an axis a place sees, the outermost ones beyond its ends, and their weights; whether it is a sample itself."""
    whole = np.int64(np.floor(at))
    f = np.float32(at - np.float32(whole))
    for k in range(TAPS):
        places[k] = min(max(whole - 1 + k, 0), size - 1)
    if f == 0:
        return True
    _keys(f, weights)
    return False


@compiled
def _along_rows(values, moves, out, first, last):  # type: ignore[no-untyped-def]
    """out[c, t, y, x] = the values at row y + moves[t, y, x]."""
    channels, _, rows, columns = values.shape
    weights, at = np.empty(TAPS, np.float32), np.empty(TAPS, np.int64)
    for t in range(first, last):
        for y in range(rows):
            for x in range(uintp(columns)):
                if _samples(np.float32(y) + moves[t, y, x], rows, weights, at):
                    for c in range(channels):
                        out[c, t, y, x] = values[c, t, at[1], x]
                    continue
                for c in range(channels):
                    here = values[c, t]
                    near = weights[1] * here[at[1], x] + weights[2] * here[at[2], x]
                    out[c, t, y, x] = near + (weights[0] * here[at[0], x] + weights[3] * here[at[3], x])


@compiled
def _along_columns(values, moves, out, first, last):  # type: ignore[no-untyped-def]
    """out[c, t, y, x] = the values at column x + moves[t, y, x]."""
    channels, _, rows, columns = values.shape
    weights, at = np.empty(TAPS, np.float32), np.empty(TAPS, np.int64)
    for t in range(first, last):
        for y in range(rows):
            for x in range(columns):
                if _samples(np.float32(x) + moves[t, y, x], columns, weights, at):
                    for c in range(channels):
                        out[c, t, y, x] = values[c, t, y, at[1]]
                    continue
                for c in range(channels):
                    here = values[c, t, y]
                    near = weights[1] * here[at[1]] + weights[2] * here[at[2]]
                    out[c, t, y, x] = near + (weights[0] * here[at[0]] + weights[3] * here[at[3]])


@compiled
def _back_along_rows(g, moves, out, first, last):  # type: ignore[no-untyped-def]
    """The adjoint of `_along_rows`: what the gradients g by its values make of those by what it reads."""
    channels, _, rows, columns = g.shape
    weights, at = np.empty(TAPS, np.float32), np.empty(TAPS, np.int64)
    for t in range(first, last):
        out[:, t] = 0
        for y in range(rows):
            for x in range(uintp(columns)):
                if _samples(np.float32(y) + moves[t, y, x], rows, weights, at):
                    for c in range(channels):
                        out[c, t, at[1], x] += g[c, t, y, x]
                    continue
                for c in range(channels):
                    here, slope = out[c, t], g[c, t, y, x]
                    for k in range(TAPS):
                        here[at[k], x] += weights[k] * slope


@compiled
def _back_along_columns(g, moves, out, first, last):  # type: ignore[no-untyped-def]
    """The adjoint of `_along_columns`."""
    channels, _, rows, columns = g.shape
    weights, at = np.empty(TAPS, np.float32), np.empty(TAPS, np.int64)
    for t in range(first, last):
        out[:, t] = 0
        for y in range(rows):
            for x in range(columns):
                if _samples(np.float32(x) + moves[t, y, x], columns, weights, at):
                    for c in range(channels):
                        out[c, t, y, at[1]] += g[c, t, y, x]
                    continue
                for c in range(channels):
                    here, slope = out[c, t, y], g[c, t, y, x]
                    for k in range(TAPS):
                        here[at[k]] += weights[k] * slope


def moved(values: Float32Array, moves: Float32Array) -> Float32Array:
    """Values `[C, T, H, W]` read at row y + moves[0, t, y, x], and what that gives at column x + moves[1, t, y, x]; moves `[2, T, H, W]`."""
    rows, out = np.empty_like(values), np.empty_like(values)
    in_parts(values.shape[1], values.size, lambda _, first, last: _along_rows(values, moves[0], rows, first, last))
    in_parts(values.shape[1], values.size, lambda _, first, last: _along_columns(rows, moves[1], out, first, last))
    return out


def moved_back(g: Float32Array, moves: Float32Array) -> Float32Array:
    """The adjoint of `moved`."""
    columns, out = np.empty_like(g), np.empty_like(g)
    in_parts(g.shape[1], g.size, lambda _, first, last: _back_along_columns(g, moves[1], columns, first, last))
    in_parts(g.shape[1], g.size, lambda _, first, last: _back_along_rows(columns, moves[0], out, first, last))
    return out
