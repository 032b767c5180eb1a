"""The fits of all parts of a source are told of as one, which never goes back."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2compress import EncodeSettings
from i2compress.cli.progress import Pace
from i2compress.cli.work import Job
from i2compress.cli.works import works
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
    parts = Parts(said.append, [20, 20], Parts.named("segment", 2), clock=lambda: now[0])
    for number in range(2):
        for fits in ((0.0, 0.25), (0.25, 1.0), (0.25, 1.0)):  # the last one, once more
            told = parts.of(number, fits)
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
    assert Parts(listener, [9], Parts.named("group", 1)).of(0) is listener
    assert Parts(None, [3, 3, 3], Parts.named("group", 3)).of(0) is None


def test_parts_of_a_part_are_told_of_by_both_names_and_as_one() -> None:
    said: list[Step] = []
    whole = Parts(said.append, [1, 3], ["sound, {}", "{}"])  # type: ignore[arg-type]  # of the same form
    for number, noun in enumerate(("segment", "group")):
        inner = Parts(whole.of(number), [2, 2], Parts.named(noun, 2))
        for part in range(2):
            told = inner.of(part)
            assert told is not None
            told(Step(phase="fit", step=10, steps=10))  # type: ignore[arg-type]  # of the same form
            told(Step(phase="quantise", step=1, steps=1))  # type: ignore[arg-type]  # of the same form
    assert [info.phase for info in said[::2]] == ["sound, segment 1 of 2", "sound, segment 2 of 2", "group 1 of 2", "group 2 of 2"]
    assert [info.step / UNITS for info in said[1::2]] == pytest.approx([0.125, 0.25, 0.625, 1.0])


def test_a_run_ends_no_sooner_than_a_file_under_way() -> None:
    now = [0.0]
    pace = Pace([900, 100], clock=lambda: now[0])
    now[0] = 10.0
    pace.set(0, 1.0)
    pace.set(1, 0.0, 7.0)
    assert pace.left == 7.0  # by the bytes alone, 1.1
    pace.set(1, 1.0)
    assert pace.left == 0.0


def test_a_run_is_shared_out_by_what_files_take_and_not_by_their_bytes(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    for name, side, flat in (("small", 16, False), ("large", 256, True), ("unseen", 64, False)):  # the large one has the fewest bytes
        codes = np.zeros((side, side), np.uint8) if flat else chance.integers(0, 256, (side, side), dtype=np.uint8)
        Image.fromarray(codes).save(tmp_path / f"{name}.png")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    jobs = [Job(source=str(tmp_path / f"{name}.png"), target="") for name in ("small", "large", "unseen", "damaged")]
    small, large, unseen, damaged = works(jobs, EncodeSettings())
    assert small < unseen < large < 100 * small and damaged > 0
    assert works(jobs, EncodeSettings(time_limit=0.5))[:3] == [0.5, 0.5, 0.5]
    assert works(jobs, EncodeSettings(), look=0.0) == [path.stat().st_size for path in (Path(job.source) for job in jobs)]
