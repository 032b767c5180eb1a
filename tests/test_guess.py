"""The first guess of the finest grids: what it is nearer to, what it leaves alone, and where it is made."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from i2compress import EncodeSettings, Kind, Signal
from i2compress.arrays import Float32Array
from i2compress.codec import encode
from i2compress.field.spec import Arrays, PyramidSpec
from i2compress.fit import stages
from i2compress.fit.distortion import SquaredError
from i2compress.fit.guess import guess_finest
from i2compress.fit.perceptual import VISUAL, Perceptual
from i2compress.fit.problem import Problem
from i2compress.fit.schedule import Coarse, Schedule
from i2compress.fit.windows import windows
from tests.benchmarks.steps import source
from tests.pictures import COFFEE

CPU = torch.device("cpu")
GUESSING = Coarse(guesses=True)


def coffee(steps: int, coarse: Coarse = GUESSING, **fields: object) -> Problem:
    values = source(COFFEE, "128x128").values
    spec = PyramidSpec(grid=values.shape[:-1], channels=3, width=8, levels=6, hidden=8, step_code=50)
    schedule = replace(Schedule(steps=steps, compensation=None, coarse=coarse), **fields)
    return Problem(SquaredError(values, device=CPU), spec, 1e-3, device=CPU, schedule=schedule)


class Guesses:
    """Makes the guesses of fits, and keeps them with what they were made from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.problems: list[Problem] = []
        self.found: list[tuple[Sequence[Float32Array], list[Float32Array]]] = []  # other grids, and the finest
        self.asked: list[tuple[Sequence[Float32Array], Problem, Sequence[torch.Tensor], Arrays]] = []
        monkeypatch.setattr(stages, "guess_finest", self)

    def __call__(
        self, problem: Problem, latents: Sequence[Float32Array], half: Problem, found: Sequence[torch.Tensor], weights: Arrays
    ) -> list[Float32Array]:
        self.asked.append((latents, half, found, {name: value.copy() for name, value in weights.items()}))
        guess = guess_finest(problem, latents, half, found, weights)
        self.problems.append(problem)
        self.found.append((latents, guess))
        return guess


def error(problem: Problem, latents: Sequence[Float32Array]) -> float:
    grids = [torch.from_numpy(grid)[None, None] for grid in latents]
    return problem.distortion_of(grids, problem.windows[0])


def test_a_guess_tells_much_of_what_the_other_grids_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    guesses, finest = Guesses(monkeypatch), []
    begin = Problem.begin_at

    def beginning(problem: Problem, start: object) -> None:
        begin(problem, start)
        if guesses.problems and guesses.problems[-1] is problem:
            latents, guess = guesses.found[-1]
            finest.append((error(problem, [*guess, *latents]), error(problem, [*(0 * grid for grid in guess), *latents])))

    monkeypatch.setattr(Problem, "begin_at", beginning)
    stages.fit_pyramid(coffee(30))
    (guessed, without), *_ = finest
    assert guessed < 0.9 * without


def test_a_fit_of_few_steps_ends_lower_with_a_guess() -> None:
    with_it, without = (stages.fit_pyramid(coffee(14, Coarse(fewest=4, steps=3.4, guesses=guesses))).loss for guesses in (True, False))
    assert with_it < 0.9 * without


def test_a_guess_is_the_same_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    guesses = Guesses(monkeypatch)
    problem = coffee(30)
    stages.fit_pyramid(problem)
    (latents, half, found, weights), (_, whole) = guesses.asked[-1], guesses.found[-1]
    problem.windows = windows(problem.spec, 32)
    assert len(problem.windows) > 4
    (apart,) = guess_finest(problem, latents, half, found, weights)
    differs = np.abs(apart - whole[0])
    assert np.mean(differs > 0.05 * np.abs(whole[0]).max()) < 0.001  # the layer looks a little further than the halo


def test_what_does_not_count_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    values, output = rng.random((24, 32, 3)).astype(np.float32), torch.from_numpy(rng.random((3, 24, 32)).astype(np.float32))
    counts = np.ones_like(values)
    counts[:, 16:] = 0
    part = (slice(0, 24), slice(0, 32))
    for distortion in (SquaredError(values, counts, device=CPU), Perceptual(values, counts, device=CPU, recipe=VISUAL)):
        left = distortion.residual(output, part).numpy()
        assert not left[:, :, 16:].any()
        np.testing.assert_allclose(left[:, :, :16], np.moveaxis(values, -1, 0)[:, :, :16] - output.numpy()[:, :, :16], rtol=1e-6)


@pytest.mark.parametrize(("start", "made"), [("none", True), ("auto", False)])
def test_guesses_are_for_pictures_without_trained_priors(monkeypatch: pytest.MonkeyPatch, start: str, made: bool) -> None:
    guesses = Guesses(monkeypatch)
    encode(source(COFFEE, "128x128"), EncodeSettings(steps=8, threads=1, tune="psnr", start=start))
    assert bool(guesses.asked) == made


def test_video_begins_without(monkeypatch: pytest.MonkeyPatch) -> None:
    guesses = Guesses(monkeypatch)
    frames = np.stack([source(COFFEE, "64x64").values] * 8)
    encode(Signal(values=frames, kind=Kind.VIDEO, rate=8), EncodeSettings(steps=20, threads=1))
    assert not guesses.asked


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    guesses = Guesses(monkeypatch)
    picture = source(COFFEE, "192x192")
    files = [encode(picture, EncodeSettings(steps=6, threads=threads, tune="psnr", start="none")).data for threads in (1, 2)]
    assert guesses.asked and files[0] == files[1]
