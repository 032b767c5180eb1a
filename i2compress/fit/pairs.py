"""Planes at twice their resolution, each sample repeated, and at half of it, each the mean of four.

On a CPU they are compiled, and many times as fast as torch's.
"""

from typing import Any

import numpy as np
import torch
from numba import uintp
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..arrays import Float32Array
from ..field.layer_kernel import suits
from ..field.tiles import compiled


def halved(planes: Tensor) -> Tensor:
    """`[C, ceil(H / 2), ceil(W / 2)]` of planes `[C, H, W]`: means of two by two samples, and of those that there are at the edges."""
    if suits((planes,)) and planes.shape[1] % 2 == planes.shape[2] % 2 == 0:
        found: Tensor = _Halved.apply(planes)  # type: ignore[no-untyped-call]
        return found
    return avg_pool2d(planes[None], 2, ceil_mode=True).squeeze(0)


def doubled(planes: Tensor, start: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """`[C, *shape]` of planes `[C, h, w]` float32 on a CPU: place (y, x) is sample ((y + start[0]) / 2, (x + start[1]) / 2), rounded down."""
    found: Tensor = _Doubled.apply(planes, start, shape)  # type: ignore[no-untyped-call]
    return found


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor) -> Tensor:
        return torch.from_numpy(_summed(planes.detach().contiguous().numpy(), (0, 0), (planes.shape[1] // 2, planes.shape[2] // 2), 0.25))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        small = grads[0].contiguous().numpy()
        return torch.from_numpy(_repeated(small, (0, 0), (2 * small.shape[1], 2 * small.shape[2]), 0.25))


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor, start: tuple[int, int], shape: tuple[int, int]) -> Tensor:
        ctx.start, ctx.small = start, planes.shape[1:]
        return torch.from_numpy(_repeated(planes.detach().contiguous().numpy(), start, shape, 1.0))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return torch.from_numpy(_summed(grads[0].contiguous().numpy(), ctx.start, ctx.small, 1.0)), None, None


def _repeated(planes: Float32Array, start: tuple[int, int], shape: tuple[int, int], factor: float) -> Float32Array:
    out = np.empty((len(planes), *shape), np.float32)
    _repeat(planes, *start, np.float32(factor), out)
    return out


def _summed(planes: Float32Array, start: tuple[int, int], shape: tuple[int, int], factor: float) -> Float32Array:
    out = np.empty((len(planes), *shape), np.float32)
    _sum(planes, *start, np.float32(factor), out)
    return out


@compiled
def _repeat(planes, top, left, factor, out):  # type: ignore[no-untyped-def]
    """out `[C, H, W]`: the factor times each of the planes' samples, twice as large from (top, left) on."""
    width = planes.shape[2]
    line, n, shift, two, one = np.empty(2 * width, np.float32), uintp(out.shape[2]), uintp(left), uintp(2), uintp(1)
    for c in range(len(out)):
        for y in range(out.shape[1]):
            row, target = planes[c, (y + top) >> 1], out[c, y]
            for k in range(uintp(width)):
                line[two * k] = line[two * k + one] = factor * row[k]
            for k in range(n):
                target[k] = line[k + shift]


@compiled
def _sum(planes, top, left, factor, out):  # type: ignore[no-untyped-def]
    """The adjoint: the factor times the sums of the samples that each place was repeated to."""
    height, n, shift, two, one = planes.shape[1], uintp(planes.shape[2]), uintp(left), uintp(2), uintp(1)
    line = np.empty(2 * out.shape[2], np.float32)
    for c in range(len(out)):
        for y in range(out.shape[1]):
            line[:] = 0
            for r in range(max(2 * y - top, 0), min(2 * y + 2 - top, height)):
                row = planes[c, r]
                for k in range(n):
                    line[k + shift] += row[k]
            target = out[c, y]
            for k in range(uintp(out.shape[2])):
                target[k] = factor * (line[two * k] + line[two * k + one])
