"""Fixed points: known solutions, honest failure, and gradients against closed forms and finite differences."""

import pytest
import torch

from i2compress.errors import ConvergenceError, UsageError
from i2compress.field.solver import FULL, ONE_STEP, Gradient, fixed_point, phantom, picard
from i2compress.field.spatial import contract, contraction, norm_bound, solve


def linear(seed: int, size: int = 5, norm: float = 0.6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return matrix * (norm / torch.linalg.matrix_norm(matrix, 2)), torch.randn(size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(4))
def test_a_linear_contraction_is_solved_to_its_closed_form(seed: int) -> None:
    matrix, u = linear(seed)
    solution = picard(lambda z: matrix @ z + u, torch.zeros_like(u), iterations=200, tolerance=1e-13)
    expected = torch.linalg.solve(torch.eye(5, dtype=torch.float64) - matrix, u)
    assert solution.converged
    assert solution.iterations < 200
    torch.testing.assert_close(solution.z, expected, rtol=0, atol=1e-12)


def test_a_fixed_count_makes_exactly_that_many_iterations_and_reports_the_residual() -> None:
    solution = picard(lambda z: 0.5 * z + 1, torch.zeros(1), iterations=3)
    assert (solution.iterations, float(solution.z), solution.residual) == (3, 1.75, 0.25)


def test_a_map_that_does_not_contract_is_reported_not_hidden() -> None:
    solution = picard(lambda z: 2 * z + 1, torch.zeros(1), iterations=10, tolerance=1e-3)
    assert not solution.converged
    with pytest.raises(ConvergenceError, match="after 10 iterations"):
        picard(lambda z: 2 * z + 1, torch.zeros(1), iterations=10, tolerance=1e-3, throw=True)


def test_nan_never_counts_as_converged() -> None:
    assert not picard(lambda z: z * float("nan"), torch.ones(1), iterations=5, tolerance=1.0).converged
    assert not picard(lambda z: z * float("nan"), torch.ones(1), iterations=5).converged


@pytest.mark.parametrize("terms", [1, 2, 5])
def test_the_phantom_gradient_of_a_linear_layer_is_its_truncated_neumann_series(terms: int) -> None:
    matrix, u = linear(0)
    u.requires_grad_()
    z = fixed_point(lambda z: matrix @ z + u, torch.zeros(5, dtype=torch.float64), iterations=100, gradient=phantom(terms))
    z.sum().backward()
    expected = sum(torch.linalg.matrix_power(matrix.T, k) for k in range(terms)) @ torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(u.grad, expected)


def test_a_gradient_without_terms_is_refused() -> None:
    with pytest.raises(UsageError, match="0 terms"):
        Gradient(0)


def spatial_layer(axes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(axes)
    u = torch.randn(1, 3, *(5, 6, 4)[:axes], generator=generator, dtype=torch.float64)
    matrix, taps = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((3, 3), (3, *(3,) * axes)))
    contract([matrix, taps], 0.5)
    return u.requires_grad_(), matrix.requires_grad_(), taps.requires_grad_()


@pytest.mark.parametrize("axes", [2, 3])
def test_contract_scales_the_bound_down_to_rho_and_leaves_smaller_ones_alone(axes: int) -> None:
    _, matrix, taps = spatial_layer(axes)
    assert contraction(matrix, taps) == pytest.approx(0.5)
    before = matrix.detach().clone()
    contract([matrix, taps], 0.9)
    assert torch.equal(matrix, before)


@pytest.mark.parametrize("axes", [2, 3])
def test_full_and_converged_neumann_gradients_of_the_spatial_layer_agree(axes: int) -> None:
    tensors = spatial_layer(axes)
    full = torch.autograd.grad(solve(*tensors, iterations=60, gradient=FULL).square().sum(), tensors)
    neumann = torch.autograd.grad(solve(*tensors, iterations=60, gradient=phantom(60)).square().sum(), tensors)
    for a, b in zip(full, neumann, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("axes", [2, 3])
def test_the_spatial_gradient_matches_finite_differences(axes: int) -> None:
    tensors = spatial_layer(axes)
    assert torch.autograd.gradcheck(lambda *t: solve(*t, iterations=80, gradient=phantom(80)), tensors, atol=1e-6)


def test_the_one_step_gradient_is_the_first_term() -> None:
    u, matrix, taps = spatial_layer(2)
    z = solve(u, matrix, taps, iterations=60, gradient=ONE_STEP)
    (gradient,) = torch.autograd.grad(z.sum(), u)
    assert torch.equal(gradient, (z > 0).double())


def test_the_spatial_layer_reaches_one_sample_further_with_each_iteration() -> None:
    u = torch.zeros(1, 1, 1, 11)
    u[..., 5] = 1.0
    matrix, taps = torch.zeros(1, 1), torch.full((1, 3, 3), 0.1)
    for iterations in range(1, 5):
        reached = solve(u, matrix, taps, iterations=iterations, gradient=ONE_STEP)[0, 0, 0].nonzero().flatten().tolist()
        assert reached == list(range(5 - iterations + 1, 5 + iterations))


@pytest.mark.parametrize("channels", [1, 4, 16, 64])
def test_the_norm_s_bound_is_tight_and_from_above(channels: int) -> None:
    generator = torch.Generator().manual_seed(channels)
    for scale in (1e-6, 1.0, 1e6):
        for matrix in (torch.randn(channels, channels, generator=generator) * scale, torch.eye(channels) * scale):
            norm = float(torch.linalg.matrix_norm(matrix, 2))
            assert norm * (1 - 1e-5) <= float(norm_bound(matrix)) <= norm * 1.01
    assert float(norm_bound(torch.zeros(channels, channels))) < 1e-6
