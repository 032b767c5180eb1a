"""Fixed points z_i = F(z)_i solved point by point: what stops a point, and the loop that every method shares.

Each point of `[N, C]` has its own method's state, its own stopping test and its own best iterate, and is left alone once
it has met its tolerance. So what a point gets depends on no other point of the batch: a tile equals the same part of the
whole as long as F itself treats the points apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import ConvergenceError, UsageError
from .solver import PointReport, Solution, Step

Update = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a point is done: max |F(z) - z| <= absolute + relative * max |F(z)|, both over its channels.

    Args:
        absolute: at least 0.
        relative: at least 0. With both 0 a point is done only where F(z) = z to the last bit.
        iterations: the most applications of F, at least 0; 0 leaves the start as it is.

    Raises:
        UsageError: a number out of range.
    """

    absolute: float = 1e-6
    relative: float = 1e-4
    iterations: int = 100

    def __post_init__(self) -> None:
        for name, value in (("absolute", self.absolute), ("relative", self.relative), ("iterations", self.iterations)):
            if not 0 <= value < float("inf"):
                raise UsageError(f"stop has {name} {value}; expected a number from 0")


class Method(Protocol):
    """A way to come nearer to the fixed point: hyper-parameters only, so one instance serves any number of solves."""

    def begin(self) -> Update:
        """A fresh run: a function of z and F(z), `[N, C]` each, that returns the next z. It owns the run's history."""
        ...


@dataclass(frozen=True, kw_only=True)
class Picard:
    """z <- z + damping (F(z) - z). Converges at rate rho where F contracts by rho (Banach).

    Raises:
        UsageError: damping outside (0, 1].
    """

    damping: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.damping <= 1:
            raise UsageError(f"picard has damping {self.damping}; expected more than 0, at most 1")

    def begin(self) -> Update:
        """See `Method.begin`."""
        if self.damping == 1.0:
            return lambda z, value: value
        return lambda z, value: z + self.damping * (value - z)


PICARD = Picard()


@torch.no_grad()
def solve_points(step: Step, z: Tensor, *, method: Method = PICARD, stop: Stop | None = None, throw: bool = False) -> Solution:
    """The fixed point of `step` at each point, outside any graph.

    Args:
        step: F, of `[N, C]`; row i of F(z) may depend on row i of z only.
        z: where to start, `[N, C]`.
        method: Picard, Anderson or Broyden; see `field.methods`.
        stop: tolerance and cap; None for Stop().
        throw: raise instead of returning a solution in which a point did not converge.

    Returns:
        A solution whose z is F at each point's iterate of least residual (or the start, where F was never finite), with a report.

    Raises:
        ConvergenceError: a point not converged and `throw`.
    """
    stop = stop or Stop()
    update = method.begin()
    best, made = z, 0
    residual = z.new_full(z.shape[:1], float("inf"))
    iterations = torch.zeros_like(residual, dtype=torch.int64)
    done = torch.zeros_like(residual, dtype=torch.bool)
    while made < stop.iterations and not bool(done.all()):
        value = step(z)
        made += 1
        change = (value - z).abs().amax(-1)
        # Nan compares as False, but infinity is at most infinity: neither may count as converged.
        met = change.isfinite() & (change <= stop.absolute + stop.relative * value.abs().amax(-1))
        better = ~done & (met | (change < residual))
        best = torch.where(better[:, None], value, best)
        residual = torch.where(better, change, residual)
        iterations = torch.where(done, iterations, made)
        done = done | met
        new = update(z, value)
        # Where an extrapolation overflows, the plain application is the way back.
        z = torch.where(new.isfinite().all(-1, keepdim=True), new, value)
    return _solution(best, PointReport(residual=residual, iterations=iterations, converged=done), made=made, stop=stop, throw=throw)


def _solution(z: Tensor, points: PointReport, *, made: int, stop: Stop, throw: bool) -> Solution:
    largest = float(points.residual.max()) if len(z) else 0.0
    converged = bool(points.converged.all())
    if throw and not converged:
        raise ConvergenceError(
            f"fixed point has residual {largest:.3g} after {made} iterations, {points.failed} of {len(z)} points not converged; expected at most "
            f"{stop.absolute:.3g} + {stop.relative:.3g} |z|: allow more iterations or a larger tolerance, or make the layer contract"
        )
    return Solution(z=z, iterations=made, residual=largest, converged=converged, points=points)
