"""The fit: the float rate model is the coder's twin, windows cover a picture once, and the loop lowers the loss reproducibly."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from i2compress.coding.context_model import LOG2_SCALE_SHIFT, MAGNITUDES
from i2compress.coding.laplace import SCALE_LOW_LOG2
from i2compress.coding.latents import latent_bits
from i2compress.coding.weights import WeightGroup
from i2compress.config import EncodeSettings
from i2compress.efforts import EFFORTS, STARTED_STEPS
from i2compress.errors import ResourceError, UsageError
from i2compress.field.pyramid import PyramidField
from i2compress.field.spec import PyramidSpec, prior
from i2compress.field.weights import context_weights, dequantise
from i2compress.fit import StepInfo, compensate, fit_signal, pick_device
from i2compress.fit.compensate import quantise
from i2compress.fit.distortion import SquaredError
from i2compress.fit.network_bits import SCALE_HIGH_LOG2, GridInputs, Neighbours, laplace_bits, network_bits
from i2compress.fit.problem import Problem
from i2compress.fit.rate import ContextModel, soft_round
from i2compress.fit.schedule import Compensation, Schedule, pyramid_schedule, started_schedule
from i2compress.fit.stages import fit_pyramid
from i2compress.fit.windows import cut, cut_all, windows

CPU = torch.device("cpu")


def picture(height: int = 48, width: int = 56) -> np.ndarray:
    """A smooth gradient with an edge, `[H, W, 3]`."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    edge = (x + y > 0.7) * 0.3
    return np.stack([0.2 + 0.5 * x + edge, 0.7 - 0.4 * y, 0.4 + 0.2 * np.sin(9 * x) + edge], -1).astype(np.float32)


def problem(values: np.ndarray, steps: int = 40, **fields: object) -> Problem:
    spec = PyramidSpec(grid=values.shape[:-1], channels=values.shape[-1], width=8, levels=4, hidden=8)
    return Problem(SquaredError(values, device=CPU), spec, 1e-3, device=CPU, schedule=replace(Schedule(steps=steps), **fields))


def test_soft_rounding_is_the_identity_when_hot_and_rounds_when_cold() -> None:
    x = torch.tensor([-1.7, -0.4, 0.2, 0.49, 2.6])
    torch.testing.assert_close(soft_round(x, 1e3), x)
    torch.testing.assert_close(soft_round(x, 1e-3), torch.round(x))


@pytest.mark.parametrize("log2_scale", [-4.0, -1.0, 0.0, 3.0])
def test_laplace_bits_are_those_of_the_interval_and_of_the_coder_s_least_probability(log2_scale: float) -> None:
    residual = torch.linspace(-3, 3, 25, dtype=torch.float64)
    b = 2**log2_scale

    def distribution(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x < 0, 0.5 * torch.exp(x / b), 1 - 0.5 * torch.exp(-x / b))

    mass = distribution(residual + 0.5) - distribution(residual - 0.5)
    bits, _, _ = laplace_bits(residual, torch.full_like(residual, log2_scale))
    torch.testing.assert_close(bits, -torch.log2(mass + 2.0**-24), rtol=1e-3, atol=1e-3)


def test_the_derivatives_of_the_bits_are_those_of_finite_differences() -> None:
    residual = torch.tensor([-2.3, -0.7, -0.2, 0.1, 0.6, 1.4, 5.0], dtype=torch.float64)
    scale = torch.tensor([-2.0, 0.3, -1.0, 1.0, 2.5, -0.5, 0.0], dtype=torch.float64)
    _, by_residual, by_scale = laplace_bits(residual, scale)
    step = 1e-6
    slope = (laplace_bits(residual + step, scale)[0] - laplace_bits(residual - step, scale)[0]) / (2 * step)
    torch.testing.assert_close(by_residual, slope, rtol=1e-5, atol=1e-7)
    slope = (laplace_bits(residual, scale + step)[0] - laplace_bits(residual, scale - step)[0]) / (2 * step)
    torch.testing.assert_close(by_scale, slope, rtol=1e-5, atol=1e-7)


def test_the_bits_of_blocks_have_the_gradients_that_autograd_finds() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    offsets, hidden = [(0, -1), (-1, 0), (-2, 1)], 5
    seen, features, target, places = random(7 + 4, 9 + 2), random(4, 6, 8), random(6, 8), random(2, 6, 8).detach()
    inputs = len(offsets) + 4 + 2
    network = [random(hidden, inputs), random(hidden), random(hidden, hidden), random(hidden), random(2, hidden), random(2), random(2, inputs)]
    w1, b1, w2, b2, w3, b3, ws = network

    def plain() -> torch.Tensor:
        near = [seen[2 + 1 + dy : 2 + 1 + dy + 6, 1 + 1 + dx : 1 + 1 + dx + 8] for dy, dx in offsets]
        x = torch.cat([torch.stack(near), features, places]).flatten(1)
        h1 = torch.relu(w1 @ x + b1[:, None])
        out = w3 @ (h1 + torch.relu(w2 @ h1 + b2[:, None])) + b3[:, None] + ws @ x
        scale = torch.exp2((out[1] + LOG2_SCALE_SHIFT).clamp(SCALE_LOW_LOG2, SCALE_HIGH_LOG2))
        distance = (target.flatten() - out[0]).abs()
        upper, lower = torch.exp(-(distance - 0.5).abs() / scale), torch.exp(-(distance + 0.5) / scale)
        mass = torch.where(distance > 0.5, 0.5 * (upper - lower), 1 - 0.5 * (upper + lower))
        return (0.0004 - torch.log2(mass + 2.0**-24)).sum()

    found = network_bits(
        Neighbours(offsets), network, [GridInputs(seen=seen, features=features, places=places, target=target, begin=(1, 1))], block=20
    )
    torch.testing.assert_close(found, plain())
    leaves = [*network, seen, features, target]
    for ours, theirs in zip(torch.autograd.grad(3 * found, leaves), torch.autograd.grad(3 * plain(), leaves), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("core", "begin"), [((6, 300), (1, 1)), ((3, 4, 150), (0, 1, 2))])
def test_the_compiled_bits_and_their_gradients_are_those_of_float64(core: tuple[int, ...], begin: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).requires_grad_()

    axes, hidden = len(core), 5
    offsets = [(0, -1), (-1, 0), (-2, 1)] if axes == 2 else [(0, 0, -1), (-1, 0, 0), (-2, 1, 1)]
    grids = []
    for far in (1.0, 30.0):  # near the mean and far out
        padded = [size + 2 * reach + 3 for size, reach in zip(core, (2, *(1,) * (axes - 1)), strict=True)]
        values = [(scale * random(*shape)).detach().requires_grad_() for scale, shape in ((1.0, padded), (1.0, (4, *core)), (far, core))]
        grids.append(GridInputs(seen=values[0], features=values[1], places=random(2, *core).detach(), target=values[2], begin=begin))
    inputs = len(offsets) + 4 + 2
    network = [random(hidden, inputs), random(hidden), random(hidden, hidden), random(hidden), random(2, hidden), random(2), random(2, inputs)]
    leaves = [*network, *(tensor for grid in grids for tensor in (grid.seen, grid.features, grid.target))]
    exact_leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
    exact_grids = [
        replace(grid, seen=seen, features=features, target=target, places=None if grid.places is None else grid.places.double())
        for grid, (seen, features, target) in zip(grids, zip(*(exact_leaves[7 + k :: 3] for k in range(3)), strict=True), strict=True)
    ]
    compiled = network_bits(Neighbours(offsets), network, grids)
    exact = network_bits(Neighbours(offsets), exact_leaves[:7], exact_grids, block=1000)
    torch.testing.assert_close(compiled.double(), exact, rtol=1e-5, atol=0)
    for ours, right in zip(torch.autograd.grad(3 * compiled, leaves), torch.autograd.grad(3 * exact, exact_leaves), strict=True):
        assert float((ours - right).abs().max()) <= 1e-4 * float(right.abs().max())
    with torch.no_grad():
        torch.testing.assert_close(network_bits(Neighbours(offsets), network, grids), compiled)
        # Where all that is read is far out, float32 says little of gradients; the bits are right nevertheless.
        wild, right = ([replace(grid, seen=30 * grid.seen, features=30 * grid.features) for grid in of] for of in (grids, exact_grids))
        found, exact = network_bits(Neighbours(offsets), network, wild), network_bits(Neighbours(offsets), exact_leaves[:7], right, block=1000)
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("origins", [None, [(3, 2), (1, 0), (0, 0)]])
def test_interpolation_has_the_gradients_of_finite_differences(origins: list[tuple[int, int]] | None) -> None:
    spec = PyramidSpec(grid=(9, 11), channels=1, levels=3, width=2, hidden=2)
    field = PyramidField(spec, prior(0, spec)).double()
    shapes = spec.latent_shapes if origins is None else [(5, 6), (4, 5), (3, 3)]
    generator = torch.Generator().manual_seed(0)
    latents = [torch.randn(1, 1, *shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    taps = field.tensors["up"]

    def features(taps: torch.Tensor, *latents: torch.Tensor) -> torch.Tensor:
        field.tensors = torch.nn.ParameterDict({**field.tensors, "up": taps})
        return field.features(latents, origins)

    assert torch.autograd.gradcheck(features, (taps, *latents))


@pytest.mark.parametrize(("grid", "planes"), [((40, 52), 1), ((41, 50), 2), ((12, 10, 14), 1)])
def test_the_float_rate_model_agrees_with_the_integer_coder(grid: tuple[int, ...], planes: int) -> None:
    spec = PyramidSpec(grid=grid, channels=1, levels=4, hidden=8, planes=planes, split=planes - 1)
    generator = np.random.default_rng(0)
    # On a grid of 2**-10 both models hold the same weights, so only rounding and the table can differ.
    base = {name: np.round((value + 0.1 * generator.normal(size=value.shape)) * 1024) / 1024 for name, value in prior(0, spec).items()}
    model = ContextModel(spec, base)
    latents = [generator.laplace(0, 0.8, shape).round().astype(np.int32) for shape in spec.latent_shapes]
    with torch.no_grad():
        estimate = float(model([torch.from_numpy(grid.astype(np.float32))[None, None] for grid in latents]))
    zero = prior(0, spec)
    groups = {n: WeightGroup(symbols=((base[n] - zero[n]) * 1024).round().astype(np.int64), exponent=10) for n in spec.weight_shapes}
    exact = latent_bits(latents, context_weights(spec, groups, zero), tile=256).sum()
    assert estimate == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("grid", [(33, 47), (300, 500), (129, 1000)])
def test_the_cores_of_the_windows_cover_every_grid_exactly_once(grid: tuple[int, int]) -> None:
    spec = PyramidSpec(grid=grid, channels=3, levels=5, planes=3, split=2)
    pieces = windows(spec, 64)
    for level, shape in enumerate(spec.latent_shapes):
        seen = np.zeros(shape, int)
        for window in pieces:
            seen[window.core[level]] += 1
            assert np.zeros(shape)[window.whole[level]][window.inner[level]].shape == np.zeros(shape)[window.core[level]].shape
        assert (seen == 1).all()


@pytest.mark.parametrize(("grid", "core"), [((150, 210), 32), ((20, 24, 60), 16)])
def test_a_window_gives_its_core_as_the_whole_does(grid: tuple[int, ...], core: int) -> None:
    spec = PyramidSpec(grid=grid, channels=2, levels=4, width=4, hidden=4, planes=2, split=1)
    whole = Problem(SquaredError(np.zeros((*grid, 2), np.float32), device=CPU), spec, 1e-3, device=CPU, schedule=Schedule(steps=1))
    generator = torch.Generator().manual_seed(0)
    for tensor in whole.weights().values():
        tensor.data += 0.05 * torch.randn(tensor.shape, generator=generator)
    latents = [torch.randint(-3, 4, (1, 1, *shape), generator=generator).float() for shape in spec.latent_shapes]
    pieces, bits = windows(spec, core), 0.0
    assert len(pieces) > 3
    with torch.no_grad():
        everything = whole.field(latents)
        for window in pieces:
            seen = cut_all(latents, window)
            inner = cut(whole.field(seen, window.origins), window.inner[0])
            torch.testing.assert_close(inner, cut(everything, window.core[0]))
            bits += float(whole.context(seen, window))
        assert bits == pytest.approx(float(whole.context(latents)), rel=1e-5)


def test_the_fit_lowers_the_loss_and_reports_every_step() -> None:
    infos: list[StepInfo] = []
    result = fit_pyramid(problem(picture()), on_step=infos.append)
    assert [info.step for info in infos] == list(range(1, 41))
    assert result.loss < 0.5 * infos[0].loss
    assert infos[-1].eta == pytest.approx(0, abs=1e-6) and infos[-1].after > 0
    assert all(math.isfinite(info.loss) for info in infos)


def test_the_same_seed_gives_the_same_latents_and_another_seed_others() -> None:
    runs = [fit_pyramid(problem(picture(), 40), seed=seed).latents for seed in (0, 0, 1)]
    assert all(np.array_equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(runs[0], runs[2], strict=True))


def test_candidates_are_tried_and_the_best_goes_on_to_the_last_step() -> None:
    infos: list[StepInfo] = []
    fit_pyramid(problem(picture(), 20, candidates=2, candidate_share=0.25), on_step=infos.append)
    assert [info.step for info in infos] == [*range(1, 6), *range(1, 6), *range(6, 21)]


def test_a_stop_ends_the_fit_with_the_best_state_so_far() -> None:
    infos: list[StepInfo] = []
    result = fit_pyramid(problem(picture(), 1000), on_step=infos.append, stop=lambda: len(infos) >= 3)
    assert result.steps == 3
    assert len(result.latents) == 4


def test_a_time_limit_brings_the_schedule_to_its_end() -> None:
    infos: list[StepInfo] = []
    fit_pyramid(problem(picture(), 10**6, time_limit=0.5), on_step=infos.append)
    assert 1 < len(infos) < 10**5
    assert infos[-1].elapsed < 5


@pytest.mark.parametrize(
    ("steps", "changes", "expected"),
    [
        (200, {}, True),
        (199, {}, False),
        (200, {"time_limit": 1e6}, True),
        (10**6, {"time_limit": 4.0}, False),
    ],
)
def test_which_fits_are_quantised_with_compensation(steps: int, changes: dict[str, float], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fit_pyramid(problem(picture(), steps, **changes))
    assert found.compensate is expected
    called: list[str] = []
    monkeypatch.setattr(compensate, "compensated", lambda *_: called.append("compensated"))
    monkeypatch.setattr(compensate, "search", lambda *_, **__: called.append("search"))
    quantise(problem(picture()), found)
    assert called == (["compensated", "search"] if expected else ["search"])  # the second where the first finds nothing


def test_large_pictures_wide_fields_and_fits_that_were_stopped_do_without_compensation() -> None:
    early = Compensation(steps=3)
    assert fit_pyramid(problem(picture(), 3, compensation=early)).compensate
    count = [0]
    assert not fit_pyramid(problem(picture(), 10, compensation=early), stop=lambda: count.append(0) or len(count) > 6).compensate
    for compensation in (None, replace(early, samples=100), replace(early, weights=100)):
        assert not fit_pyramid(problem(picture(), 3, compensation=compensation)).compensate


def test_a_schedule_anneals_between_its_ends() -> None:
    schedule = Schedule(steps=100)
    assert (schedule.temperature(0.0), schedule.noise(0.0)) == (0.5, 0.25)
    assert (schedule.temperature(0.9), schedule.noise(0.9)) == pytest.approx((0.08, 0.15))
    assert not schedule.frozen(0.89) and schedule.frozen(0.9)
    assert schedule.rates(0.0, 0) == pytest.approx((2e-3, 4e-3, 2e-3, 1e-3))  # the first of ten warm-up steps
    assert schedule.rates(0.25, 20) == (2e-2, 4e-2, 2e-2, 1e-2)
    assert schedule.rates(0.575, 50) == pytest.approx((1e-2, 2e-2, 1e-2, 5e-3))  # half way down
    assert schedule.rates(0.9, 90) == pytest.approx((1e-3, 2e-3, 1e-3, 0))
    assert schedule.rates(1.0, 100) == pytest.approx((1e-4, 2e-4, 1e-4, 0))
    each = pyramid_schedule(EncodeSettings(steps=100), (8, 8))
    assert each.rates(0.0, 12, 4).latents == pytest.approx(4e-3)  # the fourth step on each of four windows
    assert schedule.rates(0.0, 12, 4) == schedule.rates(0.0, 12)


def test_longer_fits_of_pictures_have_fewer_coarse_steps_and_freeze_later() -> None:
    def chosen(steps: int, grid: tuple[int, ...] = (8, 8), time_limit: float | None = None) -> tuple[float, float, float]:
        schedule = pyramid_schedule(EncodeSettings(steps=steps, time_limit=time_limit), grid)
        assert schedule.coarse is not None
        return schedule.coarse.steps, schedule.recursion_rate, -schedule.frozen_from

    few, between, many = chosen(60), chosen(120), chosen(250)
    assert all(a > b > c for a, b, c in zip(few, between, many, strict=True))
    assert chosen(20) == (3 * few[0], *few[1:]) and chosen(5000) == many  # in fewer steps than that coarse ones are most of them
    assert chosen(250, time_limit=5.0) == few and chosen(250, (8, 8, 8)) == few


def test_short_fits_of_pictures_without_a_trained_prior_apply_the_layer_less_often() -> None:
    short, long = (EncodeSettings(steps=steps) for steps in (60, 250))
    assert pyramid_schedule(short, (8, 8)).iterations < pyramid_schedule(long, (8, 8)).iterations
    others = (pyramid_schedule(short, (8, 8), trained=True), pyramid_schedule(short, (8, 8, 8)))
    assert all(schedule.iterations == pyramid_schedule(long, (8, 8)).iterations for schedule in others)


def test_steps_are_those_given_or_of_the_effort_by_the_kind_of_fit() -> None:
    for make in (pyramid_schedule, started_schedule):
        assert make(EncodeSettings(steps=7)).steps == 7
    assert pyramid_schedule(EncodeSettings(effort=7)).candidates == 2
    assert [make(EncodeSettings(effort=2)).steps for make in (pyramid_schedule, started_schedule)] == [EFFORTS[2].steps, STARTED_STEPS[2]]


def test_several_windows_fit_one_picture() -> None:
    task = problem(picture(96, 112), 15)
    task.windows = windows(task.spec, 40)
    assert len(task.windows) > 3
    infos: list[StepInfo] = []
    result = fit_pyramid(task, on_step=infos.append)
    assert len(infos) == 15 * len(task.windows)
    assert result.loss < 0.5 * infos[0].loss
    assert all((grid != 0).any() for grid in result.latents[1:3])


def test_quantisation_leaves_the_network_at_the_values_the_decoder_sees_and_costs_little() -> None:
    task = problem(picture(), 60)
    fitted = fit_pyramid(task)
    quantised = quantise(task, fitted)
    seen = dequantise(quantised.groups, task.prior)
    for name, tensor in task.weights().items():
        np.testing.assert_allclose(tensor.detach().numpy(), seen[name], rtol=1e-6)
    latents = [torch.from_numpy(grid.astype(np.float32))[None, None] for grid in fitted.latents]
    distortion, rate = task.distortion_of(latents, task.windows[0]), task.rate_of(latents, task.windows[0])
    assert distortion + task.lam * rate < 1.5 * fitted.loss
    assert quantised.bits > 100


def test_colour_without_importance_does_not_count() -> None:
    values = picture()
    weights = np.ones_like(values)
    weights[:, 28:] = 0
    noisy = values.copy()
    noisy[:, 28:] = np.random.default_rng(0).uniform(size=noisy[:, 28:].shape)
    settings = EncodeSettings(lam=1e-3, steps=10)
    spec = PyramidSpec(grid=values.shape[:-1], channels=3, width=8, levels=4, hidden=8)
    results = [fit_signal(v, spec, settings, importance=weights) for v in (values, noisy)]
    assert all(np.array_equal(a, b) for a, b in zip(results[0].latents, results[1].latents, strict=True))


def test_devices_are_named_or_refused_in_a_sentence() -> None:
    assert pick_device("cpu") == CPU
    with pytest.raises(UsageError, match="expected auto, cpu"):
        pick_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ResourceError, match="not available"):
            pick_device("cuda")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA"), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_a_sentence_and_other_errors_are_what_they_are(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Problem, *args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(Problem, "__init__", fails)
    spec = PyramidSpec(grid=(8, 8), channels=1)
    with pytest.raises(ResourceError, match="not enough memory"):
        fit_signal(np.zeros((8, 8, 1), np.float32), spec, EncodeSettings(steps=1))
    error = RuntimeError("something else")
    with pytest.raises(RuntimeError, match="something else"):
        fit_signal(np.zeros((8, 8, 1), np.float32), spec, EncodeSettings(steps=1))


def test_where_places_are_read_windows_are_cut_along_one_axis_only_and_count_what_the_whole_does() -> None:
    spec = PyramidSpec(grid=(2, 80, 900), channels=1, levels=1, hidden=4, context_inputs=MAGNITUDES)
    parts = windows(spec, 32)
    assert len(windows(spec, None)) == 1 < len(parts)
    assert all(part.core[0][0::2] == (slice(0, 2), slice(0, 900)) for part in parts)
    model = ContextModel(spec, prior(0, spec))
    latents = torch.from_numpy(np.random.default_rng(0).integers(-3, 4, spec.grid).astype(np.float32))[None, None]
    with torch.no_grad():
        whole = float(model([latents]))
        apart = sum(float(model([cut(latents, part.whole[0])], part)) for part in parts)
    assert apart == pytest.approx(whole, rel=1e-4)
