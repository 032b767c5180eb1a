"""Derivatives of a field in its coordinates, against finite differences through the solved fixed point."""

from dataclasses import replace

import pytest
import torch

from i2compress.errors import UsageError
from i2compress.field.coordinate import build, initial
from i2compress.field.coordinate_field import REUSE, CoordinateField, Solving, evaluate
from i2compress.field.coordinate_spec import KINDS, CoordinateSpec
from i2compress.field.derivatives import gradient, laplacian
from i2compress.field.implicit import Exact
from i2compress.field.points import Stop

TIGHT = Solving(
    stop=Stop(absolute=1e-15, relative=1e-15, iterations=300), gradient=Exact(stop=Stop(absolute=0, relative=1e-12, iterations=300)), throw=False
)
STEP = 1e-4
kinds = pytest.mark.parametrize("kind", KINDS)


def make(kind: str, axes: int, **sizes: object) -> tuple[CoordinateField, torch.Tensor]:
    spec = replace(CoordinateSpec(kind=kind, axes=axes, channels=2, width=10, layers=2, input_scale=4.0, rho=0.8, omega=3.0), **sizes)
    generator = torch.Generator().manual_seed(axes)
    field = CoordinateField(build(spec, initial(spec, generator=generator))).double()
    return field, 2 * torch.rand(9, axes, generator=generator, dtype=torch.float64) - 1


def at_offsets(field: CoordinateField, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values at x, and at x +- STEP along each axis, `[N, D, d]`."""
    offsets = STEP * torch.eye(x.shape[1], dtype=x.dtype)
    plus = torch.stack([evaluate(field, x + offset, solving=TIGHT) for offset in offsets], -1)
    return evaluate(field, x, solving=TIGHT), plus, torch.stack([evaluate(field, x - offset, solving=TIGHT) for offset in offsets], -1)


@pytest.mark.parametrize("explicit", [False, True], ids=["implicit", "explicit"])
@pytest.mark.parametrize("axes", [1, 2, 3])
@kinds
def test_gradient_and_laplacian_match_finite_differences(kind: str, axes: int, explicit: bool) -> None:
    field, x = make(kind, axes, explicit=explicit)
    values, plus, minus = at_offsets(field, x)
    torch.testing.assert_close(gradient(field, x, solving=TIGHT), (plus - minus) / (2 * STEP), rtol=1e-6, atol=1e-6)
    second = ((plus + minus - 2 * values[..., None]) / STEP**2).sum(-1)
    torch.testing.assert_close(laplacian(field, x, solving=TIGHT), second, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("derivative", [gradient, laplacian])
@kinds
def test_a_loss_on_a_derivative_has_the_right_gradient_in_the_parameters(kind: str, derivative) -> None:  # type: ignore[no-untyped-def]
    field, x = make(kind, 2, layers=1)
    matrix = field.network.tensors["A"]
    derivative(field, x, solving=TIGHT, keep_graph=True).square().mean().backward()
    for place in ((0, 0, 1), (0, 4, 4)):
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                matrix[place] += sign * STEP
            losses.append(float(derivative(field, x, solving=TIGHT).square().mean()))
            with torch.no_grad():
                matrix[place] -= sign * STEP
        assert float(matrix.grad[place]) == pytest.approx((losses[0] - losses[1]) / (2 * STEP), rel=1e-5, abs=1e-7)


def test_derivatives_work_inside_no_grad_and_leave_the_coordinates_alone() -> None:
    field, x = make("siren", 2)
    with torch.no_grad():
        slope = gradient(field, x)
    assert not slope.requires_grad and not x.requires_grad


def test_an_approximate_gradient_is_refused_since_it_would_be_wrong_in_silence() -> None:
    field, x = make("fourier", 1)
    with pytest.raises(UsageError, match="exact gradient; found Neumann"):
        gradient(field, x, solving=REUSE)
