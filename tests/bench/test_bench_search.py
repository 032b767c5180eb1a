"""Searches end at the wanted size or quality with few encodes."""

import math

import pytest

from i2compress.bench.image import IMAGE
from i2compress.bench.search import Target, Try, enclose, refine

JPEG = IMAGE.codecs["jpeg"]


class Meter:
    """Sizes that grow by `growth` (of ln) for each step of quality, and how often they were asked for."""

    def __init__(self, target: Target, growth: float = 0.04) -> None:
        self.target, self.growth, self.count = target, growth, 0

    def __call__(self, quality: float) -> Try:
        self.count += 1
        size, psnr = round(1000 * math.exp(self.growth * quality)), 20 + 0.2 * quality
        return Try(quality=quality, excess=self.target.excess(size, psnr), met=self.target.met(size, psnr))


@pytest.mark.parametrize("size", [1041, 2000, 7389, 30000])
def test_the_largest_quality_under_a_size_is_found_in_few_encodes(size: int) -> None:
    meter = Meter(Target(bytes=size))
    found = enclose(JPEG, meter.target, meter)
    best = math.log(size / 1000) / 0.04
    assert found.met and best - 1.01 <= found.quality <= best + 0.01
    assert meter.count <= 9


def test_the_smallest_quality_over_a_psnr_is_found() -> None:
    meter = Meter(Target(psnr=31.1))
    found = enclose(JPEG, meter.target, meter)
    assert (found.met, found.quality) == (True, 56.0)


@pytest.mark.parametrize("target", [Target(bytes=10), Target(psnr=80.0)])
def test_a_target_out_of_reach_gives_the_closest_and_says_so(target: Target) -> None:
    found = enclose(JPEG, target, Meter(target))
    assert (found.met, found.quality) == (False, 1.0 if target.bytes else 100.0)


def test_known_points_spare_encodes() -> None:
    plain, helped = Meter(Target(bytes=6300)), Meter(Target(bytes=6300))
    enclose(JPEG, plain.target, plain)
    enclose(JPEG, helped.target, helped, [helped(45.0), helped(55.0)])
    assert helped.count - 2 < plain.count


@pytest.mark.parametrize("growth", [0.025, 0.036, 0.06])
def test_a_fitted_codec_comes_within_two_percent_in_four_fits(growth: float) -> None:
    meter = Meter(Target(bytes=5000), growth)
    found = refine(meter.target, meter, start=60, fits=4)
    assert found.met and found.excess > -0.02
    assert meter.count <= 4


def test_a_fitted_codec_stops_at_the_end_of_its_scale() -> None:
    meter = Meter(Target(bytes=10**9))
    assert refine(meter.target, meter, start=60, fits=9).quality == 100
    assert meter.count == 2
