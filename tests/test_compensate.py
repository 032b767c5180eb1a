"""Quantised weights whose errors later weights make up for: the quadratic is that of the true cost, and the result costs less."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from i2compress.coding.weights import weight_bits
from i2compress.field.spec import PyramidSpec
from i2compress.field.weights import dequantise
from i2compress.fit import compensate
from i2compress.fit.compensate import PyramidTrial, compensated, quantise
from i2compress.fit.distortion import SquaredError
from i2compress.fit.loss_terms import DistortionTerm, RateTerm, Sampling
from i2compress.fit.network_bits import fisher_information, laplace_bits
from i2compress.fit.problem import FittedPyramid, Problem
from i2compress.fit.quantise import search
from i2compress.fit.schedule import Schedule
from i2compress.fit.stages import fit_pyramid

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=[False, True], ids=["implicit", "explicit"])
def fitted(request: pytest.FixtureRequest) -> tuple[Problem, FittedPyramid]:
    y, x = np.mgrid[:48, :56] / 56
    edge = (x + y > 0.7) * 0.3
    values = np.stack([0.2 + 0.5 * x + edge, 0.7 - 0.4 * y, 0.4 + 0.2 * np.sin(9 * x) + edge], -1).astype(np.float32)
    spec = PyramidSpec(grid=(48, 56), channels=3, width=6, levels=4, hidden=6, explicit=request.param)
    problem = Problem(SquaredError(values, device=CPU), spec, 1e-3, device=CPU, schedule=Schedule(steps=60))
    return problem, fit_pyramid(problem)


def latents(found: FittedPyramid) -> list[torch.Tensor]:
    return [torch.from_numpy(grid.astype(np.float32))[None, None] for grid in found.latents]


def total(problem: Problem, found: FittedPyramid, bits: float) -> float:
    """(D + lambda R) / lambda in bits of the signal, of what the problem's networks hold."""
    distortion, rate = problem.distortion_of(latents(found), problem.windows[0]), problem.rate_of(latents(found), problem.windows[0])
    return (distortion / problem.lam + rate) * 48 * 56 * problem.samples + bits


def test_it_costs_less_than_rounding_tensor_by_tensor(fitted: tuple[Problem, FittedPyramid]) -> None:
    problem, found = fitted
    for name, tensor in problem.weights().items():
        tensor.data.copy_(torch.from_numpy(found.weights[name]))
    plain = search(PyramidTrial(problem, found))
    before = total(problem, found, plain.bits)
    better = compensated(problem, found)
    assert better is not None
    assert total(problem, found, better.bits) < 0.97 * before
    seen = dequantise(better.groups, problem.prior)
    assert list(better.groups) == list(problem.prior)
    for name, tensor in problem.weights().items():
        np.testing.assert_allclose(tensor.detach().numpy(), seen[name], rtol=1e-6)


def test_it_is_the_same_every_time_and_fits_may_do_without(fitted: tuple[Problem, FittedPyramid]) -> None:
    problem, found = fitted
    first, second = compensated(problem, found), compensated(problem, found)
    assert first is not None and second is not None
    assert all(np.array_equal(first.groups[name].symbols, second.groups[name].symbols) for name in first.groups)
    plain = search(PyramidTrial(problem, found)).bits
    assert quantise(problem, replace(found, compensate=False)).bits == plain != first.bits


def test_a_layer_that_does_not_contract_is_not_allowed_in_rounding_tensor_by_tensor() -> None:
    values = np.random.default_rng(0).random((12, 16, 3), dtype=np.float32)
    problem = Problem(SquaredError(values, device=CPU), PyramidSpec(grid=(12, 16), channels=3, levels=3), 0.1, device=CPU, schedule=Schedule(steps=2))
    found = fit_pyramid(problem)
    trial = PyramidTrial(problem, replace(found, weights=found.weights | {"A": np.zeros_like(found.weights["A"])}))
    allowed = []
    for tap in (0.9, 0.99):  # MAX_CONTRACTION lies between
        trial.load("K", np.full(problem.prior["K"].shape, tap / math.prod(problem.prior["K"].shape[1:])))
        allowed.append([trial.allows("A"), trial.allows("K")])
    assert allowed == [[True, True], [False, False]]


def test_what_is_late_is_rounded_without_a_look_at_the_loss(fitted: tuple[Problem, FittedPyramid]) -> None:
    problem, found = fitted
    trial = PyramidTrial(problem, found)
    measured: list[str] = []
    trial.loss = lambda name: measured.append(name) or 0.0  # type: ignore[assignment,func-returns-value,method-assign]
    hurried = search(trial, until=-math.inf)
    assert not measured and list(hurried.groups) == list(problem.prior)
    for name, values in dequantise(hurried.groups, problem.prior).items():
        step = 2.0 ** -hurried.groups[name].exponent
        np.testing.assert_allclose(values, found.weights[name], atol=step / 2 + 1e-12)
    late = quantise(problem, replace(found, compensate=True, until=0.0))  # compensation gives up, and the search is over at once
    assert {name: group.exponent for name, group in late.groups.items()} == {name: group.exponent for name, group in hurried.groups.items()}


def test_the_matrix_is_the_curvature_of_the_true_cost(fitted: tuple[Problem, FittedPyramid]) -> None:
    problem, found = fitted
    for name, tensor in problem.weights().items():
        tensor.data.copy_(torch.from_numpy(found.weights[name]))
    term = DistortionTerm(problem, latents(found), Sampling(patches=(64, 64), margin=0))  # all of the picture
    names = ["W", "S", "b", "R1", "R2"]
    names = [name for name in names if name in term.tensors]
    matrix, at = term.hessian(names), term.flat(names)
    # Gauss-Newton is exact for the implicit field's readout, which is linear; in the explicit twin's tail it is nearly so.
    move = 0.02 * np.random.default_rng(0).standard_normal(len(at))
    costs = []
    for sign in (-1, 0, 1):
        term.load(names, at + sign * move)
        costs.append(term.cost())
    term.load(names, at)
    assert move @ matrix @ move == pytest.approx(costs[0] + costs[2] - 2 * costs[1], rel=0.01 if not problem.spec.explicit else 0.1)


def test_the_means_and_scales_that_are_differentiated_are_those_of_the_rate(fitted: tuple[Problem, FittedPyramid]) -> None:
    problem, found = fitted
    term = RateTerm(problem, latents(found), Sampling(places=10**6))
    mean, scale = term.outputs()
    values = torch.cat([grid.flatten() for grid in latents(found)])
    assert laplace_bits(values - mean, scale)[0].sum().item() == pytest.approx(term.cost(), rel=1e-4)


def test_fisher_information_is_the_curvature_of_the_expected_bits() -> None:
    mean, scale = torch.tensor([0.0, 0.3, -1.4, 2.5], dtype=torch.float64), torch.tensor([-2.0, -0.5, -0.1, 3.0], dtype=torch.float64)
    found = fisher_information(torch.stack([mean, scale]))
    symbols = torch.arange(-300, 301, dtype=torch.float64)[:, None]
    mass = torch.exp2(-laplace_bits(symbols - mean, scale.expand(601, -1))[0])

    def expected(a: float, b: float) -> torch.Tensor:
        return (mass * laplace_bits(symbols - mean - a, (scale + b).expand(601, -1))[0]).sum(0)

    e = 1e-3
    by_mean = (expected(e, 0) + expected(-e, 0) - 2 * expected(0, 0)) / e**2
    by_scale = (expected(0, e) + expected(0, -e) - 2 * expected(0, 0)) / e**2
    both = (expected(e, e) + expected(-e, -e) - expected(e, -e) - expected(-e, e)) / (4 * e**2)
    torch.testing.assert_close(found[0, 0], by_mean, rtol=2e-2, atol=1e-3)
    torch.testing.assert_close(found[1, 1], by_scale, rtol=2e-2, atol=1e-3)
    torch.testing.assert_close(found[0, 1], both, rtol=2e-2, atol=1e-2)


def test_later_weights_follow_the_errors_of_earlier_ones() -> None:
    random = np.random.default_rng(1)
    x = random.standard_normal(12)
    mixed = random.standard_normal((12, 3))
    matrix = 1e4 * (mixed @ mixed.T) + 10 * np.eye(12)  # three directions matter, nine hardly
    factor = np.linalg.cholesky(np.linalg.inv(matrix)).T
    groups, rounded = compensate._quantise(x, factor, {"w": (12,)}, [12], 0.0)
    np.testing.assert_allclose(rounded, groups["w"].symbols * 2.0 ** -groups["w"].exponent)
    bits = weight_bits(groups["w"].symbols)[0]
    exponent = 0
    while weight_bits(np.rint(x * 2.0**exponent).astype(np.int64))[0] < bits:
        exponent += 1
    plain = np.rint(x * 2.0**exponent) * 2.0**-exponent  # rounding by itself, with at least as many bits
    assert (rounded - x) @ matrix @ (rounded - x) < 0.3 * ((plain - x) @ matrix @ (plain - x))


def test_what_is_too_far_for_the_format_is_cut() -> None:
    groups, values = compensate._quantise(np.array([5000.0, -0.5]), np.eye(2), {"w": (2,)}, [12], 0.0)
    assert groups["w"].symbols.tolist() == [1023, 0] and groups["w"].exponent == 0
    assert values.tolist() == [1023.0, 0.0]


def test_several_windows_with_planes_and_importance() -> None:
    sampling = Sampling(sides=(16, 16), loss_sides=(32, 32))
    values = np.random.default_rng(0).uniform(size=(70, 50, 3)).astype(np.float32)
    importance = np.ones_like(values)
    importance[20:] = importance[:, ::3] = 0
    spec = PyramidSpec(grid=(70, 50), channels=3, width=4, levels=3, hidden=4, planes=3, split=1)
    problem = Problem(SquaredError(values, importance, device=CPU), spec, 1e-3, device=CPU, schedule=Schedule(steps=30))
    found = fit_pyramid(problem)
    plain = search(PyramidTrial(problem, found, sampling=sampling))
    term = DistortionTerm(problem, latents(found), sampling)
    assert len(term.measured) > 1 and len(term._seen) > 1
    assert all(window.core[0][0].start < 20 for window in term.measured)
    assert 0 < float((term._weight == 0).float().mean()) < 1
    better = compensated(problem, found, sampling=sampling)
    assert better is not None
    losses = []
    for groups in (plain.groups, better.groups):
        for name, value in dequantise(groups, problem.prior).items():
            problem.weights()[name].data.copy_(torch.from_numpy(value))
        distortion, rate = problem.distortion_of(latents(found), problem.windows[0]), problem.rate_of(latents(found), problem.windows[0])
        losses.append(distortion + problem.lam * (rate + sum(weight_bits(g.symbols)[0] for g in groups.values()) / 3500))
    assert losses[1] < losses[0]
