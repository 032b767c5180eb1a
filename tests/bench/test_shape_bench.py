"""The benchmark of shapes: its points, what it reads off their curves, and what it writes."""

import csv
import math
from pathlib import Path

import pytest
from shapes import ply, sphere

from i2compress.bench import shape as bench_shape
from i2compress.bench import shape_codecs, shape_report
from i2compress.bench.shape import ShapePoint
from i2compress.bench.shape_report import bytes_at, frontier
from i2compress.cli import main
from i2compress.errors import UsageError


def point(codec: str, setting: str, count: int, chamfer: float) -> ShapePoint:
    return ShapePoint(
        source="a.ply",
        codec=codec,
        setting=setting,
        count=count,
        figures={"chamfer": chamfer},
        encoding_cpu=1.0,
        decoding_cpu=1.0,
    )


def test_bytes_at_a_distance_lie_on_the_frontier_between_its_points_and_nowhere_else() -> None:
    line = [point("i2c", "q1", 1000, 400.0), point("i2c", "q2", 4000, 100.0), point("i2c", "worse", 5000, 200.0)]
    assert [p.setting for p in frontier(line)] == ["q1", "q2"]
    assert bytes_at(line, 200.0) == pytest.approx(2000)
    assert bytes_at(line, 100.0) == pytest.approx(4000)
    assert bytes_at(line, 90.0) is None and bytes_at(line, 500.0) is None and bytes_at(line[:1], 400.0) is None


def test_the_report_has_the_ratios_at_the_distances_of_draco() -> None:
    points = [point("draco", "q8", 8000, 200.0), point("i2c", "q1", 1000, 400.0), point("i2c", "q2", 4000, 100.0)]
    line = next(line for line in shape_report.report(points).splitlines() if line.startswith("| a.ply | q8"))
    assert line == "| a.ply | q8 | 200 | 8000 | - | 2000 | 0.25 | - |"


def test_a_run_measures_every_codec_and_writes_tables_and_pictures(tmp_path: Path) -> None:
    pytest.importorskip("DracoPy")
    source = tmp_path / "ball.ply"
    source.write_bytes(ply(sphere()))
    command = [
        "bench",
        "shape",
        str(source),
        "--steps",
        "3",
        "--qualities",
        "0",
        "--codecs",
        "i2c,draco",
        "--out",
        str(tmp_path / "out"),
        "--threads",
        "1",
    ]
    assert main(command) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "points.csv").read_text().splitlines()))
    assert [row["codec"] for row in rows] == ["i2c"] + ["draco"] * len(shape_codecs.DRACO_BITS)
    chamfers = [float(row["chamfer"]) for row in rows[1:]]
    assert chamfers == sorted(chamfers, reverse=True) and all(math.isfinite(value) for value in chamfers)
    assert float(rows[0]["encoding_cpu"]) > 0 and int(rows[0]["encoding_memory"]) > 0
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "points").iterdir()}
    assert main(command) == 0  # nothing is measured again
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "points").iterdir()} == kept
    assert (tmp_path / "out" / "shape.md").exists() and (tmp_path / "out" / "chamfer.png").exists()


def test_a_codec_that_is_not_known_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="codec is 'jpeg'"):
        bench_shape.bench([], ["jpeg"], [], bench_shape.EncodeSettings(), Path(), print)
