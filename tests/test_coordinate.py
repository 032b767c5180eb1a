"""Coordinate networks: their equations written out, their counts, contraction, twins, and small fits."""

from dataclasses import replace

import pytest
import torch

from i2compress.errors import ConvergenceError, LimitError, UsageError
from i2compress.field.coordinate import NETWORKS, CoordinateNetwork, build, initial
from i2compress.field.coordinate_field import ANEW, CHEAPEST, EXACT, REUSE, CoordinateField, Solving, evaluate
from i2compress.field.coordinate_spec import KINDS, CoordinateSpec, explicit_twin
from i2compress.field.methods import METHODS
from i2compress.field.points import Stop
from i2compress.field.reuse import Starts

kinds = pytest.mark.parametrize("kind", KINDS)


def make(kind: str, *, seed: int = 0, axes: int = 2, **sizes: object) -> CoordinateNetwork:
    spec = replace(CoordinateSpec(kind=kind, axes=axes, channels=2, width=12, layers=2, input_scale=8.0), **sizes)
    return build(spec, initial(spec, generator=torch.Generator().manual_seed(seed))).double()


def points(count: int, axes: int = 2, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 2 * torch.rand(count, axes, generator=torch.Generator().manual_seed(9), dtype=dtype) - 1


def layer(network: CoordinateNetwork, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """F(z; x) at one point, straight from the equations in field.coordinate_spec."""
    t, spec = {name: tensor.detach() for name, tensor in network.tensors.items()}, network.spec
    matrices = network.matrices().detach()
    if spec.explicit and spec.kind == "siren":
        z = torch.sin(spec.input_scale * (t["B"][0] @ x + t["c"][0]))
        for i in range(spec.layers):
            z = torch.sin(spec.omega * (matrices[i] @ z + t["c"][i + 1]))
        return z
    phases = [t["B"][i] @ x + t["c"][i] for i in range(spec.layers + 1)]
    gates = [torch.sin(p) for p in phases]
    if spec.kind == "gabor":
        gates = [g * torch.exp(-t["gamma"][i] / 2 * (x - t["mu"][i]).square().sum(1)) for i, g in enumerate(gates)]
    z = (0 * z if spec.explicit else z) + gates[0]
    for i in range(spec.layers):
        z = torch.sin(matrices[i] @ z + phases[i + 1]) if spec.kind == "siren" else (matrices[i] @ z + t["a"][i]) * gates[i + 1]
    return z


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("explicit", [False, True], ids=["implicit", "explicit"])
@kinds
def test_the_step_is_the_equation(kind: str, explicit: bool, axes: int) -> None:
    network = make(kind, axes=axes, explicit=explicit)
    x, z = points(5, axes), torch.randn(5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = torch.stack([layer(network, a, b) for a, b in zip(x, z, strict=True)])
    torch.testing.assert_close(network.step(z, network.inject(x)), expected)


@pytest.mark.parametrize("explicit", [False, True], ids=["implicit", "explicit"])
@kinds
def test_the_spec_counts_the_parameters_of_the_network(kind: str, explicit: bool) -> None:
    network = make(kind, explicit=explicit, layers=3)
    assert sum(parameter.numel() for parameter in network.parameters()) == network.spec.parameters


def test_the_count_of_the_fourier_form_is_the_one_of_its_authors() -> None:
    """(L + 1) D (in + 1) + L (D^2 + D) + D out + out; the siren form has no second bias beside c."""
    for layers, width, count in ((1, 256, 67_585), (1, 512, 266_241), (4, 256, 267_265)):
        assert CoordinateSpec(kind="fourier", axes=2, channels=1, width=width, layers=layers).parameters == count
        assert CoordinateSpec(kind="siren", axes=2, channels=1, width=width, layers=layers).parameters == count - layers * width


@pytest.mark.parametrize(
    ("kind", "explicit", "name", "bound"),
    [
        ("siren", False, "B", 8 / 6**0.5),
        ("fourier", False, "B", 8 / 6**0.5),
        ("gabor", True, "B", 8 / 6**0.5),
        ("fourier", False, "c", 3.1416),
        ("fourier", False, "A", 100**-0.5),
        ("gabor", False, "mu", 1.0),
        ("siren", True, "B", 0.5),
        ("siren", True, "A", 0.06**0.5 / 30),
        ("siren", True, "W", 0.06**0.5 / 30),
    ],
)
def test_the_first_draw_is_uniform_within_its_bound(kind: str, explicit: bool, name: str, bound: float) -> None:
    spec = CoordinateSpec(kind=kind, axes=2, channels=2, width=100, layers=2, input_scale=8.0, explicit=explicit)
    tensors = initial(spec, generator=torch.Generator().manual_seed(0))
    drawn = tensors[name] / tensors["gamma"].sqrt()[..., None] if (kind, name) == ("gabor", "B") else tensors[name]
    assert 0.97 * bound < float(drawn.abs().max()) <= bound * (1 + 1e-5)
    again = initial(spec, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(tensors[key], again[key]) for key in tensors)


def test_the_explicit_siren_s_first_bias_is_drawn_for_its_number_of_inputs() -> None:
    spec = CoordinateSpec(kind="siren", axes=2, channels=2, width=100, explicit=True)
    bias = initial(spec, generator=torch.Generator().manual_seed(0))["c"].abs().amax(1).tolist()
    assert 0.9 * 2**-0.5 < bias[0] <= 2**-0.5 and 0.09 < bias[1] <= 0.1


def test_every_kind_has_a_network_and_its_twin() -> None:
    assert tuple(NETWORKS) == KINDS


@kinds
def test_normalised_networks_contract_however_large_their_matrices_and_small_ones_are_left_alone(kind: str) -> None:
    network = make(kind, rho=0.9)
    with torch.no_grad():
        network.tensors["A"] *= 50
    assert network.lipschitz() == pytest.approx(0.9**2)
    with torch.no_grad():
        network.tensors["A"] *= 1e-4
    assert torch.equal(network.matrices(), network.tensors["A"])
    with torch.no_grad():
        network.tensors["A"].zero_()
    network.matrices().sum().backward()
    assert network.tensors["A"].grad.isfinite().all()


def test_the_normalised_matrix_has_the_gradient_of_its_formula() -> None:
    network = make("siren", rho=0.5)
    matrix = network.tensors["A"].detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad((matrix * (0.5 / torch.linalg.matrix_norm(matrix, 2)[:, None, None])).sin().sum(), matrix)
    network.matrices().sin().sum().backward()
    torch.testing.assert_close(network.tensors["A"].grad, expected)


def test_normalisation_can_be_switched_off_and_is_off_for_explicit_networks() -> None:
    for network in (make("fourier", normalise=False), make("fourier", explicit=True)):
        assert torch.equal(network.matrices(), network.tensors["A"])


def test_a_gabor_width_that_turned_negative_does_not_amplify() -> None:
    network = make("gabor")
    with torch.no_grad():
        network.tensors["gamma"].fill_(-50.0)
    gates = network.inject(points(20))[:3]
    assert all(float(gate.detach().abs().max()) <= 1 for gate in gates)


@kinds
def test_the_three_solvers_agree_on_a_contraction(kind: str) -> None:
    field, x = CoordinateField(make(kind, width=24)), points(50)
    stop = Stop(absolute=1e-13, relative=0.0, iterations=1000)
    found = [field(x, solving=Solving(method=method, stop=stop, throw=True)).values.detach() for method in METHODS.values()]
    for values in found[1:]:
        torch.testing.assert_close(values, found[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@kinds
def test_a_tile_equals_the_whole_to_the_last_bit(kind: str, method: str) -> None:
    field, x = CoordinateField(make(kind, width=24).float()), points(300, dtype=torch.float32)
    solving = replace(EXACT, method=METHODS[method], throw=False)
    whole = evaluate(field, x, solving=solving, block=64)
    for part in (slice(0, 1), slice(1, 4), slice(63, 66), slice(100, 231), slice(299, 300)):
        assert torch.equal(evaluate(field, x[part], solving=solving, block=64), whole[part])


def test_an_explicit_field_needs_no_solver_and_says_so() -> None:
    field = CoordinateField(make("gabor", explicit=True))
    output = field(points(4), solving=ANEW)
    assert (output.solution.iterations, output.solution.residual, output.solution.converged) == (1, 0.0, True)
    torch.testing.assert_close(evaluate(field, points(4)), output.values.detach())


def test_the_readout_can_end_in_a_sine() -> None:
    for network in (make("siren"), make("siren", explicit=True)):
        plain = network.readout(torch.ones(1, 12, dtype=torch.float64))
        network.spec = replace(network.spec, sine_output=True)
        frequency = 30.0 if network.spec.explicit else 1.0
        torch.testing.assert_close(network.readout(torch.ones(1, 12, dtype=torch.float64)), torch.sin(frequency * plain))


@pytest.mark.parametrize("layers", [1, 4])
@kinds
def test_the_twin_has_nearly_as_many_parameters_and_no_other_width_is_nearer(kind: str, layers: int) -> None:
    spec = CoordinateSpec(kind=kind, axes=2, channels=3, width=128)
    twin = explicit_twin(spec, layers=layers)
    assert (twin.spec.explicit, twin.spec.layers) == (True, layers)
    assert twin.difference == twin.spec.parameters - spec.parameters
    assert abs(twin.difference) <= 0.02 * spec.parameters
    for width in (twin.spec.width - 1, twin.spec.width + 1):
        assert abs(replace(twin.spec, width=width).parameters - spec.parameters) >= abs(twin.difference)


def test_the_one_layer_twin_of_a_filter_network_has_exactly_as_many_parameters() -> None:
    for kind in ("fourier", "gabor"):
        assert explicit_twin(CoordinateSpec(kind=kind, axes=2, channels=1), layers=1).difference == 0


def fit(spec: CoordinateSpec, x: torch.Tensor, y: torch.Tensor, solving: Solving, *, reuse: bool, batch: int) -> float:
    """Mean squared error of a few hundred steps of Adam, measured at the exact fixed point."""
    generator = torch.Generator().manual_seed(3)
    field = CoordinateField(build(spec, initial(spec, generator=generator)))
    optimiser = torch.optim.Adam(field.parameters(), lr=3e-3)
    starts = Starts(len(x), spec.width, reuse=reuse)
    for _ in range(300):
        index = torch.randperm(len(x), generator=generator)[:batch]
        output = field(x[index], starts.get(index), solving=solving)
        starts.put(output.solution.z, index)
        optimiser.zero_grad()
        (output.values - y[index]).square().mean().backward()
        optimiser.step()
    return float((evaluate(field, x) - y).square().mean())


@pytest.mark.parametrize(
    ("solving", "reuse", "batch"),
    [(REUSE, True, 256), (REUSE, True, 64), (CHEAPEST, True, 256), (ANEW, False, 64)],
    ids=["reuse, full batches", "reuse, mini-batches", "cheapest", "anew"],
)
@kinds
def test_a_few_hundred_steps_fit_a_signal_of_one_axis(kind: str, solving: Solving, reuse: bool, batch: int) -> None:
    x = ((2 * torch.arange(256) + 1) / 256 - 1)[:, None]
    y = 0.5 * torch.sin(9 * x) + 0.25 * torch.cos(23 * x)
    spec = CoordinateSpec(kind=kind, axes=1, channels=1, width=32, input_scale=40.0)
    assert fit(spec, x, y, solving, reuse=reuse, batch=batch) < 0.02 * float(y.var())


@pytest.mark.parametrize("explicit", [False, True], ids=["implicit", "explicit"])
@kinds
def test_a_few_hundred_steps_fit_a_signal_of_two_axes(kind: str, explicit: bool) -> None:
    axis = (2 * torch.arange(20) + 1) / 20 - 1
    x = torch.cartesian_prod(axis, axis)
    y = 0.5 * torch.sin(5 * x[:, :1]) * torch.cos(4 * x[:, 1:])
    spec = CoordinateSpec(kind=kind, axes=2, channels=1, width=32, input_scale=12.0, explicit=explicit)
    assert fit(spec, x, y, REUSE, reuse=True, batch=400) < 0.02 * float(y.var())


def test_evaluation_raises_where_a_fixed_point_is_not_reached() -> None:
    network = make("fourier", normalise=False)
    with torch.no_grad():
        network.tensors["A"] *= 100
    with pytest.raises(ConvergenceError, match="make the layer contract"):
        evaluate(CoordinateField(network), points(30))


def test_sizes_out_of_range_and_wrong_coordinates_are_refused() -> None:
    with pytest.raises(UsageError, match="'sine'; expected one of siren, fourier, gabor"):
        CoordinateSpec(kind="sine", axes=2, channels=1)
    for sizes in ({"axes": 4}, {"channels": 0}, {"width": 5000}, {"layers": 0}, {"input_scale": float("inf")}, {"rho": 1.0}, {"omega": float("nan")}):
        with pytest.raises(LimitError, match=next(iter(sizes))):
            CoordinateSpec(**{"kind": "siren", "axes": 2, "channels": 1, **sizes})
    field = CoordinateField(make("siren"))
    with pytest.raises(UsageError, match=r"\(3, 1\); expected \(N, 2\)"):
        field(torch.zeros(3, 1), solving=ANEW)
    with pytest.raises(UsageError, match="blocks of 0"):
        evaluate(field, points(3), block=0)
