"""Fixed points z* = F(z*; u) that can be differentiated: what happens in the backward pass.

With v = dL/dz* and J = dF/dz at z*, the implicit function theorem gives

    dL/du = w^T dF/du,    w = v (1 - J)^-1 = v (1 + J + J^2 + ...)

The schemes differ in w. None keeps the graph of the solver, so memory does not grow with its iterations.
F is a pure function of z and of the tensors u; gradients reach parameters and coordinates through u alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ..errors import UsageError
from .points import PICARD, Method, Stop, solve_points
from .solver import Solution, fixed_point, phantom

Injection: TypeAlias = tuple[Tensor, ...]
Map = Callable[[Tensor, Injection], Tensor]

ADJOINT_STOP = Stop(absolute=0.0, relative=1e-5, iterations=500)  # relative alone: gradients have no scale of their own


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """The graph of `steps` further applications from the solver's result (Geng et al. 2021, https://arxiv.org/abs/2111.05177).

    With steps = 1, w = v: the cheapest, and with a solver of no iterations the whole step is one application.
    Memory grows with `steps`.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"phantom gradient has {self.steps} steps; expected at least 1")


@dataclass(frozen=True, kw_only=True)
class Neumann:
    """w = v (1 + J + ... + J^(terms-1)), J at the solution. terms = 2 is the one-step gradient 1 + J of (Implicit)^2."""

    terms: int = 2

    def __post_init__(self) -> None:
        if self.terms < 1:
            raise UsageError(f"neumann gradient has {self.terms} terms; expected at least 1")


@dataclass(frozen=True, kw_only=True)
class Exact:
    """w solves w = v + w J, point by point, in the backward pass. Right to every order: derivatives of derivatives work too.

    Args:
        method: how to solve.
        stop: tolerance and cap of that solve; None for ADJOINT_STOP.
        throw: raise ConvergenceError out of the backward pass where a point fails; otherwise its best iterate is used.
        report: called with every such solve's solution.
    """

    method: Method = PICARD
    stop: Stop | None = None
    throw: bool = True
    report: Callable[[Solution], None] | None = None


Scheme: TypeAlias = Phantom | Neumann | Exact

SCHEMES: dict[str, Scheme] = {
    "jacobian-free": Phantom(steps=1),
    "one-step": Neumann(terms=2),
    "phantom": Phantom(steps=4),
    "neumann": Neumann(terms=8),
    "exact": Exact(),
}
ONE_STEP = SCHEMES["one-step"]


def equilibrium(
    step: Map, z: Tensor, u: Injection, *, method: Method = PICARD, stop: Stop | None = None, gradient: Scheme = ONE_STEP, throw: bool = False
) -> Solution:
    """z* = F(z*; u) at each point, differentiable in u as `gradient` says.

    Args:
        step: F, a pure function of z `[N, C]` and u; row i of its result depends on row i of z only.
        z: where to start, `[N, C]`; no gradient flows into it.
        u: every tensor that F needs, of any shapes.
        method: how to solve.
        stop: tolerance and cap; None for Stop(). With no iterations `Phantom` alone applies F.
        gradient: the scheme.
        throw: raise where a point does not converge.

    Returns:
        The solution; its z carries the graph, its report is that of the solver.

    Raises:
        ConvergenceError: a point not converged and `throw`; or, from the backward pass, as `Exact` says.
    """
    solution = solve_points(lambda z: step(z, u), z.detach(), method=method, stop=stop, throw=throw)
    if isinstance(gradient, Phantom):
        steps = gradient.steps
        return replace(solution, z=fixed_point(lambda z: step(z, u), solution.z, iterations=steps, gradient=phantom(steps)))
    return replace(solution, z=_Implicit.apply(gradient, step, solution.z, *u))  # type: ignore[no-untyped-call]


class _Implicit(torch.autograd.Function):
    """The identity on the solution; its gradient is that of the equation.

    Under `create_graph` the saved solution is this node's own output, so z*, w and u all stay connected, and for `Exact`
    w is an equilibrium itself: the same theorem differentiates it in turn.
    """

    @staticmethod
    def forward(ctx: Any, scheme: Neumann | Exact, step: Map, z: Tensor, *u: Tensor) -> Tensor:
        ctx.scheme, ctx.step = scheme, step
        solved = z.clone()
        ctx.save_for_backward(solved, *u)
        return solved

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        again, wanted = torch.is_grad_enabled(), ctx.needs_input_grad[3:]
        z, *u = (_apart(tensor, connected=again) for tensor in ctx.saved_tensors)
        if not again:
            for tensor, flag in ((z, True), *zip(u, wanted, strict=True)):
                tensor.requires_grad_(flag)
        with torch.enable_grad():
            value = ctx.step(z, tuple(u))
        w = _adjoint(ctx.scheme, ctx.step, value, z, tuple(u), grads[0])
        inputs = [tensor for tensor, flag in zip(u, wanted, strict=True) if flag]
        found = iter(torch.autograd.grad(value, inputs, w, create_graph=again, materialize_grads=True))
        return None, None, None, *(next(found) if flag else None for flag in wanted)


def _apart(tensor: Tensor, *, connected: bool) -> Tensor:
    """A new name for a tensor, so that a derivative in it counts its direct use in F only, and not z*'s own dependence on u."""
    with torch.enable_grad():
        return tensor.view_as(tensor) if connected else tensor.detach()


def _adjoint(scheme: Neumann | Exact, step: Map, value: Tensor, z: Tensor, u: Injection, v: Tensor) -> Tensor:
    """w `[N, C]` for v `[N, C]`, with value = F(z; u) and its graph."""
    again = torch.is_grad_enabled()

    def pull(w: Tensor, keep: bool = False) -> Tensor:
        return torch.autograd.grad(value, z, w, create_graph=keep, retain_graph=True, materialize_grads=True)[0]

    if isinstance(scheme, Neumann):
        w = v
        for _ in range(scheme.terms - 1):
            w = v + pull(w, again)
        return w
    stop = scheme.stop or ADJOINT_STOP
    solution = solve_points(lambda w: v + pull(w), v.detach(), method=scheme.method, stop=stop, throw=scheme.throw)
    if scheme.report is not None:
        scheme.report(solution)
    if not again:
        return solution.z
    connected: Tensor = _Implicit.apply(scheme, _adjoint_map(step), solution.z, v, z, *u)  # type: ignore[no-untyped-call]
    return connected


def _adjoint_map(step: Map) -> Map:
    """G(w; v, z, u) = v + w J, whose fixed point is the exact w."""

    def adjoint(w: Tensor, inputs: Injection) -> Tensor:
        v, z, *u = inputs
        pulled: Tensor = torch.func.vjp(lambda z: step(z, tuple(u)), z)[1](w)[0]
        return v + pulled

    return adjoint
