"""Broyden's method: the secant equation, its restart and what it refuses."""

import pytest
import torch

from i2compress.errors import UsageError
from i2compress.field.broyden import Broyden, _apply, _Run
from i2compress.field.points import Stop, solve_points


def draw(seed: int) -> torch.Tensor:
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_inverse_jacobian_meets_the_secant_equation_of_the_last_step() -> None:
    run = _Run(5)
    z, value = draw(0), draw(1)
    for seed in (2, 3, 4):
        previous, g = z, value - z
        z, value = run(z, value), draw(seed)
        run(z, value)
        torch.testing.assert_close(_apply(run.factors, value - z - g), z - previous)
        run = _Run(5)
        run(z, value)


def test_a_step_that_says_nothing_is_no_update() -> None:
    """Neither one of no length, nor one over which the residual did not change."""
    for z, value in ((draw(0), draw(1)), (draw(0) + 1, draw(1) + 1)):
        run = _Run(5)
        run(draw(0), draw(1))
        run(z, value)
        assert torch.equal(run.factors[0][0], torch.zeros(4, 6, dtype=torch.float64))


def test_the_factors_are_no_more_than_the_memory() -> None:
    run = _Run(2)
    counts = []
    for seed in range(6):
        run(draw(seed), draw(seed + 10))
        counts.append(len(run.factors))
    assert counts == [0, 1, 2, 1, 2, 1]


def test_a_memory_shorter_than_the_solve_starts_again_and_still_arrives() -> None:
    rate = torch.linspace(-0.9, 0.9, 6, dtype=torch.float64)
    stop = Stop(absolute=1e-12, relative=0.0, iterations=400)
    solution = solve_points(lambda z: rate * z + 1, torch.zeros(1, 6, dtype=torch.float64), method=Broyden(memory=2), stop=stop, throw=True)
    torch.testing.assert_close(solution.z[0], 1 / (1 - rate))


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="memory 0"):
        Broyden(memory=0)
