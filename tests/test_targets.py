"""Files of a wanted size or quality: the search over fits, the steering inside one, and real files."""

import io
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sounds import chord, wav

from i2compress import codec, media
from i2compress.codec import Encoded
from i2compress.config import EncodeSettings, Target
from i2compress.errors import TargetError, UsageError
from i2compress.fit.steering import Steering
from i2compress.media.protocol import Coded, Hooks
from i2compress.targets import FITS, Attempt, meet

FAST = EncodeSettings(threads=1, device="cpu", steps=60)


def blobs(height: int = 48, width: int = 64) -> bytes:
    """A PNG with smooth colours and some noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 7) * np.cos(y / 5), np.sin((x + y) / 9), np.cos(x / 4)], -1)
    codes = 127 + 90 * waves + np.random.default_rng(0).normal(0, 6, waves.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(codes, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def encoded(data: bytes, target: Target, settings: EncodeSettings = FAST) -> Encoded:
    with media.open_source(data) as opened:
        return codec.encode(opened.source, replace(settings, target=target))


# The search, of a coordinate field, whose fits know nothing of it


class Coder:
    """Pretends that ln(bytes) and dB are lines in ln(lambda), counted."""

    def __init__(self, size: float = 3e5, slope: float = -0.7, least: float = 200) -> None:
        self.size, self.slope, self.least, self.lambdas = size, slope, least, list[float]()

    def __call__(self, settings: EncodeSettings) -> Attempt:
        lam = settings.rate_weight
        self.lambdas.append(lam)
        count = round(max(self.least, self.size * (lam / 1e-5) ** self.slope))
        return Attempt(coded=Coded(data=bytes(count), steps=1, passes=1), figures={"psnr": 60 - 2 * math.log(lam / 1e-5)})


def searched(target: Target, coder: Callable[[EncodeSettings], Attempt]) -> Attempt:
    with media.open_source(blobs()) as opened:
        return meet(replace(FAST, field="siren", target=target), opened.source, coder, Hooks())


@pytest.mark.parametrize("size", [2_000, 20_000, 150_000])
def test_a_size_is_met_from_below_within_three_percent(size: int) -> None:
    coder = Coder()
    assert 0.97 * size <= len(searched(Target(size=size), coder).coded.data) <= size
    assert len(coder.lambdas) <= FITS


@pytest.mark.parametrize("psnr", [42.0, 48.0, 55.0])
def test_a_quality_is_met_from_above(psnr: float) -> None:
    assert psnr <= searched(Target(psnr=psnr), Coder()).figures["psnr"] <= psnr + 0.2


def test_bits_a_sample_are_a_size() -> None:
    assert 0.97 * 3072 <= len(searched(Target(bpp=8.0), Coder()).coded.data) <= 3072


def test_a_miss_is_an_error_that_says_by_how_much() -> None:
    with pytest.raises(TargetError, match=r"the smallest file has 2000 bytes, 100\.0 % over 1000"):
        searched(Target(size=1000), Coder(least=2000))
    with pytest.raises(TargetError, match=r"the best file has [\d.]+ dB PSNR, [\d.]+ less than 119\.00 dB PSNR"):
        searched(Target(psnr=119.0), Coder())


def test_a_file_far_below_its_limit_is_written_with_a_word() -> None:
    made = searched(Target(size=10**9), Coder())
    assert any("% under 1000000000" in note for note in made.coded.notes)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 1000, "psnr": 30.0}, "exclude each other"),
        ({"size": 3}, "target size is 3"),
        ({"bpp": -1.0}, "target bpp is -1"),
        ({"psnr": math.inf}, "target psnr is inf"),
        ({"ssimulacra2": math.nan}, "target ssimulacra2 is nan"),
    ],
)
def test_targets_that_make_no_sense_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Target(**given)  # type: ignore[arg-type]


def test_a_measure_of_pictures_is_not_for_sound() -> None:
    with pytest.raises(UsageError, match="is for pictures"):
        encoded(wav(chord(0.1)), Target(ssimulacra2=70))


# Steering


@pytest.mark.parametrize("steps", [60, 400])
@pytest.mark.parametrize("wanted", [0.3, 1.0, 2.5])
def test_lambda_moves_until_the_rate_is_what_is_wanted(steps: int, wanted: float) -> None:
    steering, lam, rate = Steering(1e-3, rate=wanted), 1e-3, 1.0
    for step in range(steps):
        there = (lam / 1e-3) ** -0.8
        rate += (there - rate) * min(1.0, 15 / steps)  # latents take their time
        lam = steering.step(step / steps, distortion=1e-3, rate=rate)
        if step > 0.6 * steps and step % 10 == 0:
            steering.measured(distortion=1e-3, rate=0.9 * rate)  # rounded latents take less
    assert 0.9 * (lam / 1e-3) ** -0.8 == pytest.approx(wanted, rel=0.12)


def test_lambda_falls_where_the_distortion_is_too_large() -> None:
    steering = Steering(1e-3, distortion=1e-4)
    lams = [steering.step(share / 100, distortion=1e-3, rate=1.0) for share in range(100)]
    assert lams[5] == 1e-3 and lams[-1] < 1e-4


def test_rounding_takes_up_the_difference_that_is_left() -> None:
    assert Steering(1e-3, rate=1.0).rounding(lambda offset: 1.1 - offset) == pytest.approx(0.1, abs=0.002)
    assert Steering(1e-3, distortion=1.0).rounding(lambda offset: 0.9 + offset) == pytest.approx(0.1, abs=0.002)


# Real files


@pytest.mark.parametrize("size", [700, 1400])
def test_a_picture_of_a_wanted_size(size: int) -> None:
    made = encoded(blobs(), Target(size=size))
    assert len(made.data) <= size
    assert len(made.data) >= 0.97 * size or any("under" in note for note in made.coded.notes)
    assert len(codec.I2File.from_bytes(made.data).render().values) == 48


def test_a_picture_of_a_wanted_psnr() -> None:
    assert encoded(blobs(), Target(psnr=24.0)).psnr >= 24.0


def test_a_sound_of_a_wanted_size_and_snr() -> None:
    sound = wav(chord(1.0))
    made = encoded(sound, Target(size=600))
    assert len(made.data) <= 600
    assert encoded(sound, Target(psnr=40.0)).psnr >= 40.0
