"""Fits that come to a wanted quality: lambda on the way, and where it begins."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from i2compress.config import AIM_ROOM, Aim
from i2compress.fit import steering
from i2compress.fit.steering import FROM, LOOKS, QUALITIES, UNTIL, QualitySteering
from i2compress.media.image.foresee import lambda_of_psnr, lambda_of_ssimulacra2
from i2compress.media.image.judge import judge_of
from i2compress.signal import Signal


@dataclass
class Lossy:
    """A fit whose quality goes with ln(lambda) as is usual, and rises on the way as is usual; `beside` is how far it is beside that."""

    measure: str
    at: float
    beside: float = 0.0
    lam: float = 1e-3
    schedule: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(steps=150))
    share: float = 0.0

    @property
    def end(self) -> float:
        """What it would come to under its lambda."""
        slope = QUALITIES[self.measure].slope_at(self.at)
        return self.at + self.beside + slope * math.log(self.lam / 1e-3)

    def now(self, _: object) -> float:
        """What is found at its share."""
        quality = QUALITIES[self.measure]
        return self.end - quality.rise * max(0.0, quality.settled - self.share) ** 2


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Lossy], list[float]]:
    """Lambda after each step of a fit that is steered towards what it says it is at."""
    monkeypatch.setattr(steering, "decoded", lambda problem, latents: np.zeros(0, np.float32))

    def run(problem: Lossy) -> list[float]:
        steered, lambdas = QualitySteering(problem, Aim(problem.measure, problem.at), problem.now), []  # type: ignore[arg-type]  # of the same form
        for step in range(problem.schedule.steps):
            problem.share = step / problem.schedule.steps
            steered.look(problem.share, list)
            lambdas.append(problem.lam)
        return lambdas

    return run


@pytest.mark.parametrize("measure", list(QUALITIES))
def test_a_fit_that_goes_as_usual_keeps_its_lambda(measure: str, looked: Callable[[Lossy], list[float]]) -> None:
    assert looked(Lossy(measure, 60.0)) == pytest.approx([1e-3] * 150)


@pytest.mark.parametrize("lacks", [-1.5, 1.5], ids=["too bad", "too good"])
@pytest.mark.parametrize("measure", list(QUALITIES))
def test_lambda_follows_the_quality(measure: str, lacks: float, looked: Callable[[Lossy], list[float]]) -> None:
    beside = lacks * abs(QUALITIES[measure].slope_at(60.0))
    problem = Lossy(measure, 60.0, beside=beside)
    lambdas = looked(problem)
    assert all((after >= before) if lacks > 0 else (after <= before) for before, after in pairwise(lambdas))
    assert abs(problem.end - 60.0) < 0.15 * abs(beside)
    assert len(set(lambdas)) <= (UNTIL - FROM) * LOOKS + 2 and lambdas[-1] == lambdas[len(lambdas) * 3 // 5]  # at looks alone, and not late


def test_the_first_steps_say_nothing(looked: Callable[[Lossy], list[float]]) -> None:
    problem = Lossy("psnr", 30.0, beside=5.0)
    lambdas = looked(problem)
    assert set(lambdas[: QualitySteering.settled_in]) == {1e-3} != set(lambdas)
    short = Lossy("psnr", 30.0, beside=5.0, schedule=SimpleNamespace(steps=25))
    assert set(looked(short)) == {1e-3}  # it has none but those


def test_the_last_part_is_made_once_more_between_two_ends() -> None:
    problem = Lossy("psnr", 30.0)
    steered = QualitySteering(problem, Aim("psnr", 30.0), problem.now)  # type: ignore[arg-type]  # of the same form
    assert steered.corrigible(30.3) and not steered.corrigible(40.0)
    steered.missed(math.log(1e-3), 30.3)
    assert problem.lam > 1e-3  # it was better than it need be
    worse = problem.lam
    steered.missed(math.log(worse), 29.9)
    assert math.log(problem.lam) == pytest.approx(math.log(1e-3) + 0.75 * math.log(worse / 1e-3))


def test_where_a_fit_begins_goes_with_the_quality_asked_for() -> None:
    values = np.random.default_rng(0).random((32, 40, 3), np.float32)
    for of in (lambda_of_ssimulacra2, lambda quality: lambda_of_psnr(values, quality)):
        lambdas = [of(quality) for quality in (20.0, 30.0, 40.0, 90.0)]
        assert lambdas == sorted(lambdas, reverse=True) and 0 < lambdas[-1] < lambdas[0] < 1
    finer = np.clip(0.5 + (values - 0.5) / 8, 0, 1)
    assert lambda_of_psnr(values, 30.0) < lambda_of_psnr(finer, 30.0)  # there is less of it to lose


def test_a_quality_is_judged_as_it_is_scored() -> None:
    signal = Signal.from_codes(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    wanted = signal.values
    off = np.clip(wanted + np.float32(3 / 255), 0, 1)
    psnr = judge_of("psnr", wanted, signal.layout, None)
    assert psnr(wanted) == math.inf and psnr(off) == pytest.approx(20 * math.log10(255 / 3), abs=0.1)
    weights = np.zeros_like(wanted)
    assert judge_of("psnr", wanted, signal.layout, weights)(off) == math.inf
    seen = judge_of("ssimulacra2", wanted, signal.layout, None)
    assert seen(wanted) == pytest.approx(100, abs=0.1) and seen(off) < 100
    assert set(QUALITIES) | {"size"} == set(AIM_ROOM)
