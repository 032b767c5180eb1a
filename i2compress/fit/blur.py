"""Gaussian blurs of pictures for the perceptual measures: separable, and quick in both directions of the graph."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import uintp
from torch import Tensor
from torch.nn.functional import conv2d, pad

from ..arrays import Float32Array
from ..field.layer_kernel import suits
from ..field.tiles import compiled, in_parts

SIGMA = 1.5
RADIUS = 5


def _taps() -> list[float]:
    places = torch.arange(RADIUS + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (places / SIGMA).square())
    return [float(weight) for weight in weights / (2 * weights.sum() - weights[0])]


TAPS = _taps()  # from the middle outwards


class _Blur(torch.autograd.Function):
    """With zeros or with its mirror image around it, a symmetric kernel is a symmetric matrix: its gradient is the same blur."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, mirrored: tuple[bool, bool]) -> Tensor:
        ctx.mirrored = mirrored
        if suits((planes,)):
            return torch.from_numpy(_compiled(planes.detach().contiguous().numpy(), mirrored))
        flat = planes.reshape(1, -1, *planes.shape[-2:])
        for axis, mirror in zip((-2, -1), mirrored, strict=True):
            flat = _along(flat, axis, mirror)
        return flat.view(planes.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Blur.apply(gradient, ctx.mirrored), None  # type: ignore[no-untyped-call]


def blur(planes: Tensor, mirrored: tuple[bool, bool] = (True, True)) -> Tensor:
    """`planes` `[..., H, W]` under a Gaussian of SIGMA samples, cut after RADIUS.

    Args:
        planes: sides of at least RADIUS.
        mirrored: down and across: whether the picture goes on as its mirror image beyond its edges, else as zeros.
    """
    found: Tensor = _Blur.apply(planes, mirrored)  # type: ignore[no-untyped-call]
    return found


def _along(planes: Tensor, axis: int, mirror: bool) -> Tensor:
    """Planes `[1, P, H, W]` under the filter along one of the last two axes: a convolution of each by itself."""
    count, size = planes.shape[1], planes.shape[axis]
    if mirror:
        wide = planes.index_select(axis, _mirrored(size, planes.device))
    else:
        wide = pad(planes, [RADIUS, RADIUS] if axis == -1 else [0, 0, RADIUS, RADIUS])
    return conv2d(wide, _filters(count, axis, planes.dtype, planes.device), groups=count)


@lru_cache(maxsize=4096)
def _filters(count: int, axis: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The same filter for so many planes, `[count, 1, h, w]`."""
    sides = (1, 2 * RADIUS + 1) if axis == -1 else (2 * RADIUS + 1, 1)
    return torch.tensor([*TAPS[:0:-1], *TAPS], dtype=dtype, device=device).view(1, 1, *sides).repeat(count, 1, 1, 1)


@lru_cache(maxsize=4096)
def _mirrored(size: int, device: torch.device) -> Tensor:
    """The places that a row of so many samples shows with its mirror images beyond both ends: place -1 is place 0 again."""
    ends = reversed(range(RADIUS)), reversed(range(size - RADIUS, size))
    return torch.tensor([*ends[0], *range(size), *ends[1]], device=device)


def _compiled(planes: Float32Array, mirrored: tuple[bool, bool]) -> Float32Array:
    """The same on a CPU."""
    flat, out = planes.reshape(-1, *planes.shape[-2:]), np.empty_like(planes)
    target, taps = out.reshape(flat.shape), np.array(TAPS, np.float32)
    in_parts(len(flat) * flat.shape[1], flat.size, lambda _, first, last: _rows(flat, taps, target, first, last, *mirrored))
    return out


@compiled
def _rows(planes, taps, out, first, last, down, across):  # type: ignore[no-untyped-def]
    """Rows first..last - 1 of all planes `[P, H, W]`: first rows are added up, then their samples."""
    height, width = planes.shape[1:]
    n, line = uintp(width), np.zeros(width + 2 * RADIUS, np.float32)
    zeros = np.zeros(width, np.float32)
    for r in range(first, last):
        plane, y = planes[r // height], r % height
        row, middle = plane[y], taps[0]
        for k in range(n):
            line[k + uintp(RADIUS)] = middle * row[k]
        for distance in range(1, RADIUS + 1):
            above, below, tap = y - distance, y + distance, taps[distance]
            # What is beyond an edge is mirrored about it: row -1 is row 0 again.
            a = plane[above] if above >= 0 else plane[-1 - above] if down else zeros
            b = plane[below] if below < height else plane[2 * height - 1 - below] if down else zeros
            for k in range(n):
                line[k + uintp(RADIUS)] += tap * (a[k] + b[k])
        if across:
            for k in range(RADIUS):
                line[k], line[width + RADIUS + k] = line[2 * RADIUS - 1 - k], line[width + RADIUS - 1 - k]
        _along_row(line, taps, out[r // height, y], n)


@compiled
def _along_row(line, taps, out, n):  # type: ignore[no-untyped-def]
    t0, t1, t2, t3, t4, t5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    one, two, three, four, five = uintp(1), uintp(2), uintp(3), uintp(4), uintp(5)
    for k in range(n):
        m = k + five
        near = t0 * line[m] + t1 * (line[m - one] + line[m + one]) + t2 * (line[m - two] + line[m + two])
        far = t3 * (line[m - three] + line[m + three]) + t4 * (line[m - four] + line[m + four]) + t5 * (line[m - five] + line[m + five])
        out[k] = near + far
