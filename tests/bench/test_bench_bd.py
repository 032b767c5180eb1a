"""Means over sources and Bjontegaard's figures."""

import pytest
from bench_fakes import PSNR, curve, point

from i2compress.bench.bd import against, curves


def test_half_the_bytes_at_equal_quality_is_minus_fifty_percent() -> None:
    pytest.importorskip("bjontegaard")
    points = [*curve("anchor"), *curve("half", factor=0.5)]
    (found,) = against(points, "anchor", [PSNR])
    assert found.rate == pytest.approx(-50, abs=1e-6)
    assert found.gain == pytest.approx(6, abs=1e-6)
    assert (found.codec, found.sources, found.of) == ("half", 1, 1)


@pytest.mark.parametrize("points", [curve("other", shift=60), curve("other")[:3]], ids=["no overlap", "three points"])
def test_no_figure_where_the_curves_say_too_little(points: list[object]) -> None:
    pytest.importorskip("bjontegaard")
    (found,) = against([*curve("anchor"), *points], "anchor", [PSNR])  # type: ignore[list-item]
    assert (found.rate, found.gain, found.sources) == (None, None, 0)


def test_a_point_that_costs_more_for_less_is_left_out() -> None:
    pytest.importorskip("bjontegaard")
    worse = point("half", "a", 15.0, 0.3, 20.0)
    (found,) = against([*curve("anchor"), *curve("half", factor=0.5), worse], "anchor", [PSNR])
    assert found.rate == pytest.approx(-50, abs=1e-6)


def test_means_hold_only_qualities_that_every_source_has() -> None:
    points = [*curve("jpeg", "a"), *curve("jpeg", "b", shift=2)[:3]]
    steps = curves(points, 2)["jpeg"]
    assert [step.quality for step in steps] == [0.0, 10.0, 20.0]
    assert steps[0].metrics["psnr-rgb"] == 25
    assert (steps[0].encoding_memory, steps[0].decoding_memory) == (1_000_000, None)
