"""The pyramid field in torch: latent grids -> features -> injection -> implicit layer -> values. See field.spec for the equations."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .solver import ONE_STEP, Gradient
from .spatial import CONVOLUTIONS, FORMATS, TRANSPOSED, pointwise, solve
from .spec import PyramidSpec


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

    def features(self, latents: Sequence[Tensor]) -> Tensor:
        """h / step `[1, L, *grid]`, channel 0 from the coarsest level, of latents `[1, 1, *grid_l]`, finest first.

        The latents may be those of a window of the picture, as long as grid_l = ceil(grid / 2**l).
        """
        total = latents[-1]
        for level in reversed(range(len(latents) - 1)):
            total = torch.cat([_upsample(total, self.tensors["up"][level], latents[level].shape[2:]), latents[level]], 1)
        return total.contiguous(memory_format=FORMATS[self.spec.axes])

    def forward(self, latents: Sequence[Tensor]) -> Tensor:
        """Phi `[1, D, *grid]` on the source grid (or a window of it), not clipped."""
        t, step = self.tensors, self.spec.step
        h = self.features(latents)
        u = pointwise(t["B"] * step, h, t["c"])
        if self.spec.explicit:
            out = pointwise(t["W"], torch.relu(u), t["b"]) + pointwise(t["S"] * step, h)
            conv = CONVOLUTIONS[self.spec.axes]
            out = out + conv(out, t["R1"], padding=1)
            return out + conv(torch.relu(out), t["R2"], padding=1)
        z = solve(u, t["A"], t["K"], iterations=self.iterations, gradient=self.gradient)
        return pointwise(t["W"], z, t["b"]) + pointwise(t["S"] * step, h)


def _upsample(grids: Tensor, half: Tensor, shape: Sequence[int]) -> Tensor:
    """Every channel of `grids` upsampled by two along every axis and cropped to `shape`; replicated edges."""
    taps = torch.cat([half, half.flip(0)])
    channels, axes = grids.shape[1], grids.ndim - 2
    grids = F.pad(grids, (2, 2) * axes, mode="replicate")
    for axis in range(axes):
        kernel = taps.reshape(1, 1, *(len(taps) if a == axis else 1 for a in range(axes))).expand(channels, *(-1,) * (axes + 1))
        stride = [2 if a == axis else 1 for a in range(axes)]
        padding = [len(taps) - 1 if a == axis else 0 for a in range(axes)]
        grids = TRANSPOSED[axes](grids, kernel, stride=stride, padding=padding, groups=channels)
    for axis, size in enumerate(shape, 2):
        grids = grids.narrow(axis, 0, size)
    return grids
