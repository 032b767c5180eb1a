"""The pyramid field in torch: latent grids -> features -> injection -> implicit layer -> values. See field.spec for the equations."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .solver import ONE_STEP, Gradient
from .spatial import CONVOLUTIONS, FORMATS, TRANSPOSED, pointwise, solve
from .spec import PyramidSpec

Origins: TypeAlias = Sequence[Sequence[int]]


class PyramidField(nn.Module):
    """The field's tensors as parameters (float32), without the latents and without the context model.

    Args:
        spec: sizes.
        values: tensors by name (those of the context model are passed over).
        iterations: applications of the implicit layer; None for spec.iterations.
        gradient: how to differentiate through them.
    """

    def __init__(
        self, spec: PyramidSpec, values: Mapping[str, npt.NDArray[np.floating]], *, iterations: int | None = None, gradient: Gradient | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.iterations = spec.iterations if iterations is None else iterations
        self.gradient = ONE_STEP if gradient is None else gradient
        names = [name for name in spec.weight_shapes if not spec.is_context(name)]
        self.tensors = nn.ParameterDict({name: nn.Parameter(torch.tensor(values[name], dtype=torch.float32)) for name in names})

    def features(self, latents: Sequence[Tensor], origins: Origins | None = None) -> Tensor:
        """h / step `[1, F, *grid]`, the sums first, then from the coarsest level on, of latents `[1, 1, *grid_g]`, finest first.

        The latents may be those of a window of the picture, each grid's beginning at its origin; None for the whole. Where a
        window ends inside the picture its outermost features are wrong: see fit.windows for the halo this needs.
        """
        total: Tensor | None = None
        for level in reversed(range(self.spec.levels)):
            first = self.spec.grid_levels.index(level)
            own, *planes = (latents[number] for number in range(first, first + self.spec.grid_levels.count(level)))
            if total is None:
                total = torch.cat([*planes, own], 1)
                continue
            after = first + 1 + len(planes)
            start = None if origins is None else [o - 2 * c for o, c in zip(origins[first], origins[after], strict=True)]
            total = _upsample(total, self.tensors["up"][level], own.shape[2:], start)
            sums = total[:, : len(planes)] + torch.cat(planes, 1) if planes else total[:, :0]
            total = torch.cat([sums, total[:, len(planes) :], own], 1)
        assert total is not None
        return total.contiguous(memory_format=FORMATS[self.spec.axes])

    def forward(self, latents: Sequence[Tensor], origins: Origins | None = None) -> Tensor:
        """Phi `[1, D, *grid]` on the source grid (or a window of it, as in `features`), not clipped."""
        t, step = self.tensors, self.spec.step
        h = self.features(latents, origins)
        u = pointwise(t["B"] * step, h, t["c"])
        if self.spec.explicit:
            out = pointwise(t["W"], torch.relu(u), t["b"]) + pointwise(t["S"] * step, h)
            conv = CONVOLUTIONS[self.spec.axes]
            out = out + conv(out, t["R1"], padding=1)
            return out + conv(torch.relu(out), t["R2"], padding=1)
        z = solve(u, t["A"], t["K"], iterations=self.iterations, gradient=self.gradient)
        return pointwise(t["W"], z, t["b"]) + pointwise(t["S"] * step, h)


def _upsample(grids: Tensor, half: Tensor, shape: Sequence[int], start: Sequence[int] | None = None) -> Tensor:
    """Every channel of `grids` upsampled by two along every axis and cut to `shape` from `start` on; replicated edges."""
    taps = torch.cat([half, half.flip(0)])
    channels, axes = grids.shape[1], grids.ndim - 2
    grids = F.pad(grids, (2, 2) * axes, mode="replicate")
    for axis in range(axes):
        kernel = taps.reshape(1, 1, *(len(taps) if a == axis else 1 for a in range(axes))).expand(channels, *(-1,) * (axes + 1))
        stride = [2 if a == axis else 1 for a in range(axes)]
        padding = [len(taps) - 1 if a == axis else 0 for a in range(axes)]
        grids = TRANSPOSED[axes](grids, kernel, stride=stride, padding=padding, groups=channels)
    for axis, size in enumerate(shape):
        grids = grids.narrow(axis + 2, 0 if start is None else start[axis], size)
    return grids
