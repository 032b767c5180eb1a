"""Solvers that treat points apart: known fixed points, agreement, independence of the batch, honest failure."""

import pytest
import torch

from i2compress.errors import ConvergenceError, UsageError
from i2compress.field.anderson import Anderson
from i2compress.field.broyden import Broyden
from i2compress.field.methods import METHODS
from i2compress.field.points import Picard, Stop, solve_points

TIGHT = Stop(absolute=1e-13, relative=0.0, iterations=500)
methods = pytest.mark.parametrize("name", METHODS)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(norm: float = 0.8, points: int = 7, width: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A, u and the fixed points of z -> A z + u, one a row."""
    matrix = draw(width, width)
    matrix *= norm / torch.linalg.matrix_norm(matrix, 2)
    u = draw(points, width, seed=1)
    return matrix, u, torch.linalg.solve(torch.eye(width, dtype=torch.float64) - matrix, u.T).T


@methods
def test_a_linear_contraction_is_solved_to_its_closed_form_at_every_point(name: str) -> None:
    matrix, u, expected = linear()
    solution = solve_points(lambda z: z @ matrix.T + u, torch.zeros_like(u), method=METHODS[name], stop=TIGHT)
    assert solution.converged and solution.points is not None and solution.points.failed == 0
    torch.testing.assert_close(solution.z, expected, rtol=0, atol=1e-11)
    assert solution.residual == float(solution.points.residual.max()) <= 1e-13
    assert solution.iterations == int(solution.points.iterations.max()) < 500


@methods
def test_a_point_s_solution_depends_on_no_other_point(name: str) -> None:
    shift, rate = draw(40, 5), torch.rand(40, 1, generator=torch.Generator().manual_seed(2)) * 0.9

    def solve(part: slice) -> torch.Tensor:
        stop = Stop(absolute=1e-6, iterations=60)
        return solve_points(lambda z: torch.sin(z * rate[part] + shift[part]), torch.zeros(40, 5)[part], method=METHODS[name], stop=stop).z

    whole = solve(slice(None))
    for part in (slice(0, 1), slice(3, 5), slice(7, 24), slice(39, 40)):
        assert torch.equal(solve(part), whole[part])


@methods
def test_a_point_that_has_met_its_tolerance_is_left_alone(name: str) -> None:
    rate = torch.tensor([[0.1], [0.9]])
    solution = solve_points(lambda z: rate * torch.cos(z), torch.zeros(2, 1), method=METHODS[name], stop=Stop(absolute=1e-3, relative=0.0))
    alone = solve_points(lambda z: rate[:1] * torch.cos(z), torch.zeros(1, 1), method=METHODS[name], stop=Stop(absolute=1e-3, relative=0.0))
    assert solution.points is not None and solution.points.iterations[0] < solution.points.iterations[1]
    assert torch.equal(solution.z[:1], alone.z)


@methods
def test_a_point_without_a_finite_value_fails_alone_and_keeps_its_start(name: str) -> None:
    bad = torch.tensor([[0.0], [float("nan")], [0.0]])
    solution = solve_points(lambda z: 0.5 * z + 1 + bad, torch.full((3, 1), 0.25), method=METHODS[name])
    assert solution.points is not None
    assert solution.points.converged.tolist() == [True, False, True]
    assert solution.z[1] == 0.25 and solution.points.residual[1] == float("inf")
    assert not solution.converged and solution.residual == float("inf")


def test_a_failure_is_data_or_an_error_that_says_what_to_do() -> None:
    solution = solve_points(lambda z: 2 * z + 1, torch.zeros(3, 1), stop=Stop(iterations=10))
    assert (solution.converged, solution.iterations, solution.residual) == (False, 10, 1.0)
    assert torch.equal(solution.z, torch.ones(3, 1)), "the iterate of least residual is the first"
    with pytest.raises(ConvergenceError, match=r"after 10 iterations, 3 of 3 points not converged.*make the layer contract"):
        solve_points(lambda z: 2 * z + 1, torch.zeros(3, 1), stop=Stop(iterations=10), throw=True)


def test_no_iterations_leave_the_start_and_no_points_are_no_work() -> None:
    solution = solve_points(lambda z: z + 1, torch.ones(2, 3), stop=Stop(iterations=0))
    assert torch.equal(solution.z, torch.ones(2, 3)) and not solution.converged
    assert solve_points(lambda z: z + 1, torch.ones(0, 3)).converged


def test_the_relative_tolerance_follows_the_size_of_each_point() -> None:
    u = torch.tensor([[1.0], [1e6]])
    solution = solve_points(lambda z: 0.5 * z + u, torch.zeros(2, 1), stop=Stop(absolute=0.0, relative=1e-3))
    assert solution.points is not None and solution.points.iterations[0] == solution.points.iterations[1]


def test_accelerated_methods_reach_a_fixed_point_that_repels_picard() -> None:
    """They look for where F(z) = z, and need no contraction."""
    zero, stop = torch.zeros(1, 1, dtype=torch.float64), Stop(absolute=1e-12, relative=0.0)
    assert not solve_points(lambda z: -3 * z + 4, zero, stop=stop).converged
    for method in (Broyden(), Anderson()):
        solution = solve_points(lambda z: -3 * z + 4, zero, method=method, stop=stop, throw=True)
        torch.testing.assert_close(solution.z, torch.ones(1, 1, dtype=torch.float64))


@methods
def test_overflow_is_not_convergence(name: str) -> None:
    """Infinity is at most a relative tolerance of infinity; that must not count."""
    solution = solve_points(lambda z: z.exp() + 10, torch.zeros(2, 1), method=METHODS[name], stop=Stop(iterations=300))
    assert not solution.converged and bool(solution.z.isfinite().all())


@methods
def test_values_whose_squares_overflow_are_still_solved(name: str) -> None:
    """The extrapolation is then not finite, and the plain application takes its place."""
    solution = solve_points(lambda z: 0.5 * z + 1e30, torch.zeros(1, 2), method=METHODS[name], throw=True)
    torch.testing.assert_close(solution.z, torch.full((1, 2), 2e30), rtol=1e-3, atol=0)


def test_damping_changes_the_path_not_the_fixed_point() -> None:
    matrix, u, expected = linear()
    for method in (Picard(damping=0.7), Anderson(damping=0.7)):
        solution = solve_points(lambda z: z @ matrix.T + u, torch.zeros_like(u), method=method, stop=TIGHT)
        torch.testing.assert_close(solution.z, expected, rtol=0, atol=1e-11)


def test_settings_out_of_range_are_refused() -> None:
    for build in (lambda: Stop(relative=-1), lambda: Stop(absolute=float("nan")), lambda: Stop(iterations=-1), lambda: Picard(damping=0)):
        with pytest.raises(UsageError, match="expected"):
            build()
