"""The two layers that turn features into values: the implicit one, iterated, and its explicit twin."""

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..arrays import Float32Array
from ..field.spec import PyramidSpec

Core: TypeAlias = tuple[slice, slice, slice]  # the part of a window whose values are wanted

ROWS = 4  # rows that one product with a banded matrix makes
_SINGLE_THREAD = 2**18  # OpenBLAS keeps products of at most this many multiplications on the caller's thread


class Layer(Protocol):
    """What turns the features of a window into values.

    The samples outside the window count as zero, as those outside the grid do; `halo` samples around the wanted
    ones keep that from mattering.
    """

    @property
    def halo(self) -> int:
        """Samples around the wanted ones that the window must hold where the grid has them."""

    def values(self, h: Float32Array, core: Core) -> Float32Array:
        """Values `[t, h, w, D]` of the core from features `[L, T, H, W]` of the window."""


class Pointwise:
    """Injection and readout: what the two layers share."""

    def __init__(self, weights: dict[str, Float32Array]) -> None:
        self._inject, self._bias = weights["B"], weights["c"]
        self._readout, self._skip, self._offset = weights["W"], weights["S"], weights["b"]

    def inject(self, h: Float32Array) -> Float32Array:
        """u = B h + c, `[C, T, H, W]`, from `[L, T, H, W]`."""
        u = np.empty((len(self._inject), *h.shape[1:]), np.float32)
        mix(self._inject, h, u)
        u += self._bias[:, None, None, None]
        return u

    def read(self, z: Float32Array, h: Float32Array) -> Float32Array:
        """Phi = W z + S h + b, `[T, H, W, D]`, from `[C, T, H, W]` and `[L, T, H, W]`."""
        phi, skip = (np.empty((*h.shape[1:], len(self._offset)), np.float32) for _ in range(2))
        mix(self._readout, z, np.moveaxis(phi, -1, 0))
        mix(self._skip, h, np.moveaxis(skip, -1, 0))
        phi += skip
        phi += self._offset
        return phi


def mix(matrix: Float32Array, x: Float32Array, out: Float32Array) -> None:
    """out = matrix x over the first axis, `[M, N]` times `[N, T, H, W]`, in products too small for OpenBLAS to share out."""
    step = max(16, _SINGLE_THREAD // matrix.size)
    for start in range(0, x.shape[-1], step):
        part = np.s_[..., start : start + step]
        np.matmul(matrix, np.moveaxis(x[part], 0, -2), out=np.moveaxis(out[part], 0, -2))


def relu(x: Float32Array, out: Float32Array) -> None:
    """out = max(x, 0). clip takes half the time of maximum with a scalar."""
    np.clip(x, np.float32(0), np.float32(np.inf), out=out)


class ImplicitLayer:
    """z <- relu(A z + K * z + u), `iterations` times counting the first from zero."""

    def __init__(self, weights: dict[str, Float32Array], iterations: int) -> None:
        self._pointwise = Pointwise(weights)
        self._mixing = weights["A"]
        kernel = weights["K"]
        kernel = kernel[:, None] if kernel.ndim == 3 else kernel
        self._depth = kernel.shape[1]
        self._bands = _row_bands(kernel)
        self._iterations = iterations

    @property
    def halo(self) -> int:
        """One sample for each application after the first, which has no neighbours yet."""
        return self._iterations - 1

    def values(self, h: Float32Array, core: Core) -> Float32Array:
        """Values of the core after the last application."""
        z = deque(self._iterate(h, core), maxlen=1).pop()
        return self._pointwise.read(z[(slice(None), *core)], h[(slice(None), *core)])

    def trajectory(self, h: Float32Array, core: Core) -> Float32Array:
        """Values of the core after every application, `[iterations, t, h, w, D]`."""
        part = (slice(None), *core)
        return np.stack([self._pointwise.read(z[part], h[part]) for z in self._iterate(h, core)])

    def _iterate(self, h: Float32Array, core: Core) -> Iterator[Float32Array]:
        """z `[C, T, H, W]` after each application, right on the core and as far around it as the rest needs; reused."""
        u = self._pointwise.inject(h)
        width, depth, height, columns = u.shape
        rim = self._depth // 2
        # Rows beyond the window are read by the last group: they must be zero, for zero times NaN is not.
        z = np.zeros((width, depth + 2 * rim, height + 2 + ROWS, columns + 2), np.float32)
        inner = z[:, rim : rim + depth, 1 : height + 1, 1:-1]
        relu(u, inner)
        yield inner
        scratch = np.empty((2, width, depth, -(-height // ROWS) * ROWS, columns), np.float32)
        for left in reversed(range(self._iterations - 1)):
            rows = slice(max(0, core[1].start - left), min(height, core[1].stop + left))
            self._apply(z, inner, u, rows, scratch)
            yield inner

    def _apply(self, z: Float32Array, inner: Float32Array, u: Float32Array, rows: slice, scratch: Float32Array) -> None:
        """One application to some rows of the window, in place."""
        count = rows.stop - rows.start
        groups = -(-count // ROWS)
        total, part = scratch[:, :, :, : groups * ROWS]
        mix(self._mixing, inner[:, :, rows], total[:, :, :count])
        total[:, :, :count] += u[:, :, rows]
        depth, columns = total.shape[1], total.shape[3]
        split = _groups(part, groups, ROWS)
        for plane, shift in itertools.product(range(self._depth), range(3)):
            near = z[:, plane : plane + depth, rows.start :, shift : shift + columns]
            np.matmul(self._bands[plane, shift], _groups(near, groups, ROWS + 2), out=split)
            total[:, :, :count] += part[:, :, :count]
        relu(total[:, :, :count], inner[:, :, rows])


def _groups(x: Float32Array, groups: int, length: int) -> Float32Array:
    """Groups of `length` rows, one every ROWS rows: `[C, T, groups, length, W]`."""
    channels, depth, _, columns = x.shape
    channel, plane, row, column = x.strides
    return as_strided(x, (channels, depth, groups, length, columns), (channel, plane, ROWS * row, row, column))


def _row_bands(kernel: Float32Array) -> Float32Array:
    """Depthwise kernels `[C, P, 3, 3]` as matrices that make ROWS rows from ROWS + 2: `[P, 3, C, 1, 1, ROWS, ROWS + 2]`."""
    channels, planes = kernel.shape[:2]
    bands = np.zeros((planes, 3, channels, 1, 1, ROWS, ROWS + 2), np.float32)
    for row, tap in itertools.product(range(ROWS), range(3)):
        bands[..., 0, 0, row, row + tap] = kernel[:, :, tap].transpose(1, 2, 0)
    return bands


class ExplicitLayer:
    """z = relu(u), then two residual 3x3 convolutions of the values."""

    halo = 2

    def __init__(self, weights: dict[str, Float32Array]) -> None:
        self._pointwise = Pointwise(weights)
        self._residuals = [r[:, :, None] if r.ndim == 4 else r for r in (weights["R1"], weights["R2"])]

    def values(self, h: Float32Array, core: Core) -> Float32Array:
        """Values of the core."""
        phi = np.moveaxis(self._pointwise.read(np.maximum(self._pointwise.inject(h), 0), h), -1, 0)
        phi = phi + convolve(phi, self._residuals[0])
        phi = phi + convolve(np.maximum(phi, 0), self._residuals[1])
        return np.moveaxis(phi[(slice(None), *core)], 0, -1)


def convolve(x: Float32Array, kernel: Float32Array) -> Float32Array:
    """Cross-correlation `[D, T, H, W]` with `[D, D, P, 3, 3]`, zero outside."""
    taps = kernel.shape[2:]
    padded = np.pad(x, [(0, 0), *((side // 2, side // 2) for side in taps)])
    out, part = np.zeros(x.shape, np.float32), np.empty(x.shape, np.float32)
    for tap in np.ndindex(taps):
        shifted = padded[(slice(None), *(slice(t, t + size) for t, size in zip(tap, x.shape[1:], strict=True)))]
        mix(np.ascontiguousarray(kernel[(slice(None), slice(None), *tap)]), shifted, part)
        out += part
    return out


def make_layer(spec: PyramidSpec, weights: dict[str, Float32Array]) -> Layer:
    """The layer of a field."""
    return ExplicitLayer(weights) if spec.explicit else ImplicitLayer(weights, spec.iterations)
