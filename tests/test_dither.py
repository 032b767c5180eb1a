"""Dither: the right mean, no contours, the same everywhere, and a crop's is that of the whole."""

from functools import cache

import numpy as np
import pytest

from i2compress.codec import I2File, encode
from i2compress.config import EncodeSettings, View
from i2compress.media.image.dither import dithered, numbers
from i2compress.signal import Signal, to_codes


@cache
def file() -> I2File:
    """A slow gradient, coded; 8-bit rounding makes a few wide steps of it."""
    ramp = np.linspace(0.3, 0.32, 120, dtype=np.float32)
    values = np.broadcast_to(ramp[None, :, None], (90, 120, 3)).copy()
    return I2File.from_bytes(encode(Signal(values=values, bit_depth=8), EncodeSettings(steps=30, lam=1e-5, threads=1, tune="psnr")).data, threads=1)


def test_the_numbers_are_those_of_the_format() -> None:
    def mixed(x: int) -> int:
        x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
        x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
        return x ^ (x >> 16)

    rows, columns = np.array([0, 7, 65535], np.uint32), np.array([0, 1, 999], np.uint32)
    wanted = [[mixed((int(j) + mixed(int(i))) % 2**32) >> 8 for j in columns] for i in rows]
    assert numbers(rows[:, None], columns).tolist() == wanted


@pytest.mark.parametrize("depth", [8, 16])
def test_dithered_codes_have_the_mean_of_the_values_and_no_structure(depth: int) -> None:
    values = np.full((256, 256, 1), 100.3 / (2**depth - 1), np.float32)
    codes = to_codes(dithered(values, depth, row=0, column=0), depth).astype(float)
    assert set(np.unique(codes)) == {100, 101}
    assert codes.mean() == pytest.approx(100.3, abs=0.01)
    noise = codes[..., 0] - codes.mean()
    for shift in ((0, 1), (1, 0), (1, 1)):
        assert abs(float((noise * np.roll(noise, shift, (0, 1))).mean())) < 0.02 * float(noise.var()) + 0.002


def test_black_and_white_stay_as_they_are() -> None:
    values = np.array([0, 1, 0, 1], np.float32).reshape(2, 2, 1)
    assert np.array_equal(dithered(values, 8, row=3, column=4), values)


def test_dither_breaks_up_contours_and_is_off_unless_asked_for() -> None:
    plain, other = file().render(), file().render(View(dither=True))
    assert np.abs(other.values - plain.values).max() <= 0.5001 / 255
    rounded, noisy = (to_codes(signal.values, 8)[..., 0].astype(float) for signal in (plain, other))
    error = [np.abs((codes / 255 - plain.values[..., 0])[:80, :120].reshape(8, 10, 12, 10).mean((1, 3))).mean() for codes in (rounded, noisy)]
    assert error[1] < 0.5 * error[0]  # over 10x10 samples the eye sees the right value


def test_a_crop_has_the_noise_of_the_whole_and_a_second_decode_the_same() -> None:
    whole = file().render(View(dither=True, scale=2)).values
    assert np.array_equal(file().render(View(dither=True, scale=2)).values, whole)
    part = file().render(View(dither=True, scale=2, crop=(11, 20, 30, 25))).values
    assert np.array_equal(part, whole[40:90, 22:82])
