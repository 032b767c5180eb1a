"""The bits of latents and their gradients on a CPU, compiled: what network_bits does, tile after tile (field.tiles)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import uintp

from ..arrays import Float32Array, Float64Array
from ..coding.context_model import LOG2_SCALE_SHIFT
from ..coding.laplace import SCALE_LOW_LOG2
from ..field.tiles import TILE, compiled, fill, outer, product

SCALE_HIGH_LOG2 = 7.8  # the table's last scale is 2**7.87
LEAST_PROBABILITY = 2.0**-24  # one unit of the coder's table, which no symbol goes without
TABLE_BITS = 0.0004  # what the 24-bit table costs a symbol


@compiled
def _exp2(x):  # type: ignore[no-untyped-def]
    """2**x of a float32 up to 127, 2**-126 below -126; relative error under 3e-7. The library's cannot become vector instructions.

    x is a whole number, whose power of two is put together from its bits, and a rest in -1/2..1/2, whose power is its Taylor series.
    """
    x = max(x, np.float32(-126))
    whole = np.floor(x + np.float32(0.5))
    f = (x - whole) * np.float32(math.log(2))
    c2, c3, c4, c5, c6 = np.float32(1 / 2), np.float32(1 / 6), np.float32(1 / 24), np.float32(1 / 120), np.float32(1 / 720)
    series = np.float32(1) + f * (np.float32(1) + f * (c2 + f * (c3 + f * (c4 + f * (c5 + f * c6)))))
    return series * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled
def _log2(x):  # type: ignore[no-untyped-def]
    """log2 of a normal float32; absolute error about 1e-6. The exponent, and twice the series of artanh for the rest, in 0.7..1.4."""
    bits = np.float32(x).view(np.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    f = np.int32(bits - (exponent << np.int32(23))).view(np.float32) - np.float32(1)
    s = f / (np.float32(2) + f)
    z = s * s
    c3, c5, c7, c9 = np.float32(1 / 3), np.float32(1 / 5), np.float32(1 / 7), np.float32(1 / 9)
    return np.float32(exponent) + np.float32(2 / math.log(2)) * s * (np.float32(1) + z * (c3 + z * (c5 + z * (c7 + z * c9))))


@compiled
def _laplace(out, top, n):  # type: ignore[no-untyped-def]
    """Bits of n latents, in all; see laplace_bits of network_bits.

    Args:
        out: tiles of the network's two outputs and of the latents.
        top: tiles for the derivatives by the two outputs and for the bits. Two arrays, not six, as the compiler proves first that none overlap.
        n: latents.
    """
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    tiny, ln2, log2e = np.float32(LEAST_PROBABILITY), np.float32(math.log(2)), np.float32(1 / math.log(2))
    low, high, shift = np.float32(SCALE_LOW_LOG2), np.float32(SCALE_HIGH_LOG2), np.float32(LOG2_SCALE_SHIFT)
    second, third = uintp(TILE), uintp(2 * TILE)
    for k in range(n):
        raw = out[second + k] + shift
        scale = min(max(raw, low), high)
        residual = out[third + k] - out[k]
        inverse = _exp2(-scale)
        distance = abs(residual)
        near, far = distance - half, distance + half
        e_near, e_far = _exp2(-abs(near * inverse) * log2e), _exp2(-far * inverse * log2e)
        half_mass = half * (e_near - e_far)
        probability = (half_mass if near > zero else one - half_mass - e_far) + tiny
        outer = inverse / (ln2 * probability)
        by_residual = outer * half_mass
        top[k] = (by_residual if residual < zero else zero) - (by_residual if residual > zero else zero)
        top[second + k] = half * ln2 * outer * (far * e_far - near * e_near) if raw == scale else zero
        top[third + k] = -_log2(probability)
    total = np.float32(0)
    for k in range(n):
        total += top[third + k]
    return total + np.float32(n) * np.float32(TABLE_BITS)


@compiled
def _read(x, seen, start, offsets, features, places, here, n):  # type: ignore[no-untyped-def]
    """Fill the tiles x of what the network reads of n latents: neighbours, features, places."""
    neighbours, feature_count = len(offsets), features.shape[0]
    for i in range(neighbours):
        p, source = uintp(i) * uintp(TILE), uintp(start + offsets[i])
        for k in range(n):
            x[p + k] = seen[source + k]
    for i in range(feature_count):
        p, line = uintp(neighbours + i) * uintp(TILE), features[i]
        for k in range(n):
            x[p + k] = line[here + k]
    for i in range(places.shape[0]):
        p, line = uintp(neighbours + feature_count + i) * uintp(TILE), places[i]
        for k in range(n):
            x[p + k] = line[here + k]


@compiled
def _forward(network, x, h1, a2, h2, out, n):  # type: ignore[no-untyped-def]
    """Fill the tiles of the activations and of the two outputs of n latents; a2 is what the second layer adds to h1."""
    w1, b1, w2, b2, w3, b3, ws = network
    hidden, read = w1.shape
    zero = np.float32(0)
    fill(h1, b1, n)
    product(h1, 0, w1, 0, hidden, x, read, n)
    for o in range(hidden):
        p = uintp(o) * uintp(TILE)
        for k in range(n):
            h1[p + k] = max(h1[p + k], zero)
    fill(a2, b2, n)
    product(a2, 0, w2, 0, hidden, h1, hidden, n)
    for o in range(hidden):
        p = uintp(o) * uintp(TILE)
        for k in range(n):
            a2[p + k] = max(a2[p + k], zero)
            h2[p + k] = h1[p + k] + a2[p + k]
    fill(out, b3, n)
    product(out, 0, ws, 0, 2, x, read, n)
    product(out, 0, w3, 0, 2, h2, hidden, n)


@compiled
def _backward(turned, sums, x, h1, a2, h2, top, g_h2, g_a2, g_h1, g_x, read_back, n):  # type: ignore[no-untyped-def]
    """Add to `sums` the gradients of the network's tensors, from those by its outputs, `top`, and fill those by its first `read_back` inputs."""
    w1t, w2t, w3t, wst = turned
    g1, gb1, g2, gb2, g3, gb3, gin = sums
    read, hidden = w1t.shape
    zero, second = np.float32(0), uintp(TILE)
    for o in range(hidden):
        p = uintp(o) * uintp(TILE)
        for k in range(n):
            g_h2[p + k] = w3t[o, 0] * top[k] + w3t[o, 1] * top[second + k]
            g_a2[p + k] = g_h2[p + k] if a2[p + k] > zero else zero
    product(g_h2, 0, w2t, 0, hidden, g_a2, hidden, n)
    for o in range(hidden):
        p = uintp(o) * uintp(TILE)
        for k in range(n):
            g_h1[p + k] = g_h2[p + k] if h1[p + k] > zero else zero
    outer(g3, top, 2, h2, hidden, n)
    outer(gin, top, 2, x, read, n)
    outer(g2, g_a2, hidden, h1, hidden, n)
    outer(g1, g_h1, hidden, x, read, n)
    _add_sums(gb3, top, n)
    _add_sums(gb1, g_h1, n)
    _add_sums(gb2, g_a2, n)
    for i in range(read_back):
        p = uintp(i) * uintp(TILE)
        for k in range(n):
            g_x[p + k] = wst[i, 0] * top[k] + wst[i, 1] * top[second + k]
    product(g_x, 0, w1t, 0, read_back, g_h1, hidden, n)


@compiled
def _add_sums(total, tiles, n):  # type: ignore[no-untyped-def]
    """total[o] += the sum of tile o."""
    for o in range(len(total)):
        p, part = uintp(o) * uintp(TILE), np.float32(0)
        for k in range(n):
            part += tiles[p + k]
        total[o] += part


@compiled
def _spread(g_x, top, g_seen, start, offsets, g_features, g_target, here, n):  # type: ignore[no-untyped-def]
    """Take the gradients by what was read, and by the latents, to where they were read from."""
    neighbours = len(offsets)
    for i in range(neighbours):
        p, source = uintp(i) * uintp(TILE), uintp(start + offsets[i])
        for k in range(n):
            g_seen[source + k] += g_x[p + k]
    for i in range(g_features.shape[0]):
        p, line = uintp(neighbours + i) * uintp(TILE), g_features[i]
        for k in range(n):
            line[here + k] = g_x[p + k]
    for k in range(n):
        g_target[here + k] = -top[k]


@compiled
def _rows(  # type: ignore[no-untyped-def]
    network, seen, starts, offsets, row_length, features, places, target, wanted, sums, g_seen, g_features, g_target
):
    """Bits of all latents of a grid, row after row; adds to `sums` and `g_seen` and fills the other gradients where they are wanted.

    Args:
        network, sums: the network's tensors, and the sums of their gradients.
        seen, g_seen: the padded neighbours, flat.
        starts: where each row of latents begins in `seen`.
        offsets: of the neighbours, in `seen`.
        row_length: latents of a row.
        features, g_features: `[F, n]`.
        places: `[P, n]`.
        target, g_target: `[n]`.
        wanted: with gradients.
    """
    w1, _, w2, _, w3, _, ws = network
    turned = (w1.T.copy(), w2.T.copy(), w3.T.copy(), ws.T.copy())
    hidden, read = w1.shape
    x, g_x = np.empty(read * TILE, np.float32), np.empty(read * TILE, np.float32)
    h1, a2, h2 = np.empty(hidden * TILE, np.float32), np.empty(hidden * TILE, np.float32), np.empty(hidden * TILE, np.float32)
    g_h1, g_a2, g_h2 = np.empty(hidden * TILE, np.float32), np.empty(hidden * TILE, np.float32), np.empty(hidden * TILE, np.float32)
    out, top = np.empty(3 * TILE, np.float32), np.empty(3 * TILE, np.float32)
    total = 0.0
    for row in range(len(starts)):
        for begin in range(0, row_length, TILE):
            n, here, start = uintp(min(TILE, row_length - begin)), uintp(row * row_length + begin), starts[row] + begin
            _read(x, seen, start, offsets, features, places, here, n)
            _forward(network, x, h1, a2, h2, out, n)
            for k in range(n):
                out[uintp(2 * TILE) + k] = target[here + k]
            total += _laplace(out, top, n)
            if wanted:
                _backward(turned, sums, x, h1, a2, h2, top, g_h2, g_a2, g_h1, g_x, len(offsets) + features.shape[0], n)
                _spread(g_x, top, g_seen, start, offsets, g_features, g_target, here, n)
    return total


class GridGradients(NamedTuple):
    """Gradients of the bits of one grid by what GridInputs holds of it."""

    seen: Float32Array
    features: Float32Array
    target: Float32Array


class CompiledNetwork:
    """Sums the bits of grid after grid, and the gradients of the network's tensors.

    Args:
        network: the tensors named in NETWORK of coding.context_model, float32.
        offsets: of the causal neighbours.
        wanted: with gradients.
    """

    def __init__(self, network: Sequence[Float32Array], offsets: Sequence[Sequence[int]], *, wanted: bool) -> None:
        self._network = tuple(np.ascontiguousarray(tensor) for tensor in network)
        self._offsets, self._wanted = np.array(offsets, np.int64), wanted
        self.sums: tuple[Float64Array, ...] = tuple(np.zeros(tensor.shape) for tensor in self._network)
        self.total = 0.0

    def add(
        self, seen: Float32Array, features: Float32Array, places: Float32Array | None, target: Float32Array, begin: Sequence[int]
    ) -> GridGradients | None:
        """The bits of one grid are added to `total`; arguments as in GridInputs."""
        reach = np.abs(self._offsets).max(0)
        strides = np.array([math.prod(seen.shape[axis + 1 :]) for axis in range(seen.ndim)], np.int64)
        rows = np.indices(target.shape[:-1]).reshape(target.ndim - 1, -1)
        starts = (np.array(begin) + reach) @ strides + rows.T @ strides[:-1]
        size = target.size
        found = GridGradients(*(np.zeros(a.shape if self._wanted else (0,) * a.ndim, np.float32) for a in (seen, features, target)))
        self.total += _rows(
            self._network,
            np.ascontiguousarray(seen).reshape(-1),
            starts,
            self._offsets @ strides,
            target.shape[-1],
            np.ascontiguousarray(features).reshape(-1, size),
            np.ascontiguousarray(places, np.float32).reshape(-1, size) if places is not None else np.zeros((0, size), np.float32),
            np.ascontiguousarray(target).reshape(-1),
            self._wanted,
            self.sums,
            found.seen.reshape(-1),
            found.features.reshape(len(found.features), size if self._wanted else 0),
            found.target.reshape(-1),
        )
        return found if self._wanted else None
