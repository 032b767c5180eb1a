"""Points survive an interruption, and nothing is measured twice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bench_fakes import JPEG_ONLY, PSNR, constant, photo, saved

from i2compress.bench import measure, run
from i2compress.bench.benchmark import Metric
from i2compress.bench.codec import Codec, FitOptions, Samples
from i2compress.bench.image import METRICS
from i2compress.bench.results import summarise
from i2compress.bench.store import Store
from i2compress.bench.tables import means_table
from i2compress.errors import I2Error, ResourceError


@pytest.fixture
def tasks(tmp_path: Path) -> list[run.Task]:
    """Three qualities of one picture."""
    files = run.sources([saved(tmp_path / "a.png")], JPEG_ONLY)
    return run.plan(files, [JPEG_ONLY.codecs["jpeg"]], {"jpeg": [30, 60, 90]}, FitOptions())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return Store(folder=tmp_path / "out", benchmark=JPEG_ONLY, metrics=(PSNR,))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The qualities that are encoded, in this process."""
    qualities: list[float] = []

    def encode(codec: Codec, samples: Samples, work: measure.Work) -> object:
        qualities.append(work.quality)
        return codec.encode(samples, work), measure.Cost(seconds=0.1, cpu=0.2, memory=None)

    def decode(codec: Codec, data: bytes, threads: int | None) -> object:
        return codec.decode(data, threads), measure.Cost(seconds=0.1, cpu=0.2, memory=None)

    monkeypatch.setattr(measure, "encode", encode)
    monkeypatch.setattr(measure, "decode", decode)
    return qualities


def test_an_interrupted_run_goes_on_where_it_stopped(tasks: list[run.Task], store: Store, counted: list[float]) -> None:
    def interrupt(progress: run.Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(tasks, store, interrupt)
    points, failures = run.run(tasks, store)
    assert counted == [30, 60, 90]
    assert ([point.work.quality for point in points], failures) == ([30, 60, 90], [])
    assert points == run.run(tasks, store)[0]


def test_a_point_whose_files_are_damaged_is_measured_again(tasks: list[run.Task], store: Store, counted: list[float]) -> None:
    run.run(tasks, store)
    first, second, _ = sorted((store.folder / "points").glob("*.json"))
    first.write_text("{")
    second.with_suffix(".jpg").write_bytes(b"cut")
    run.run(tasks, store)
    assert len(counted) == 5


def test_another_setting_or_version_is_another_point(tasks: list[run.Task], store: Store, counted: list[float]) -> None:
    run.run(tasks[:1], store)
    codec: Codec = replace(tasks[0].codec, note="other settings")
    newer = replace(tasks[0].codec, versions=lambda: {"libjpeg_turbo": "99"})
    run.run([replace(tasks[0], codec=codec), replace(tasks[0], codec=newer)], store)
    assert counted == [30, 30, 30]


def test_a_new_measure_is_added_without_encoding_again(tasks: list[run.Task], store: Store, counted: list[float]) -> None:
    run.run(tasks, store)
    more = replace(store, metrics=(*store.metrics, constant("new", 7.0)))
    assert [point.metrics["new"] for point in run.run(tasks, more)[0]] == [7.0, 7.0, 7.0]
    assert len(counted) == 3


def test_several_processes_score_like_one(tasks: list[run.Task], store: Store, counted: list[float]) -> None:
    pytest.importorskip("pytorch_msssim")
    more = replace(store, metrics=(PSNR, METRICS["ssim-rgb"]))
    seen: list[tuple[int, int]] = []
    points, failures = run.run(tasks, more, jobs=2, on_score=lambda done, total: seen.append((done, total)))
    assert (len(points), failures, seen) == (3, [], [(1, 3), (2, 3), (3, 3)])
    original = JPEG_ONLY.read(tasks[0].source.path)
    decoded = JPEG_ONLY.codecs["jpeg"].decode(more.data(points[0], tasks[0].source), 1)
    assert points[0].metrics["ssim-rgb"] == pytest.approx(METRICS["ssim-rgb"].measure(original, decoded), abs=1e-6)
    assert more.find(tasks[0].source, tasks[0].codec, tasks[0].work) == points[0]


def test_a_file_that_cannot_be_scored_is_a_failure_of_its_own(tasks: list[run.Task], store: Store, counted: list[float]) -> None:
    def refusing(source: object, decoded: object) -> float:
        raise I2Error("no")

    points, failures = run.run(tasks, replace(store, metrics=(PSNR, Metric(name="bad", title="bad", digits=1, measure=refusing))))
    assert (points, [str(failure.error) for failure in failures]) == ([], ["no"] * 3)


def test_a_point_of_before_processor_time_was_measured_still_loads(tasks: list[run.Task], store: Store, counted: list[float]) -> None:
    points, _ = run.run(tasks[:1], store)
    (path,) = (store.folder / "points").glob("*.json")
    fields = json.loads(path.read_text())
    assert points[0].encoding_cpu == fields.pop("encoding_cpu") == 0.2
    path.write_text(json.dumps({name: value for name, value in fields.items() if name != "decoding_cpu"}))
    found = store.find(tasks[0].source, tasks[0].codec, tasks[0].work)
    assert found is not None and (found.encoding_cpu, found.decoding_cpu) == (None, None)
    assert "| - | - |" in means_table(summarise([found], JPEG_ONLY, [PSNR], skipped={}))


def test_a_codec_that_fails_takes_no_other_point_with_it(tasks: list[run.Task], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure.encode

    def failing(*args: object) -> object:
        if args[2].quality == 60:  # type: ignore[attr-defined]
            raise I2Error("no")
        return whole(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(measure, "encode", failing)
    points, failures = run.run(tasks, store)
    assert ([point.work.quality for point in points], len(failures)) == ([30, 90], 1)
    assert points[0].encoding_time > 0
    assert points[0].encoding_cpu is not None and 0 < points[0].encoding_cpu < 5
    assert points[0].encoding_memory is None or points[0].encoding_memory >= 0


def test_a_process_that_dies_is_a_resource_error() -> None:
    import os

    with pytest.raises(ResourceError, match="exit code 3"):
        measure._in_process(os._exit, 3)


def test_names_of_sources_are_unique_and_folders_are_opened(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.bmp", "b.png"):
        saved(tmp_path / "in" / name, photo(seed=len(name)))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    found = run.sources([str(tmp_path / "in")], JPEG_ONLY)
    assert [source.name for source in found] == ["a.bmp", "a.png", "b"]
    assert found[0].digest == found[1].digest != ""
