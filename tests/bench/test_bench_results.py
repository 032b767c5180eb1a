"""Means over sources and Bjontegaard's figures."""

from dataclasses import replace

import pytest
from bench_fakes import PSNR, curve, point

from i2compress.bench.benchmark import Metric
from i2compress.bench.results import against, curves


def test_half_the_bytes_at_equal_quality_is_minus_fifty_percent() -> None:
    pytest.importorskip("bjontegaard")
    points = [*curve("anchor"), *curve("half", factor=0.5)]
    (found,) = against(points, "anchor", [PSNR], overlap=0.4)
    assert found.rate == pytest.approx(-50, abs=1e-6)
    assert found.gain == pytest.approx(6, abs=1e-6)
    assert (found.codec, found.sources, found.of) == ("half", 1, 1)


@pytest.mark.parametrize("points", [curve("other", shift=60), curve("other")[:3]], ids=["no overlap", "three points"])
def test_no_figure_where_the_curves_say_too_little(points: list[object]) -> None:
    pytest.importorskip("bjontegaard")
    (found,) = against([*curve("anchor"), *points], "anchor", [PSNR], overlap=0.4)  # type: ignore[list-item]
    assert (found.rate, found.gain, found.sources) == (None, None, 0)


def test_a_point_that_costs_more_for_less_is_left_out() -> None:
    pytest.importorskip("bjontegaard")
    worse = point("half", "a", 15.0, 0.3, 20.0)
    (found,) = against([*curve("anchor"), *curve("half", factor=0.5), worse], "anchor", [PSNR], overlap=0.4)
    assert found.rate == pytest.approx(-50, abs=1e-6)


def test_means_hold_only_qualities_that_every_source_has() -> None:
    points = [*curve("jpeg", "a"), *curve("jpeg", "b", shift=2)[:3]]
    steps = curves(points, 2)["jpeg"]
    assert [step.quality for step in steps] == [0.0, 10.0, 20.0]
    assert steps[0].metrics["psnr-rgb"] == 25
    assert (steps[0].encoding_memory, steps[0].decoding_memory) == (1_000_000, None)


def test_seconds_of_the_processor_have_a_mean_only_where_every_file_has_them() -> None:
    first, second = point("jpeg", "a", 10, 1, 30), point("jpeg", "b", 10, 1, 30)
    (step,) = curves([replace(first, encoding_cpu=1.0, decoding_cpu=2.0), replace(second, decoding_cpu=4.0)], 2)["jpeg"]
    assert (step.encoding_cpu, step.decoding_cpu) == (None, 3.0)


def test_every_source_has_its_own_figure_beside_the_mean_and_less_may_be_better() -> None:
    pytest.importorskip("bjontegaard")
    points = [*curve("anchor"), *curve("other", factor=0.5), *curve("anchor", "b"), *curve("other", "b", factor=2.0), *curve("anchor", "c")]
    falling = Metric(name="lsd", title="lsd", digits=1, measure=PSNR.measure, falling=True)
    points = [replace(point, metrics={**point.metrics, "lsd": -point.metrics["psnr-rgb"]}) for point in points]  # type: ignore[operator]
    for found in against(points, "anchor", [PSNR, falling], overlap=0.4):
        assert found.rates == {"a": pytest.approx(-50), "b": pytest.approx(100), "c": None}
        assert (found.rate, found.sources, found.of) == (pytest.approx(25), 2, 3)
