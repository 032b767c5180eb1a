"""Gradients through a fixed point: closed forms, finite differences, second derivatives, failure, memory."""

from collections.abc import Callable

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from i2compress.errors import ConvergenceError, UsageError
from i2compress.field.broyden import Broyden
from i2compress.field.implicit import SCHEMES, Exact, Injection, Neumann, Phantom, Scheme, equilibrium
from i2compress.field.methods import METHODS
from i2compress.field.points import Stop
from i2compress.field.solver import Solution

TIGHT = Stop(absolute=1e-14, relative=1e-14, iterations=300)
EXACT = Exact(stop=TIGHT)
WIDTH, POINTS = 4, 3


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tensors(norm: float = 0.6) -> tuple[torch.Tensor, torch.Tensor]:
    matrix = draw(WIDTH, WIDTH)
    return (matrix * (norm / torch.linalg.matrix_norm(matrix, 2))).requires_grad_(), draw(POINTS, WIDTH, seed=1).requires_grad_()


def linear(z: torch.Tensor, u: Injection) -> torch.Tensor:
    return z @ u[0].T + u[1]


def sine(z: torch.Tensor, u: Injection) -> torch.Tensor:
    return torch.sin(z @ u[0].T + u[1])


def solved(step: Callable[[torch.Tensor, Injection], torch.Tensor], scheme: Scheme, *u: torch.Tensor) -> torch.Tensor:
    return equilibrium(step, torch.zeros(POINTS, WIDTH, dtype=torch.float64), u, stop=TIGHT, gradient=scheme, throw=True).z


@pytest.mark.parametrize(
    ("scheme", "terms"), [(Phantom(steps=1), 1), (Phantom(steps=3), 3), (Neumann(terms=1), 1), (Neumann(terms=2), 2), (Neumann(terms=5), 5)]
)
def test_a_truncated_gradient_of_a_linear_layer_is_its_truncated_series(scheme: Scheme, terms: int) -> None:
    matrix, u = tensors()
    v = draw(POINTS, WIDTH, seed=2)
    z = solved(linear, scheme, matrix, u)
    got = torch.autograd.grad((z * v).sum(), (matrix, u))
    with torch.no_grad():
        w = v @ sum(torch.linalg.matrix_power(matrix, k) for k in range(terms))
        torch.testing.assert_close(got[0], w.T @ z)
        torch.testing.assert_close(got[1], w)


def test_the_exact_gradient_of_a_linear_layer_is_the_closed_form() -> None:
    matrix, u = tensors()
    v = draw(POINTS, WIDTH, seed=2)
    z = solved(linear, EXACT, matrix, u)
    got = torch.autograd.grad((z * v).sum(), (matrix, u))
    with torch.no_grad():
        w = v @ torch.linalg.inv(torch.eye(WIDTH, dtype=torch.float64) - matrix)
        torch.testing.assert_close(got[0], w.T @ z)
        torch.testing.assert_close(got[1], w)


@pytest.mark.parametrize("scheme", [EXACT, Neumann(terms=80), Phantom(steps=80)], ids=["exact", "neumann", "phantom"])
def test_gradients_of_a_nonlinear_layer_match_finite_differences(scheme: Scheme) -> None:
    assert torch.autograd.gradcheck(lambda *u: solved(sine, scheme, *u), tensors())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_solves_the_backward_equation(name: str) -> None:
    assert torch.autograd.gradcheck(lambda *u: solved(sine, Exact(method=METHODS[name], stop=TIGHT), *u), tensors())


def test_second_derivatives_of_the_exact_gradient_match_finite_differences() -> None:
    assert torch.autograd.gradgradcheck(lambda *u: solved(sine, EXACT, *u), tensors())


def test_the_error_of_the_truncated_gradient_shrinks_with_its_terms() -> None:
    inputs = tensors()
    exact = torch.autograd.grad(solved(sine, EXACT, *inputs).square().sum(), inputs[1])[0]
    errors = [
        float((torch.autograd.grad(solved(sine, Neumann(terms=m), *inputs).square().sum(), inputs[1])[0] - exact).norm()) for m in (1, 2, 4, 8, 16)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.01 * errors[0]


def repelling(gradient: Exact) -> torch.Tensor:
    """z* = -u of F(z) = 2 z + u: there, and out of Picard's reach both ways."""
    u = torch.ones(2, 1, requires_grad=True)
    solution = equilibrium(lambda z, u: 2 * z + u[0], torch.zeros(2, 1), (u,), method=Broyden(), gradient=gradient, throw=True)
    torch.testing.assert_close(solution.z, -torch.ones(2, 1))
    return torch.autograd.grad(solution.z.sum(), u)[0]


def test_a_backward_solve_that_fails_raises_or_reports_and_another_method_may_not_fail() -> None:
    with pytest.raises(ConvergenceError, match="2 of 2 points"):
        repelling(Exact())
    reports: list[Solution] = []
    repelling(Exact(throw=False, report=reports.append))
    assert [report.converged for report in reports] == [False]
    torch.testing.assert_close(repelling(Exact(method=Broyden())), -torch.ones(2, 1))


def test_no_gradient_flows_into_the_start() -> None:
    start = torch.zeros(POINTS, WIDTH, dtype=torch.float64, requires_grad=True)
    for scheme in SCHEMES.values():
        z = equilibrium(sine, start, tensors(), gradient=scheme).z
        assert torch.autograd.grad(z.sum(), start, allow_unused=True) == (None,)


def test_with_a_solver_of_no_iterations_the_phantom_gradient_is_one_application() -> None:
    u, start = tensors(), draw(POINTS, WIDTH, seed=3)
    z = equilibrium(sine, start, u, stop=Stop(iterations=0), gradient=Phantom(steps=1)).z
    torch.testing.assert_close(z, sine(start, u))


def saved_bytes(scheme: Scheme, iterations: int) -> int:
    """What the graph of a solve holds for the backward pass."""
    total = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        stop = Stop(absolute=0.0, relative=0.0, iterations=iterations)
        equilibrium(sine, torch.zeros(64, WIDTH, dtype=torch.float64), (tensors()[0], draw(64, WIDTH).requires_grad_()), stop=stop, gradient=scheme)
    return total


@pytest.mark.parametrize("name", SCHEMES)
def test_memory_is_flat_in_the_iterations_of_the_solver(name: str) -> None:
    one, hundred = saved_bytes(SCHEMES[name], 1), saved_bytes(SCHEMES[name], 100)
    assert one > 0 and abs(hundred - one) <= 0.05 * one


def test_schemes_without_a_term_are_refused() -> None:
    for build in (lambda: Neumann(terms=0), lambda: Phantom(steps=0)):
        with pytest.raises(UsageError, match="expected at least 1"):
            build()
