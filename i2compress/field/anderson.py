"""Anderson acceleration (Anderson 1965; type II, Walker and Ni 2011, https://doi.org/10.1137/10078356X), each point with a history of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UsageError
from .points import Update


@dataclass(frozen=True, kw_only=True)
class Anderson:
    """z <- z + beta g - sum_j gamma_j (dz_j + beta dg_j) with gamma = argmin |g - sum_j gamma_j dg_j|_2.

    g = F(z) - z, and dz_j, dg_j are the last `memory` differences of z and g. Memory is 2 * memory + 2 times that of z.

    Args:
        memory: differences kept, at least 1.
        damping: beta, in (0, 1].

    Raises:
        UsageError: a number out of range.
    """

    memory: int = 5
    damping: float = 1.0

    def __post_init__(self) -> None:
        if self.memory < 1 or not 0 < self.damping <= 1:
            raise UsageError(f"anderson has memory {self.memory} and damping {self.damping}; expected at least 1, and in (0, 1]")

    def begin(self) -> Update:
        """See `field.points.Method`."""
        return _Run(self)


class _Run:
    def __init__(self, method: Anderson) -> None:
        self.method = method
        self.last: tuple[Tensor, Tensor] | None = None
        self.differences: list[tuple[Tensor, Tensor]] = []

    def __call__(self, z: Tensor, value: Tensor) -> Tensor:
        g, beta = value - z, self.method.damping
        if self.last is not None:
            self.differences = [*self.differences, (z - self.last[0], g - self.last[1])][-self.method.memory :]
        self.last = z, g
        new = z + beta * g
        if self.differences:
            gamma = _least_squares([dg for _, dg in self.differences], g)
            for j, (dz, dg) in enumerate(self.differences):
                new = new - gamma[:, j, None] * (dz + beta * dg)
        return new


def _least_squares(columns: list[Tensor], target: Tensor) -> Tensor:
    """gamma `[N, m]` of least |target - sum_j gamma_j columns_j|_2 at each point, by the normal equations.

    The ridge, a few units in the last place of the trace, keeps them regular where columns are dependent or zero.
    """
    size = len(columns)
    gram = torch.stack([torch.stack([(a * b).sum(-1) for b in columns], -1) for a in columns], -2)
    moments = torch.stack([(a * target).sum(-1) for a in columns], -1)
    numbers = torch.finfo(target.dtype)
    ridge = 10 * numbers.eps * gram.diagonal(dim1=-2, dim2=-1).sum(-1) + numbers.tiny
    return _solve(gram + ridge[:, None, None] * torch.eye(size, dtype=gram.dtype, device=gram.device), moments)


def _solve(matrix: Tensor, target: Tensor) -> Tensor:
    """x `[N, m]` with matrix x = target, for positive definite `[N, m, m]`, by Gauss-Jordan elimination.

    Elementwise over the points, which a batched library routine need not be: its result may depend on N.
    """
    rows = torch.cat([matrix, target[..., None]], -1)
    for k in range(target.shape[-1]):
        pivot = rows[:, k] / rows[:, k, k, None]
        rows = rows - rows[:, :, k, None] * pivot[:, None]
        rows[:, k] = pivot
    return rows[..., -1]
