"""Broyden's good method (Broyden 1965, https://doi.org/10.1090/S0025-5718-1965-0198670-6), each point with an inverse Jacobian of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UsageError
from .points import Update


@dataclass(frozen=True, kw_only=True)
class Broyden:
    """z <- z - H g with g = F(z) - z and H, nearly the inverse of dg/dz, from -1 (Picard) by rank-one updates:

        H <- H + (dz - H dg) (dz^T H) / (dz^T H dg)

    H is kept as its factors, 2 * memory times the memory of z; when they are full the method starts again from H = -1.

    Args:
        memory: updates kept, at least 1.

    Raises:
        UsageError: memory out of range.
    """

    memory: int = 12

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise UsageError(f"broyden has memory {self.memory}; expected at least 1")

    def begin(self) -> Update:
        """See `field.points.Method`."""
        return _Run(self.memory)


class _Run:
    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.last: tuple[Tensor, Tensor] | None = None
        self.factors: list[tuple[Tensor, Tensor]] = []  # H = -1 + sum u w^T

    def __call__(self, z: Tensor, value: Tensor) -> Tensor:
        g = value - z
        if self.last is not None:
            # All points began together, so that all start again together: no point's path depends on another's.
            if len(self.factors) == self.memory:
                self.factors = []
            noise = torch.finfo(z.dtype).eps * (_norm(z) + _norm(value))
            self.factors.append(self._factor(z - self.last[0], g - self.last[1], noise))
        self.last = z, g
        return z - _apply(self.factors, g)

    def _factor(self, dz: Tensor, dg: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The update's u and w; u = 0, no update, where the denominator is lost in the rounding errors of dg, about `noise` `[N, 1]`."""
        w = _apply([(b, a) for a, b in self.factors], dz)
        denominator = (w * dg).sum(-1, keepdim=True)
        sound = denominator.abs() > 10 * noise * _norm(w)
        u = (dz - _apply(self.factors, dg)) / torch.where(sound, denominator, 1.0)
        return torch.where(sound, u, 0.0), w


def _norm(vector: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    return norm


def _apply(factors: list[tuple[Tensor, Tensor]], vector: Tensor) -> Tensor:
    """(-1 + sum u w^T) times `vector` `[N, C]`, point by point."""
    result = -vector
    for u, w in factors:
        result = result + u * (w * vector).sum(-1, keepdim=True)
    return result
