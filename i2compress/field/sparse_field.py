"""The sparse pyramid field in torch: latents of cells -> features of cells -> values at points. See field.sparse_spec for the equations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arrays import Float32Array, FloatingArray, IndexArray
from ..coding.lattice import PARENT_WEIGHTS, Lattice, spline_taps
from .solver import ONE_STEP, Gradient, fixed_point
from .sparse_spec import SparseSpec


class Gather:
    """A linear map of rows: row i of the result is sum_k weights[i, k] * x[rows[i, k]]; and its transpose, for the gradient.

    Args:
        rows: `[N, K]`, each below `count`.
        weights: `[N, K]`.
        count: rows of x.
        device: of all tensors.
    """

    def __init__(self, rows: IndexArray, weights: Float32Array, count: int, *, device: torch.device) -> None:
        size, taps = rows.shape
        flat = rows.ravel()
        order = np.argsort(flat, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=count))])
        self._forward = _bags(flat, np.arange(0, size * taps + 1, taps), weights.ravel(), device)
        self._backward = _bags(order // taps, starts, weights.ravel()[order], device)

    def __call__(self, x: Tensor) -> Tensor:
        """`[N, C]` of x `[count, C]`, differentiable by x."""
        result: Tensor = _Gathered.apply(x, self._forward, self._backward)  # type: ignore[no-untyped-call]
        return result


Bags = tuple[Tensor, Tensor, Tensor]


def _bags(rows: IndexArray, starts: IndexArray, weights: Float32Array, device: torch.device) -> Bags:
    return (
        torch.from_numpy(rows.astype(np.int32)).to(device),
        torch.from_numpy(starts.astype(np.int32)).to(device),
        torch.from_numpy(weights.astype(np.float32)).to(device),
    )


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Bags, backward: Bags) -> Tensor:
        ctx.bags = backward
        return _summed(x, forward)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _summed(grads[0].contiguous(), ctx.bags), None, None


def _summed(x: Tensor, bags: Bags) -> Tensor:
    rows, starts, weights = bags
    total: Tensor = F.embedding_bag(rows, x, starts, mode="sum", per_sample_weights=weights, include_last_offset=True)
    return total


def parent_gathers(lattice: Lattice, *, device: torch.device) -> list[Gather]:
    """From each level's parents to its cells, finest first."""
    weights = PARENT_WEIGHTS.astype(np.float32)
    return [
        Gather(rows.T.copy(), np.broadcast_to(weights, rows.T.shape).copy(), above.count, device=device)
        for rows, above in zip(lattice.parents, lattice.levels[1:], strict=True)
    ]


def point_gather(lattice: Lattice, points: Float32Array, *, device: torch.device) -> Gather:
    """From the cells of level 0 to points `[M, 3]`, in cells."""
    finest = lattice.levels[0]
    return Gather(*spline_taps(finest, points), finest.count, device=device)


class SparseField(nn.Module):
    """The field's tensors as parameters (float32), without the latents and without the context model.

    Args:
        spec: sizes.
        values: tensors by name (those of the context model are passed over).
        iterations: applications of the implicit layer.
        gradient: how to differentiate through them.
    """

    def __init__(self, spec: SparseSpec, values: Mapping[str, FloatingArray], *, iterations: int, gradient: Gradient = ONE_STEP) -> None:
        super().__init__()
        self.spec, self.iterations, self.gradient = spec, iterations, gradient
        names = [name for name in spec.weight_shapes if not spec.is_context(name)]
        self.tensors = nn.ParameterDict({name: nn.Parameter(torch.tensor(values[name], dtype=torch.float32)) for name in names})

    def features(self, latents: Sequence[Tensor], parents: Sequence[Gather]) -> Tensor:
        """h / step `[N, L]` of the cells of level 0, channel 0 from the last level, of latents `[N_l]`, finest first."""
        total = latents[-1][:, None]
        for own, gather in zip(reversed(latents[:-1]), reversed(parents), strict=True):
            total = torch.cat([gather(total), own[:, None]], 1)
        return total

    def values(self, h: Tensor) -> Tensor:
        """Phi `[M, D]` of features / step `[M, L]` at points."""
        t, step = self.tensors, self.spec.step
        u = torch.addmm(t["c"], h, (t["B"] * step).t())
        skip = torch.addmm(t["b"], h, (t["S"] * step).t())
        z = torch.relu(u)
        if not self.spec.explicit:
            z = fixed_point(lambda z: torch.relu(torch.addmm(u, z, t["A"].t())), z, iterations=self.iterations - 1, gradient=self.gradient)
        return torch.addmm(skip, z, t["W"].t())
