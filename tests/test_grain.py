"""Grain: as strong as the texture that was lost, the same in every part and order, and nothing where there is nothing to replace."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from i2compress.arrays import Float32Array
from i2compress.codec import I2File, encode, refine
from i2compress.config import EncodeSettings, Target, View
from i2compress.container import read, write
from i2compress.errors import FormatError, MalformedError
from i2compress.media.image.grain import AMPLITUDES, BANDS, GAINS, HEAD, MOST_LEVEL, STRENGTH, Grain, lost_grain
from i2compress.signal import Signal

FAST = EncodeSettings(steps=30, lam=5e-3, threads=1, device="cpu", tune="texture")


def textured(height: int, width: int, channels: int = 3) -> Float32Array:
    """A gray with noise of 10 code values in its left half, and a sharp edge across its right half."""
    values = np.full((height, width, channels), 0.5, np.float32)
    values[:, : width // 2] += np.random.default_rng(0).normal(0, 10 / 255, (height, width // 2, 1)).astype(np.float32)
    values[height // 2 :, width // 2 :] = 0.2
    return values


def signal(channels: int = 3) -> Signal:
    values = textured(80, 128, channels)
    if channels in (2, 4):
        values[..., -1] = 1
        values[:20, :, -1] = 0
    return Signal(values=np.clip(values, 0, 1), bit_depth=8)


@cache
def file(channels: int = 3) -> bytes:
    return encode(signal(channels), FAST).data


def opened(channels: int = 3, threads: int = 1) -> I2File:
    return I2File.from_bytes(file(channels), threads=threads)


@pytest.mark.parametrize("band", range(BANDS))
def test_the_noise_of_each_band_has_the_amplitude_of_its_level_and_no_mean(band: int) -> None:
    shares = tuple(128 if k == band else 0 for k in range(BANDS))
    grain = Grain(side_log2=4, shares=shares, levels=np.full((64, 64), 11))
    noise = grain.noise((0, 1024), (0, 1024))
    assert noise.std() == pytest.approx(AMPLITUDES[11] / 2, rel=0.02)
    assert abs(noise.mean()) < 0.01 * noise.std()


def test_the_strength_goes_from_block_to_block_and_any_part_has_the_noise_of_the_whole() -> None:
    levels = np.array([[0, 0, 15], [0, 0, 15]])
    grain = Grain(side_log2=5, shares=(200, 100, 50), levels=levels)
    whole = grain.noise((0, 64), (0, 90))
    assert not whole[:, :48].any()
    assert whole[:, 80:].std() > 3 * whole[:, 48:60].std() > 0
    assert np.array_equal(grain.noise((17, 41), (60, 77)), whole[17:41, 60:77])


@pytest.mark.parametrize(("grid", "side_log2"), [((1, 1), 3), ((100, 37), 4), ((33, 260), 3), ((9, 9), 12)])
def test_a_chunk_gives_back_what_was_written(grid: tuple[int, int], side_log2: int) -> None:
    shape = [-(-size >> side_log2) for size in grid]
    levels = np.random.default_rng(1).integers(0, MOST_LEVEL + 1, shape)
    grain = Grain(side_log2=side_log2, shares=(0, 255, 17), levels=levels)
    found = Grain.from_bytes(grain.to_bytes(), grid)
    assert (found.side_log2, found.shares) == (side_log2, (0, 255, 17))
    assert np.array_equal(found.levels, levels)


def test_chunks_that_no_encoder_writes_are_refused() -> None:
    data = Grain(side_log2=4, shares=(1, 2, 3), levels=np.full((4, 4), 7)).to_bytes()
    for wrong in (b"", data[: HEAD - 1], b"\x02" + data[1:], b"\x0d" + data[1:], data[: HEAD - 1] + b"\x68" + data[HEAD:]):
        with pytest.raises(MalformedError, match="expected blocks, shares and a scale"):
            Grain.from_bytes(wrong, (64, 64))
    refused = 0
    for seed in range(50):
        noise = np.random.default_rng(seed).integers(0, 256, 40).astype(np.uint8).tobytes()
        try:
            Grain.from_bytes(data[: HEAD - 1] + b"\x40" + noise, (64, 64))
        except FormatError:
            refused += 1
    assert refused > 40


def test_what_is_measured_is_the_texture_that_is_lost_and_no_edge() -> None:
    source = textured(128, 256)
    flat = np.where(np.arange(256)[:, None] < 128, np.float32(0.5), source)
    found = lost_grain(source, flat, opacity=False, side_log2=4)
    assert found is not None
    shares = np.square(np.array(found.shares) / 256).sum()
    of_white = np.sqrt((12 / np.square(GAINS)).sum())  # what all bands have of white noise of 1; the noise that they are made of has 12**-0.5
    assert AMPLITUDES[found.levels[:, :7]].mean() * np.sqrt(shares) == pytest.approx(of_white * STRENGTH * 10 / 255, rel=0.1)
    assert not found.levels[:, 9:].any()
    assert lost_grain(source, source, opacity=False) is None
    blurred = flat.copy()
    blurred[62:66, 128:] = 0.35  # an edge that is not sharp
    edge = lost_grain(flat, blurred, opacity=False, side_log2=4)
    assert edge is None or AMPLITUDES[edge.levels].max() < 0.1 * np.abs(flat - blurred).max()


def test_what_is_transparent_has_no_texture() -> None:
    source = np.concatenate([textured(64, 64), np.zeros((64, 64, 1), np.float32)], -1)
    assert lost_grain(source, np.full_like(source, 0.5), opacity=True) is None
    source[..., -1] = 0.5
    assert lost_grain(source, np.full_like(source, 0.5), opacity=True) is not None


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_file_has_grain_where_texture_was_lost_and_opacity_none(channels: int) -> None:
    grained, plain = (opened(channels).render(view).values for view in (View(), View(no_grain=True)))
    difference = grained - plain
    assert difference[30:, 4:56, 0].std() > 3 / 255
    assert difference[:, 80:, 0].std() < 0.3 * difference[30:, 4:56, 0].std()
    if channels in (2, 4):
        assert not difference[..., -1].any()
    fine = [np.diff(values[30:, 4:56, 0], axis=1).std() for values in (signal(channels).values, grained, plain)]
    assert fine[2] < 0.4 * fine[0] < fine[1] < fine[0]


def test_its_fit_is_that_of_visual_and_a_reader_that_does_not_know_grain_reads_that_file() -> None:
    visual = encode(signal(), replace(FAST, tune="visual")).data
    content = read(file())
    assert content.metadata.keys() == {"grain"}
    assert write(replace(content, metadata={})) == visual


@pytest.mark.parametrize("view", [View(), View(scale=2), View(scale=0.7), View(scale=1.3), View(dither=True)])
def test_crops_and_threads_change_nothing(view: View) -> None:
    whole = opened().render(view).values
    assert np.array_equal(opened(threads=2).render(view).values, whole)
    if view.scale in (None, 2):
        part = opened().render(replace(view, crop=(11, 20, 50, 25))).values
        scale = int(view.scale or 1)
        assert np.array_equal(part, whole[20 * scale : 45 * scale, 11 * scale : 61 * scale])


def test_a_wanted_size_holds_with_its_grain() -> None:
    made = encode(signal(), replace(FAST, lam=None, steps=60, target=Target(size=1400)))
    assert 0.97 * 1400 <= len(made.data) <= 1400
    assert "grain" in read(made.data).metadata


def test_refining_keeps_the_tune_unless_another_one_is_asked_for() -> None:
    for tune, kept in ((None, True), ("visual", False)):
        made = refine(signal(), file(), replace(FAST, lam=None, tune=tune)).encoded
        assert ("grain" in read(made.data).metadata) is kept


def test_grain_in_another_field_is_refused() -> None:
    other = read(encode(signal(), EncodeSettings(field="siren", width=4, layers=2, steps=2, threads=1, device="cpu")).data)
    grain = Grain(side_log2=4, shares=(1, 2, 3), levels=np.zeros((5, 8), np.int64)).to_bytes()
    with pytest.raises(MalformedError, match="grain for a field that is no pyramid"):
        I2File.from_bytes(write(replace(other, metadata={"grain": grain})))
