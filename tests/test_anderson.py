"""Anderson acceleration: its history, its least squares and its speed."""

import pytest
import torch

from i2compress.errors import UsageError
from i2compress.field.anderson import Anderson, _least_squares, _Run
from i2compress.field.points import Stop, solve_points


def test_the_least_squares_of_every_point_match_the_library() -> None:
    columns = torch.randn(9, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.randn(9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = torch.linalg.lstsq(columns, target[..., None]).solution[..., 0]
    torch.testing.assert_close(_least_squares(list(columns.unbind(-1)), target), expected)


def test_dependent_and_vanishing_columns_give_finite_coefficients() -> None:
    column = torch.ones(2, 4)
    column[1] = 0
    gamma = _least_squares([column, column], torch.ones(2, 4))
    assert gamma.isfinite().all()
    torch.testing.assert_close(gamma[0].sum(), torch.tensor(1.0), rtol=1e-4, atol=0)
    assert torch.equal(gamma[1], torch.zeros(2))


def test_with_a_history_of_the_width_a_linear_map_takes_width_plus_two_applications() -> None:
    """Then it is GMRES (Walker and Ni 2011): exact once the differences span the space."""
    rate = torch.tensor([[0.9, -0.8, 0.5]], dtype=torch.float64)
    stop = Stop(absolute=1e-10, relative=0.0)
    assert solve_points(lambda z: rate * z + 1, torch.zeros(1, 3, dtype=torch.float64), method=Anderson(memory=3), stop=stop).iterations <= 5
    assert solve_points(lambda z: rate * z + 1, torch.zeros(1, 3, dtype=torch.float64), stop=stop).iterations == 100


def test_the_history_is_no_longer_than_the_memory() -> None:
    run = _Run(Anderson(memory=2))
    for number in range(6):
        run(torch.full((1, 3), float(number)), torch.full((1, 3), float(number**2)))
    assert len(run.differences) == 2
    assert float(run.differences[-1][0][0, 0]) == 1.0


def test_settings_out_of_range_are_refused() -> None:
    for settings in ({"memory": 0}, {"damping": 0.0}, {"damping": 1.5}):
        with pytest.raises(UsageError, match="expected at least 1, and in"):
            Anderson(**settings)
