"""Fits, costs and reports of the experiments, at sizes that take seconds."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from i2compress.cli import main
from i2compress.field.coordinate_field import REUSE, Solving
from i2compress.field.implicit import Phantom
from i2compress.field.points import Stop
from i2compress.reproduce import cost, report, runs, signals
from i2compress.reproduce.presets import PRESETS, Cost, Experiment, Network
from i2compress.reproduce.train import EXPLICIT, IMPLICIT, ONE_PASS, Row, run, saved_bytes, specs, thinned

CPU = torch.device("cpu")
TINY = Experiment(networks=(Network(1, 12),), size=(12,), steps=30, input_scale=6, contract=True, rate=5e-3)


def task(side: int = 12) -> signals.Task:
    y, x = np.mgrid[:side, :side] / side
    return signals.whole("waves", np.sin(4 * x + 2 * y)[..., None].astype(np.float32), unit=0.25, note="")


def fitted(explicit: bool = False, experiment: Experiment = TINY, what: signals.Task | None = None) -> Row:
    what = what or task()
    way = EXPLICIT if explicit else IMPLICIT
    return run(
        way,
        specs("fourier", experiment.networks[0], what, experiment)[way],
        experiment.networks[0],
        what,
        experiment,
        device=CPU,
        seed=0,
        on_step=lambda info: None,
    )


@pytest.mark.parametrize("explicit", [False, True])
def test_a_fit_lowers_the_error_and_says_what_it_cost(explicit: bool) -> None:
    row = fitted(explicit)
    assert row.quality > row.curve[0][2] + 3
    assert row.steps == 30 and len(row.curve) == 30
    assert row.curve[-1][1] == pytest.approx(row.seconds)
    assert [step for step, _, _ in row.curve] == list(range(1, 31))
    assert row.forward_iterations == 1 and row.saved_bytes > 0
    assert row.failed == 0 and (row.solved_iterations > 1) is not explicit


def test_the_same_seed_gives_the_same_fit() -> None:
    assert fitted().quality == fitted().quality


def test_one_pass_is_trained_and_measured_as_one_application_from_zero() -> None:
    what = task()
    found = specs("siren", TINY.networks[0], what, TINY)
    assert found.keys() == {IMPLICIT, EXPLICIT, ONE_PASS}
    row = run(ONE_PASS, found[ONE_PASS], TINY.networks[0], what, TINY, device=CPU, seed=0, on_step=lambda info: None)
    assert row.quality == pytest.approx(row.step_quality, abs=1.0)  # the last step's output, before its update
    assert (row.solved_iterations, row.failed, row.name) == (1, 0.0, "one-pass siren 1L12D")


def test_mini_batches_without_reuse_and_tests_work_for_shapes() -> None:
    points = torch.rand(400, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    inside = (points.norm(dim=-1, keepdim=True) < 0.9).float()
    part = signals.Points(x=points[:300], y=inside[:300])
    ball = signals.Task(name="ball", points=part, tests={"box": signals.Points(x=points[300:], y=inside[300:])}, occupancy=True)
    row = fitted(experiment=replace(TINY, batch=100, reuse=False, checkpoints=3, steps=60, rate=2e-2, input_scale=3), what=ball)
    assert row.quality > 0.6 and 0 < row.tests["box"] <= 1
    assert [step for step, _, _ in row.test_curve] == [20, 40, 60]
    assert row.forward_iterations > 1


def test_a_network_without_a_fixed_point_is_counted_as_such() -> None:
    row = fitted(experiment=replace(TINY, contract=False, rate=0.3, steps=60))
    assert row.failed > 0
    assert row.solved_iterations == 300
    table = report.rows_table(runs.Done(rows=[row], notes={}), unit="dB")
    assert table[1][-2] == f"{100 * row.failed:.1f} %" != "0.0 %"


def test_the_graph_of_the_implicit_layer_does_not_grow_with_its_iterations_and_the_unrolled_one_s_does() -> None:
    def bytes_of(solving: Solving) -> int:
        fit = cost.trainer("fourier", 256, 16, CPU, explicit=False, layers=1, solving=solving)
        return saved_bytes(lambda: fit.step(0.0))

    implicit = [bytes_of(Solving(stop=Stop(absolute=0, relative=0, iterations=n))) for n in (1, 50)]
    unrolled = [bytes_of(Solving(stop=Stop(iterations=0), gradient=Phantom(steps=n))) for n in (1, 50)]
    assert implicit[1] <= 1.05 * implicit[0]
    assert unrolled[1] > 5 * unrolled[0]
    assert bytes_of(REUSE) == implicit[0]


@pytest.mark.slow
def test_the_memory_of_the_process_is_flat_within_five_percent() -> None:
    found = cost.memory(Cost(points=4096, width=256, iterations=(1, 100), depths=()), CPU, lambda text: None)
    by_way = {(m.way, m.count): m.bytes for m in found}
    assert by_way["implicit", 100] <= 1.05 * by_way["implicit", 1]
    assert by_way["unrolled", 100] > 5 * by_way["unrolled", 1]


def test_a_process_says_its_peak() -> None:
    found = cost.peak("implicit", 3, 512, 16, CPU)
    assert (found.way, found.count) == ("implicit", 3)
    assert found.peak > 0


def test_speeds_are_beside_the_explicit_layer() -> None:
    found = cost.speed("siren", Cost(points=256, width=16, repeats=3), CPU)
    assert [part.way for part in found] == ["explicit", "one-step (1 + J), reuse", "one-step (1), reuse"]
    assert found[0].ratio == 1 and all(part.seconds > 0 for part in found)


def test_a_curve_is_thinned_and_keeps_its_end() -> None:
    curve = [(n, float(n), 1.0) for n in range(1, 1002)]
    short = thinned(curve)
    assert len(short) < 50 and short[0] == curve[0] and short[-1] == curve[-1]


def row(explicit: bool, quality: float, curve: list[tuple[int, float, float]]) -> Row:
    return Row(
        signal="s",
        kind="siren",
        network="1L8D",
        way=EXPLICIT if explicit else IMPLICIT,
        layers=1,
        width=8,
        quality=quality,
        step_quality=curve[-1][2],
        curve=curve,
    )


def test_pairs_are_compared_at_the_quality_that_both_reach() -> None:
    ours = row(False, 30.0, [(1, 2.0, 20.0), (2, 4.0, 30.0)])
    theirs = row(True, 25.0, [(1, 1.0, 20.0), (2, 2.0, 25.0)])
    ours.step_seconds, theirs.step_seconds = 2.0, 1.0
    table = report.pairs_table(runs.Done(rows=[ours, theirs], notes={}), unit="dB")
    assert table[1] == ["s", "siren 1L8D", "30.00", "explicit", "25.00", "+5.00", "2.00", "4.0", "2.0", "2.00"]
    assert math.isnan(report.reached(theirs, 26))


def test_numbers_of_json_stand_in_one_line_and_come_back() -> None:
    record: dict[str, object] = {"rows": [{"curve": [(1, 0.5, -3e-7), (2, math.inf, 1.25)], "name": "a [1, 2]"}], "none": []}
    text = report.dumped(record)
    assert "[ 1, 0.5, -3e-07 ]" in text
    assert json.loads(text) == {"rows": [{"curve": [[1, 0.5, -3e-07], [2, None, 1.25]], "name": "a [1, 2]"}], "none": []}


def test_tables_are_markdown_and_numbers_stand_right() -> None:
    text = report.markdown([["name", "dB"], ["a", "1.0"], ["b", "-"]])
    assert text == "| name | dB |\n|---|---:|\n| a | 1.0 |\n| b | - |\n"


def picture(path: Path) -> Path:
    from PIL import Image

    y, x = np.mgrid[:16, :20]
    Image.fromarray(np.stack([x * 12, y * 15, x + y], -1).astype(np.uint8)).save(path)
    return path


def test_the_command_writes_tables_plots_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "camera", lambda side: None)
    monkeypatch.setitem(PRESETS, "quick", {name: replace(TINY, size=(12,), checkpoints=2) for name in ("image", "generalisation")})
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "photo.png")
    assert main(["reproduce", "image", "photo.png", "--steps", "4", "--kinds", "siren,gabor", "--out", "found"]) == 0
    told = capsys.readouterr()
    assert "implicit siren 1L12D" in told.out and "scikit-image is not installed" in told.err
    data = json.loads((tmp_path / "found" / "image.json").read_text())
    assert (data["experiment"], data["preset"]) == ("image", "quick")
    assert str(tmp_path) not in (tmp_path / "found" / "image.json").read_text()
    assert [row["way"] for row in data["rows"]] == ["implicit", "explicit", "one-pass", "implicit", "explicit"]
    assert {"command", "commit", "date", "machine"} <= data.keys()
    assert (tmp_path / "found" / "image.md").read_text().startswith("image, quick (photo: 12x12)")

    pytest.importorskip("matplotlib")
    assert (tmp_path / "found" / "image-photo.png").read_bytes().startswith(b"\x89PNG")
    assert main(["reproduce", "generalisation", "--steps", "4", "--kinds", "fourier", "--out", "found", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["status"] == "ok"
    tests = json.loads((tmp_path / "found" / "generalisation.json").read_text())["rows"]
    assert [row["signal"] for row in tests] == ["text", "text"]
    assert all("odd" in row["tests"] for row in tests)


def test_the_speed_command_writes_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from i2compress.reproduce import command

    monkeypatch.setitem(command.COSTS, "quick", Cost(points=128, width=8, repeats=3))
    assert main(["reproduce", "speed", "--kinds", "gabor", "--out", str(tmp_path)]) == 0
    assert "one-step (1 + J), reuse" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "speed.json").read_text())["speed"]) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audio"], "audio has no input"),
        (["everything"], "everything"),
        (["image", "--kinds", "siren,mlp"], "'mlp'"),
        (["image", "--steps", "0"], "steps is 0"),
        (["image", "--rate", "2"], "rate is 2"),
        (["speed", "--threads", "0"], "threads is 0"),
        (["speed", "--device", "quantum"], "quantum"),
    ],
)
def test_what_cannot_be_run_is_a_sentence_and_exit_code_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["reproduce", *words, "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told
