"""Half the resolution first: what it finds means the same in the whole pyramid, it costs what it is counted as, and it lowers the loss."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from i2compress import EncodeSettings, Signal
from i2compress.codec import encode
from i2compress.field.pyramid import PyramidField
from i2compress.field.spec import PyramidSpec, prior
from i2compress.fit import StepInfo
from i2compress.fit.coarse import halved_spec, joined, parted
from i2compress.fit.distortion import SquaredError
from i2compress.fit.network_bits import inputs
from i2compress.fit.problem import Problem
from i2compress.fit.pyramid import PyramidFit
from i2compress.fit.rate import ContextModel
from i2compress.fit.schedule import Coarse, Schedule
from i2compress.fit.stages import fit_pyramid
from tests.benchmarks.steps import source
from tests.pictures import COFFEE

CPU = torch.device("cpu")
SPEC = PyramidSpec(grid=(72, 89), channels=3, width=6, levels=5, hidden=5, planes=3, split=1)


def test_the_halved_pyramid_has_all_grids_but_the_finest() -> None:
    half = halved_spec(SPEC)
    assert half.latent_shapes == SPEC.latent_shapes[1:]
    assert half.latent_shapes[0] == half.grid == (36, 45)
    assert (
        halved_spec(PyramidSpec(grid=(7, 9, 20), channels=1, levels=4)).latent_shapes
        == PyramidSpec(grid=(7, 9, 20), channels=1, levels=4).latent_shapes[1:]
    )


def test_a_halved_pyramid_of_three_axes_keeps_which_of_them_each_level_halves() -> None:
    spec = PyramidSpec(grid=(16, 24, 20), channels=3, levels=6, planes=3, split=1, sharp=0b110, steady=0b1000)
    assert halved_spec(spec).latent_shapes == spec.latent_shapes[1:]
    assert Coarse(samples=1).pays(spec, 100) and not Coarse(samples=1).pays(replace(spec, sharp=0b111), 100)


def test_a_halved_pyramid_begins_where_the_whole_one_does() -> None:
    spec = replace(SPEC, grid=(16, 24, 20))
    half, weights = halved_spec(spec), random_weights(spec, 1)
    tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
    found = parted(spec, tensors)
    assert {name: value.shape for name, value in found.items()} == {name: half.weight_shapes[name] for name in found}
    coarse = {name: torch.from_numpy(value) for name, value in ({**prior(0, half), **found}).items()}
    for name, value in joined(spec, tensors, coarse).items():
        np.testing.assert_array_equal(value, weights[name])


def random_weights(spec: PyramidSpec, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: value + 0.1 * rng.standard_normal(value.shape) for name, value in prior(0, spec).items()}


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, planes=1, split=0), replace(SPEC, explicit=True)])
def test_features_and_context_of_the_coarse_grids_are_the_same_in_the_whole_pyramid(spec: PyramidSpec) -> None:
    half, rng = halved_spec(spec), np.random.default_rng(3)
    whole_start, coarse = random_weights(spec, 1), random_weights(half, 2)
    found = joined(spec, {name: torch.from_numpy(value) for name, value in whole_start.items()}, {n: torch.from_numpy(v) for n, v in coarse.items()})
    assert {name: value.shape for name, value in found.items()} == spec.weight_shapes
    latents = [torch.from_numpy(rng.integers(-3, 4, shape).astype(np.float32))[None, None] for shape in spec.latent_shapes]
    below = PyramidField(half, coarse).features(latents[1:])
    features = PyramidField(spec, found).features(latents)
    shift = PyramidField(spec, found | {"up": found["up"] * 0}).features(latents)  # only the finest grid is left at its own resolution
    assert torch.equal(features[:, -1], latents[0][:, 0]) and torch.equal(shift[:, -1], latents[0][:, 0])
    assert below.shape[1] == features.shape[1] - 1
    matrix = found["B"][:, :-1]
    np.testing.assert_array_equal(matrix, coarse["B"])
    np.testing.assert_array_equal(found["up"][1:], coarse["up"])
    ours, theirs = ContextModel(spec, found), ContextModel(half, coarse)
    for number in range(1, spec.context.maps):
        torch.testing.assert_close(inputs(ours.offsets, ours.grid(latents, number)), inputs(theirs.offsets, theirs.grid(latents[1:], number - 1)))


def test_the_halved_signal_is_means_of_neighbours_weighed_by_their_importance() -> None:
    values = np.array([[[0.0], [1.0], [0.5]], [[0.2], [0.6], [0.7]], [[0.3], [0.1], [0.9]]], np.float32)
    half = SquaredError(values, device=CPU).halved()
    expected = [[(0 + 1 + 0.2 + 0.6) / 4, 0.6], [0.2, 0.9]]
    np.testing.assert_allclose(half._target[0, 0], expected, rtol=1e-6)
    importance = np.array([[[0.0], [1.0], [1.0]], [[0.0], [1.0], [0.0]], [[0.0], [0.0], [1.0]]], np.float32)
    half = SquaredError(values, importance, device=CPU).halved()
    np.testing.assert_allclose(half._target[0, 0], [[0.8, 0.5], [0.2, 0.9]], rtol=1e-6)  # where nothing counts, the plain mean
    np.testing.assert_allclose(half._importance[0, 0], [[0.5, 0.5], [0.0, 1.0]])


def coffee(steps: int, side: int = 128, **fields: object) -> Problem:
    values = source(COFFEE, f"{side}x{side}").values
    spec = PyramidSpec(grid=values.shape[:-1], channels=3, width=8, levels=6, hidden=8, step_code=50)
    schedule = replace(Schedule(steps=steps, compensation=None), **fields)
    return Problem(SquaredError(values, device=CPU), spec, 1e-3, device=CPU, schedule=schedule)


def test_half_the_resolution_first_lowers_the_loss_at_the_same_cost() -> None:
    first = fit_pyramid(coffee(60))
    alone = fit_pyramid(coffee(60, coarse=None))
    assert first.steps == pytest.approx(alone.steps, abs=1) and alone.steps == 60
    assert first.loss < 0.97 * alone.loss


def still_volume() -> np.ndarray:
    """A part of a picture that brightens, with noise, `[16, 32, 40, 3]`."""
    picture, noise = source(COFFEE, "96x96").values[30:62, 20:60], np.random.default_rng(0)
    return np.stack([picture * (0.8 + 0.01 * t) + noise.normal(0, 1 / 255, picture.shape) for t in range(16)]).clip(0, 1).astype(np.float32)


def test_half_the_resolution_first_lowers_the_loss_of_a_volume_too() -> None:
    spec = PyramidSpec(grid=(16, 32, 40), channels=3, width=6, levels=5, hidden=6, sharp=0b10, step_code=50)
    schedules = [replace(Schedule(steps=40, compensation=None), coarse=coarse) for coarse in (Coarse(), None)]
    error = SquaredError(still_volume(), device=CPU)
    losses = [fit_pyramid(Problem(error, spec, 1e-3, device=CPU, schedule=schedule)).loss for schedule in schedules]
    assert losses[0] < 0.95 * losses[1]


def test_the_fit_on_the_halved_signal_begins_at_the_weights_of_another_fit_where_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    values = still_volume()[:, :16, :16, :1]
    spec = PyramidSpec(grid=(16, 16, 16), channels=1, width=6, levels=4, hidden=6, step_code=50)
    base, begun = {name: np.round(256 * value) / 256 for name, value in random_weights(spec, 4).items()}, []
    monkeypatch.setattr(PyramidFit, "step", lambda fit, share: begun.append({n: t.detach().numpy().copy() for n, t in fit.problem.weights().items()}))
    schedule = replace(Schedule(steps=20, compensation=None), coarse=Coarse(samples=1 << 12))
    fit_pyramid(Problem(SquaredError(values, device=CPU), spec, 1e-3, device=CPU, schedule=schedule, base=base))
    for name in ("A", "K", "W", "w1"):
        np.testing.assert_allclose(begun[0][name], base[name], atol=1e-6)
    np.testing.assert_allclose(begun[0]["B"], base["B"][:, :-1], atol=1e-6)


def test_steps_are_told_of_as_those_of_one_fit() -> None:
    told: list[StepInfo] = []
    fitted = fit_pyramid(coffee(40, coarse=Coarse(samples=1 << 10)), on_step=told.append)
    steps = [info.step for info in told]
    assert steps == sorted(steps) and steps[0] == 1 and abs(steps[-1] - 40) <= 1
    assert abs(fitted.steps - 40) <= 1
    assert all(abs(info.steps - 40) <= 2 and info.step <= info.steps for info in told)
    assert all(later.elapsed >= earlier.elapsed for earlier, later in pairwise(told))
    assert len(told) > 50  # those of the halved signals count less


def test_a_time_limit_holds_for_both_together(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[StepInfo] = []
    fitted = fit_pyramid(coffee(100000, time_limit=2.0), on_step=told.append)
    assert 0 < fitted.steps < 5000
    assert 0.5 < told[-1].elapsed < 3


def test_a_fit_that_is_stopped_at_once_gives_a_picture_all_the_same() -> None:
    fitted = fit_pyramid(coffee(100, side=64, coarse=Coarse(samples=1)), stop=lambda: True)
    assert [grid.shape for grid in fitted.latents] == [(64 >> level, 64 >> level) for level in range(6)]


def test_small_signals_and_those_that_start_at_their_places_have_no_coarse_fit() -> None:
    assert Schedule(steps=30).with_coarse(PyramidSpec(grid=(20, 20), channels=1, levels=4)) is None
    assert Schedule(steps=30).with_coarse(PyramidSpec(grid=(2000, 2000), channels=3, levels=6, planes=3, split=0)) is None
    first, then = Schedule(steps=100, time_limit=60.0, candidates=3).with_coarse(PyramidSpec(grid=(600, 600), channels=3, levels=6)) or (None, None)
    assert first is not None and then is not None
    assert first.candidates == 1 and then.candidates == 3 and first.time_limit is not None and first.time_limit < 20
    assert first.steps / 4 + then.steps == pytest.approx(100, abs=1)
    assert first.rates(1.0, 100) == first.rates(0.0, 100) and not first.frozen(1.0) and then.frozen(1.0)
    quarter, half = first.with_coarse(PyramidSpec(grid=(300, 300), channels=3, levels=5)) or (None, None)
    assert quarter is not None and half is not None  # neither of them comes to the end of the schedule
    assert quarter.rates(1.0, 100) == half.rates(1.0, 100) == first.rates(0.0, 100)
    assert Schedule(steps=19).with_coarse(PyramidSpec(grid=(600, 600), channels=3, levels=6)) is None


def test_a_few_steps_give_a_picture_already() -> None:
    rows, columns = np.mgrid[:160, :192]
    values = 0.5 + 0.3 * np.sin(rows / 9.0) * np.cos(columns / 13.0) + 0.1 * np.sin(rows * columns / 90.0)
    picture = Signal(values=np.repeat(values[..., None], 3, -1).astype(np.float32))
    made = encode(picture, EncodeSettings(steps=8, threads=1, start="none", tune="psnr"))
    assert made.psnr > 22  # as many steps on the whole picture come to 16 dB
