"""The fits of all parts of a source are told of as one, which never goes back."""

from dataclasses import dataclass

import pytest

from i2compress.cli.progress import Pace
from i2compress.media.course import UNITS, Parts


@dataclass(frozen=True, kw_only=True)
class Step:
    """The fit's StepInfo, of which only these are looked at."""

    phase: str
    step: int
    steps: int
    elapsed: float = 0.0
    eta: float = 0.0
    after: float = 1.0


def test_one_course_goes_through_all_parts_and_fits_with_the_time_left_for_the_whole() -> None:
    now, said = [0.0], []
    parts = Parts(said.append, length=40, count=2, noun="segment", clock=lambda: now[0])
    for number in range(2):
        for fits in ((0.0, 0.25), (0.25, 1.0), (0.25, 1.0)):  # the last one, once more
            told = parts.of(number, 20 * number, 20 * number + 20, fits)
            assert told is not None
            told(Step(phase="compile", step=0, steps=1))  # type: ignore[arg-type]  # said as it is, and takes the bar nowhere
            assert said.pop().phase == "compile"
            for phase in ("fit", "quantise"):
                for step in (5, 10):
                    now[0] += 1.0
                    told(Step(phase=phase, step=step, steps=10))  # type: ignore[arg-type]  # of the same form
    steps = [info.step for info in said]
    assert steps == sorted(steps) and steps[-1] == UNITS and {info.steps for info in said} == {UNITS}
    assert {info.phase for info in said} == {"segment 1 of 2", "segment 2 of 2"}
    half = next(info for info in said if info.step == UNITS // 2)
    assert half.eta == pytest.approx(half.elapsed) and said[-1].eta == 0 and said[-1].after == 0


def test_a_single_fit_is_told_of_as_it_is() -> None:
    said: list[object] = []
    listener = said.append
    assert Parts(listener, length=9, count=1, noun="group").of(0, 0, 9) is listener
    assert Parts(None, length=9, count=3, noun="group").of(0, 0, 9) is None


def test_a_run_ends_no_sooner_than_a_file_under_way() -> None:
    now = [0.0]
    pace = Pace([900, 100], clock=lambda: now[0])
    now[0] = 10.0
    pace.set(0, 1.0)
    pace.set(1, 0.0, 7.0)
    assert pace.left == 7.0  # by the bytes alone, 1.1
    pace.set(1, 1.0)
    assert pace.left == 0.0
