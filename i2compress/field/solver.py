"""Fixed points z = F(z) by Picard iteration, and how gradients pass through them.

The solver takes a function and knows no network. Failure is data: a `Solution` says how many iterations were made, what
residual is left and whether the tolerance was met; `throw=True` turns a failure into a ConvergenceError.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConvergenceError, UsageError

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class PointReport:
    """What a solver that treats points apart found at each of N points.

    Args:
        residual: max over the channels of |F(z) - z| at the application that gave the point's solution, `[N]`; infinite
            where no application gave a finite one.
        iterations: applications until the point met its tolerance, or all that were made, `[N]` int64.
        converged: the tolerance was met, `[N]` bool.
    """

    residual: Tensor
    iterations: Tensor
    converged: Tensor

    @property
    def failed(self) -> int:
        """Points that did not meet the tolerance."""
        return int((~self.converged).sum())


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What a solver found.

    Args:
        z: the last iterate; from a solver that treats points apart, each point's best.
        iterations: applications of F made.
        residual: largest absolute change of the last application, max |F(z) - z|; over the points' own where there is a report.
        converged: True where a tolerance was asked for and met (at every point); without one, where the residual is finite.
        points: how each point fared, from a solver that treats points apart.
    """

    z: Tensor
    iterations: int
    residual: float
    converged: bool
    points: PointReport | None = None


@dataclass(frozen=True)
class Gradient:
    """How to differentiate through a fixed point.

    With v = dL/dz* and J = dF/dz at z*, the exact gradient is v (I - J)^-1 dF/dtheta (implicit function theorem). `terms`
    = m keeps m terms of its Neumann series, v (I + J + ... + J^(m-1)): m = 1 is the one-step gradient, larger m the
    phantom gradient of m steps (Geng et al. 2021, https://arxiv.org/abs/2111.05177). None keeps the graph of every iteration.
    """

    terms: int | None = None

    def __post_init__(self) -> None:
        if self.terms is not None and self.terms < 1:
            raise UsageError(f"gradient has {self.terms} terms; expected at least 1, or None for the full graph")


FULL = Gradient(None)
ONE_STEP = Gradient(1)


def phantom(steps: int) -> Gradient:
    """The gradient through the last `steps` applications only."""
    return Gradient(steps)


def picard(step: Step, z: Tensor, *, iterations: int, tolerance: float | None = None, throw: bool = False) -> Solution:
    """Iterate z <- step(z).

    Args:
        step: F.
        z: where to start, any shape.
        iterations: how many applications; the most, where there is a tolerance.
        tolerance: stop once max |F(z) - z| is at most this.
        throw: raise instead of returning a solution that did not converge.

    Raises:
        ConvergenceError: not converged and `throw`.
    """
    residual = float("inf")
    made = 0
    while made < iterations:
        new = step(z)
        made += 1
        # The residual costs a pass over z: without a tolerance only the last one is wanted.
        if tolerance is not None or made == iterations:
            residual = float((new - z).detach().abs().max())
        z = new
        if tolerance is not None and residual <= tolerance:
            break
    converged = residual <= (tolerance if tolerance is not None else torch.finfo(z.dtype).max)
    if throw and not converged:
        raise ConvergenceError(f"fixed point has residual {residual:.3g} after {made} iterations; expected {tolerance}: allow more iterations")
    return Solution(z=z, iterations=made, residual=residual, converged=converged)


def fixed_point(step: Step, z: Tensor, *, iterations: int, gradient: Gradient = ONE_STEP) -> Tensor:
    """`iterations` applications of `step` from `z`, differentiable as `gradient` says.

    Only the last `gradient.terms` applications are recorded, so memory does not grow with the iterations.
    """
    recorded = iterations if gradient.terms is None else min(gradient.terms, iterations)
    with torch.no_grad():
        for _ in range(iterations - recorded):
            z = step(z)
    for _ in range(recorded):
        z = step(z)
    return z
