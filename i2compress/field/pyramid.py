"""The pyramid field in torch: latent grids -> features -> injection -> implicit layer -> values. See field.spec for the equations."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arrays import FloatingArray
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
        self, spec: PyramidSpec, values: Mapping[str, FloatingArray], *, iterations: int | None = None, gradient: Gradient | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.iterations = spec.iterations if iterations is None else iterations
        self.gradient = ONE_STEP if gradient is None else gradient
        names = [name for name in spec.weight_shapes if not spec.is_context(name)]
        self.tensors = nn.ParameterDict({name: nn.Parameter(torch.tensor(values[name], dtype=torch.float32)) for name in names})

    def features(self, latents: Sequence[Tensor], origins: Origins | None = None) -> Tensor:
        """h / step `[1, G, *grid]`, channel 0 from the last grid, of latents `[1, 1, *grid_g]`, finest first.

        The latents may be those of a window of the signal, each grid's beginning at its origin; None for the whole. Where a
        window ends inside the signal its outermost features are wrong: see fit.windows for the halo this needs.
        """
        total, levels = latents[-1], self.spec.grid_levels
        for number in reversed(range(len(latents) - 1)):
            own, level = latents[number], levels[number]
            if level < levels[number + 1]:
                start = (0,) * self.spec.axes
                if origins is not None:
                    start = tuple(o - 2 * c for o, c in zip(origins[number], origins[number + 1], strict=True))
                total = _Upsample.apply(total, self.tensors["up"][level], own.shape[2:], start)  # type: ignore[no-untyped-call]
            total = _Join.apply(total, own)  # type: ignore[no-untyped-call]
        return total

    def forward(self, latents: Sequence[Tensor], origins: Origins | None = None) -> Tensor:
        """Phi `[1, D, *grid]` on the source grid (or a window of it, as in `features`), not clipped."""
        return self.values(self.features(latents, origins))

    def values(self, h: Tensor) -> Tensor:
        """Phi of what `features` gives."""
        t, step = self.tensors, self.spec.step
        u = pointwise(t["B"] * step, h, t["c"])
        skip = pointwise(t["S"] * step, h, t["b"])
        if self.spec.explicit:
            out = pointwise(t["W"], torch.relu(u)) + skip
            conv = CONVOLUTIONS[self.spec.axes]
            out = out + conv(out, t["R1"], padding=1)
            return out + conv(torch.relu(out), t["R2"], padding=1)
        z = solve(u, t["A"], t["K"], iterations=self.iterations, gradient=self.gradient)
        return pointwise(t["W"], z) + skip


class _Join(torch.autograd.Function):
    """Channels of two tensors one after the other, channels last in memory (which torch.cat does not keep)."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, last: Tensor) -> Tensor:
        channels = first.shape[1]
        ctx.channels = channels
        joined = first.new_empty(first.shape[0], channels + last.shape[1], *first.shape[2:]).to(memory_format=FORMATS[first.ndim - 2])
        joined[:, :channels], joined[:, channels:] = first, last
        return joined

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        return grads[0][:, : ctx.channels], grads[0][:, ctx.channels :]


class _Upsample(torch.autograd.Function):
    """Every channel upsampled by two along every axis and cut to `shape` from `start` on; replicated edges.

    Its own gradient: autograd's of a depthwise convolution is several times slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, grids: Tensor, half: Tensor, shape: Sequence[int], start: Sequence[int]) -> Tensor:
        ctx.start, ctx.sizes, inputs = start, [], []
        taps = torch.cat([half, half.flip(0)])
        axes = grids.ndim - 2
        for axis in range(axes):
            padded = F.pad(grids, [2 if a == axis else 0 for a in reversed(range(axes)) for _ in range(2)], mode="replicate")
            padded = padded.contiguous(memory_format=FORMATS[axes])
            kernel, stride, padding = _kernel(taps, axis, grids)
            grids = TRANSPOSED[axes](padded, kernel, stride=stride, padding=padding, groups=grids.shape[1])
            ctx.sizes.append(grids.shape[2 + axis])
            grids = grids.narrow(axis + 2, start[axis], shape[axis])
            inputs.append(padded)
        ctx.save_for_backward(taps, *(inputs if ctx.needs_input_grad[1] else ()))
        return grids

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        taps, *inputs = ctx.saved_tensors
        grad, axes = grads[0], grads[0].ndim - 2
        grad_taps: Tensor | None = torch.zeros_like(taps) if inputs else None
        for axis in reversed(range(axes)):
            after = ctx.sizes[axis] - ctx.start[axis] - grad.shape[axis + 2]
            if ctx.start[axis] or after:
                grad = F.pad(grad, [side if a == axis else 0 for a in reversed(range(axes)) for side in (ctx.start[axis], after)])
            grad = grad.contiguous(memory_format=FORMATS[axes])
            kernel, stride, padding = _kernel(taps, axis, grad)
            channels = grad.shape[1]
            if grad_taps is not None:
                found = torch.ops.aten.convolution_backward(
                    grad, inputs[axis], kernel, None, stride, padding, [1] * axes, True, [0] * axes, channels, [False, True, False]
                )
                grad_taps = grad_taps + found[1].sum(0).flatten()
            wide = CONVOLUTIONS[axes](grad, kernel, stride=stride, padding=padding, groups=channels)
            size = wide.shape[axis + 2] - 4
            grad = wide.narrow(axis + 2, 2, size)
            for edge, outer in ((0, 0), (size - 1, size + 2)):
                grad.select(axis + 2, edge).add_(wide.narrow(axis + 2, outer, 2).sum(axis + 2))
        grad_half = None if grad_taps is None else grad_taps[: len(taps) // 2] + grad_taps[len(taps) // 2 :].flip(0)
        return grad, grad_half, None, None


def _kernel(taps: Tensor, axis: int, grids: Tensor) -> tuple[Tensor, list[int], list[int]]:
    """The depthwise kernel `[C, 1, ...]` of `taps` along one axis, its stride and its padding."""
    axes = grids.ndim - 2
    sizes = [len(taps) if a == axis else 1 for a in range(axes)]
    kernel = taps.reshape(1, 1, *sizes).expand(grids.shape[1], *(-1,) * (axes + 1))
    return kernel, [2 if a == axis else 1 for a in range(axes)], [len(taps) - 1 if a == axis else 0 for a in range(axes)]
