"""The pyramid field in torch: latent grids -> features -> injection -> implicit layer -> values. See field.spec for the equations."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arrays import FloatingArray
from .features_kernel import CompiledFeatures, Way
from .lasting import shares
from .layer_kernel import CompiledValues, suits
from .solver import ONE_STEP, Gradient
from .spatial import CONVOLUTIONS, FORMATS, pointwise, solve
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
        self._shares: dict[tuple[int, ...], Tensor] = {}  # of still grids, by where they are
        self.tensors = nn.ParameterDict({name: nn.Parameter(torch.tensor(values[name], dtype=torch.float32).contiguous()) for name in names})

    def features(self, latents: Sequence[Tensor], origins: Origins | None = None) -> Tensor:
        """h / step `[1, G, *grid]`, channel 0 from the last grid, of latents `[1, 1, *grid_g]`, finest first.

        The latents may be those of a window of the signal, each grid's beginning at its origin; None for the whole. Where a
        window ends inside the signal its outermost features are wrong: see fit.windows for the halo this needs.
        """
        total, levels, shifts = latents[-1], self.spec.grid_levels, self.spec.shifts
        if len(total) == 1 and self.spec.levels > 1 and suits((*latents, self.tensors["up"])):
            found: Tensor = CompiledFeatures.apply(levels, self._ways(origins), self._spread(latents, origins), self.tensors["up"], *latents)  # type: ignore[no-untyped-call]
            return found
        spread = self._spread(latents, origins)
        first = len(latents) - 1
        while first:
            below, level = first, levels[first - 1]
            first = levels.index(level)
            own = [_lasting(grid, weights) for grid, weights in zip(latents[first:below][::-1], spread[first:below][::-1], strict=True)]
            if level < levels[below]:
                doubled = [after > before for before, after in zip(shifts[first], shifts[below], strict=True)]
                start = (0,) * self.spec.axes
                if origins is not None:
                    start = tuple(o - (c << twice) for o, c, twice in zip(origins[first], origins[below], doubled, strict=True))
                total = _Upsample.apply(total, self.tensors["up"][level], own[0].shape[2:], start, doubled)  # type: ignore[no-untyped-call]
            total = _Join.apply(total, *own)  # type: ignore[no-untyped-call]
        return total

    def _spread(self, latents: Sequence[Tensor], origins: Origins | None) -> list[Tensor | None]:
        """What each frame of a still grid counts in each frame of its level, `[frames, stills]`; None for other grids."""
        found: list[Tensor | None] = []
        for number, (level, still) in enumerate(zip(self.spec.grid_levels, self.spec.stills, strict=True)):
            if not still:
                found.append(None)
                continue
            own, lasting = self.spec.grid_levels.index(level), self.spec.context.lasting[number]
            first = 0 if origins is None else origins[own][0] - (origins[number][0] << lasting)
            key = (first, latents[own].shape[2], lasting, latents[number].shape[2])
            if key not in self._shares:
                self._shares[key] = torch.from_numpy(shares(*key)).to(latents[number])
            found.append(self._shares[key])
        return found

    def _ways(self, origins: Origins | None) -> list[Way]:
        """By level, how the window of its grids comes of that of the next level."""
        first = [self.spec.grid_levels.index(level) for level in range(self.spec.levels)]
        axes, shifts = self.spec.axes, [self.spec.shifts[grid] for grid in first]
        begins = [(0,) * axes] * len(first) if origins is None else [tuple(origins[grid]) for grid in first]
        ways = []
        for (fine, shift), (coarse, further) in pairwise(zip(begins, shifts, strict=True)):
            twice = [after > before for before, after in zip(shift, further, strict=True)]
            start = [at - (before << double) for at, before, double in zip(fine, coarse, twice, strict=True)]
            ways.append(Way(start=(start[-3] if axes == 3 else 0, start[-2], start[-1]), doubled=(axes == 3 and twice[0], twice[-1])))
        return ways

    def forward(self, latents: Sequence[Tensor], origins: Origins | None = None) -> Tensor:
        """Phi `[1, D, *grid]` on the source grid (or a window of it, as in `features`), not clipped."""
        return self.values(self.features(latents, origins))

    def values(self, h: Tensor) -> Tensor:
        """Phi of what `features` gives."""
        t, step = self.tensors, self.spec.step
        if not self.spec.explicit and len(h) == 1 and self.gradient == ONE_STEP and suits((h, t["A"])):
            values: Tensor = CompiledValues.apply(  # type: ignore[no-untyped-call]
                self.iterations, h, t["B"] * step, t["c"], t["A"], t["K"], t["W"], t["S"] * step, t["b"]
            )
            return values
        u = pointwise(t["B"] * step, h, t["c"])
        skip = pointwise(t["S"] * step, h, t["b"])
        if self.spec.explicit:
            out = pointwise(t["W"], torch.relu(u)) + skip
            conv = CONVOLUTIONS[self.spec.axes]
            out = out + conv(out, t["R1"], padding=1)
            return out + conv(torch.relu(out), t["R2"], padding=1)
        z = solve(u, t["A"], t["K"], iterations=self.iterations, gradient=self.gradient)
        return pointwise(t["W"], z) + skip


def _lasting(grid: Tensor, spread: Tensor | None) -> Tensor:
    """A still grid `[1, 1, stills, H, W]` as the frames of its level; see PyramidField._spread."""
    return grid if spread is None else torch.einsum("fs,ncsyx->ncfyx", spread, grid)


class _Join(torch.autograd.Function):
    """Channels of tensors one after the other, channels last in memory (which torch.cat does not keep)."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        first = tensors[0]
        ctx.channels = [tensor.shape[1] for tensor in tensors]
        joined = first.new_empty(first.shape[0], sum(ctx.channels), *first.shape[2:]).to(memory_format=FORMATS[first.ndim - 2])
        torch._foreach_copy_(torch.split(joined, ctx.channels, 1), tensors)
        return joined

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        return torch.split(grads[0], ctx.channels, 1)


class _Upsample(torch.autograd.Function):
    """Every channel upsampled by two along the axes that are to be doubled, and cut to `shape` from `start` on; replicated edges.

    Its own gradient: autograd's of a depthwise convolution is several times slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, grids: Tensor, half: Tensor, shape: Sequence[int], start: Sequence[int], doubled: Sequence[bool]) -> Tensor:
        ctx.doubled, ctx.start, ctx.sizes, inputs = doubled, start, [], []
        taps = torch.cat([half, half.flip(0)])
        for axis in range(grids.ndim - 2):
            if not doubled[axis]:
                ctx.sizes.append(grids.shape[2 + axis])
                grids = grids.narrow(axis + 2, start[axis], shape[axis])
                inputs.append(taps)
                continue
            flat, along = _flat(grids, axis)
            padded = F.pad(flat, [0, 0, 2, 2] if along == 0 else [2, 2, 0, 0], mode="replicate").contiguous(memory_format=torch.channels_last)
            kernel, stride, padding = _kernel(taps, along, flat)
            wide = F.conv_transpose2d(padded, kernel, stride=stride, padding=padding, groups=flat.shape[1])
            ctx.sizes.append(wide.shape[2 + along])
            grids = _raised(wide.narrow(along + 2, start[axis], shape[axis]), axis, grids.shape)
            inputs.append(padded)
        ctx.save_for_backward(taps, *(inputs if ctx.needs_input_grad[1] else ()))
        return grids

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        taps, *inputs = ctx.saved_tensors
        grad = grads[0]
        grad_taps: Tensor | None = torch.zeros_like(taps) if inputs else None
        for axis in reversed(range(grad.ndim - 2)):
            flat, along = _flat(grad, axis)
            after = ctx.sizes[axis] - ctx.start[axis] - flat.shape[along + 2]
            if not ctx.doubled[axis]:
                cut = [side if a == along else 0 for a in (1, 0) for side in (ctx.start[axis], after)]
                grad = _raised(F.pad(flat, cut), axis, grad.shape) if any(cut) else grad
                continue
            if ctx.start[axis] or after:
                flat = F.pad(flat, [side if a == along else 0 for a in (1, 0) for side in (ctx.start[axis], after)])
            flat = flat.contiguous(memory_format=torch.channels_last)
            kernel, stride, padding = _kernel(taps, along, flat)
            channels = flat.shape[1]
            if grad_taps is not None:
                found = torch.ops.aten.convolution_backward(
                    flat, inputs[axis], kernel, None, stride, padding, [1, 1], True, [0, 0], channels, [False, True, False]
                )
                grad_taps = grad_taps + found[1].sum(0).flatten()
            wide = F.conv2d(flat, kernel, stride=stride, padding=padding, groups=channels)
            size = wide.shape[along + 2] - 4
            narrow = wide.narrow(along + 2, 2, size)
            for edge, outer in ((0, 0), (size - 1, size + 2)):
                narrow.select(along + 2, edge).add_(wide.narrow(along + 2, outer, 2).sum(along + 2))
            grad = _raised(narrow, axis, grad.shape)
        grad_half = None if grad_taps is None else grad_taps[: len(taps) // 2] + grad_taps[len(taps) // 2 :].flip(0)
        return grad, grad_half, None, None, None


def _flat(grids: Tensor, axis: int) -> tuple[Tensor, int]:
    """`[1, C, *grid]` of two or three axes as `[N, C, h, w]`, and which of h and w is the axis. A view where channels are last in memory.

    A filter along one axis needs no more, and torch's depthwise transposed convolution of three axes is wrong on a CPU: it
    reads memory that nobody has written (seen in torch 2.13).
    """
    if grids.ndim == 4:
        return grids, axis
    last = grids[0].movedim(0, -1)
    planes = last if axis else last.reshape(1, last.shape[0], -1, last.shape[-1])
    return planes.movedim(-1, 1), max(0, axis - 1)


def _raised(flat: Tensor, axis: int, like: Sequence[int]) -> Tensor:
    """What `_flat` made of grids of the sizes `like`, of which that axis has changed, as grids again."""
    if len(like) == 4:
        return flat
    last, sizes = flat.movedim(1, -1), list(like[2:])
    sizes[axis] = flat.shape[2 + max(0, axis - 1)]
    return last.reshape(1, *sizes, last.shape[-1]).movedim(-1, 1)


def _kernel(taps: Tensor, along: int, grids: Tensor) -> tuple[Tensor, list[int], list[int]]:
    """The depthwise kernel `[C, 1, h, w]` of `taps` along one of two axes, its stride and its padding."""
    sizes = [len(taps) if a == along else 1 for a in range(2)]
    kernel = taps.reshape(1, 1, *sizes).expand(grids.shape[1], 1, *sizes)
    return kernel, [2 if a == along else 1 for a in range(2)], [len(taps) - 1 if a == along else 0 for a in range(2)]
