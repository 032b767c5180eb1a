"""Whole files: encode, decode, the promises of the format, and the Python API."""

import math
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import i2compress
from i2compress import EncodeSettings, Signal, View, checkpoints, codec, fit
from i2compress.codec import Encoded, I2File, encode
from i2compress.coding.latents import latent_bits
from i2compress.coding.weights import decode_weights
from i2compress.container import has_stripped, read, write
from i2compress.errors import FormatError, MalformedError, SignalError, TruncatedError, UsageError
from i2compress.field.priors import find_prior
from i2compress.field.weights import context_weights
from i2compress.fit.rate import ContextModel
from i2compress.media.image.encode import hurried, levels_for, pyramid_spec
from i2compress.planes.pyramid import stream_grids
from i2compress.signal import Metadata, to_codes

FAST = EncodeSettings(steps=30, lam=1e-3, threads=1)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth shapes with an edge and a little noise, uint8 `[H, W, C]`."""
    y, x = np.mgrid[:height, :width] / max(height, width, 8)
    base = 0.5 + 0.3 * np.sin(5 * x + 2 * y) + 0.15 * (x > 0.5)
    values = np.stack([base * (1 - 0.1 * c) + 0.05 * c for c in range(channels)], -1)
    values += np.random.default_rng(seed).normal(0, 0.01, values.shape)
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)


@lru_cache
def encoded(height: int = 40, width: int = 52, channels: int = 3, explicit: bool = False) -> Encoded:
    return encode(Signal.from_codes(picture(height, width, channels)), replace(FAST, explicit=explicit))


@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 3), (1, 7, 1), (5, 1, 2), (13, 17, 4), (31, 8, 3)])
def test_every_size_and_channel_count_survives(height: int, width: int, channels: int) -> None:
    source = Signal.from_codes(picture(height, width, channels))
    result = encode(source, replace(FAST, steps=5))
    back = I2File.from_bytes(result.data).render()
    assert back.values.shape == source.values.shape
    assert back.bit_depth == 8


def test_the_picture_comes_back_and_the_reported_psnr_and_size_are_those_of_the_file() -> None:
    result = encoded()
    source = Signal.from_codes(picture(40, 52))
    decoded = i2compress.decode(result.data)
    codes, wanted = (to_codes(values, 8).astype(np.float64) / 255 for values in (decoded.values, source.values))
    error = float(np.mean((codes - wanted) ** 2))
    assert result.psnr == pytest.approx(-10 * math.log10(error), abs=1e-6)
    assert result.psnr > 20
    assert result.bpp == pytest.approx(8 * len(result.data) / (40 * 52))
    assert sum(result.sizes.values()) == len(result.data)


def test_the_file_is_as_large_as_the_estimate_and_a_constant() -> None:
    """The constant is the framing: signature, header, chunk heads and checksums, and the ends of the streams."""
    result = encoded(64, 96)
    content, plane = read(result.data), I2File.from_bytes(result.data).content.plane
    shapes = plane.spec.weight_shapes
    groups = dict(zip(shapes, decode_weights(content.weights, list(shapes.values())), strict=True))
    context = context_weights(plane.spec, groups, find_prior(content.header.prior, plane.spec))
    estimate = len(content.weights) + latent_bits(plane.latents, context, tile=plane.spec.tile).sum() / 8
    assert estimate <= len(result.data) <= 1.01 * estimate + 80


def test_the_finest_grids_of_a_low_quality_are_silent_and_take_no_bytes() -> None:
    y, x = np.mgrid[:256, :320]
    source = Signal.from_codes(np.stack([40 + x // 2, 30 + y // 2, 100 + (x + y) // 8], -1).astype(np.uint8))
    settings = replace(FAST, lam=0.02, start="none", tune="psnr")
    with patch.object(ContextModel, "forward", autospec=True, side_effect=ContextModel.forward) as rate:
        result = encode(source, settings)
    seen = [call.args[3] if len(call.args) > 3 else call.kwargs.get("silent", ()) for call in rate.call_args_list]
    content, plane = read(result.data), I2File.from_bytes(result.data).content.plane
    count = next(number for number, grid in enumerate(plane.latents) if grid.any())
    empty = [not stream for stream in content.latents]
    assert 0 < sum(empty) <= count < len(plane.latents) and not any(empty[: -sum(empty)])
    whole = next(number for number, call in enumerate(rate.call_args_list) if call.args[1][0].shape[2:] == plane.latents[0].shape)
    assert seen[whole] == (0,)  # as the halved picture's finest grid was next to nothing
    assert (seen[0], seen[-1]) == ((), tuple(number for number, grid in enumerate(plane.latents[:-1]) if not grid.any()))
    assert result.psnr > 20 and np.array_equal(I2File.from_bytes(result.data).render().values, i2compress.decode(result.data).values)


def test_the_same_input_gives_the_same_file() -> None:
    again = encode(Signal.from_codes(picture(40, 52)), FAST)
    assert again.data == encoded().data


def test_the_explicit_twin_is_written_and_read() -> None:
    result = encoded(explicit=True)
    file = I2File.from_bytes(result.data)
    assert file.content.plane.header.field == 1
    assert file.content.plane.spec.explicit
    assert result.psnr > 20


def test_more_quality_is_more_bytes_and_more_psnr() -> None:
    low, high = (encode(Signal.from_codes(picture(40, 52)), EncodeSettings(steps=60, quality=q)) for q in (20, 90))
    assert len(low.data) < len(high.data)
    assert low.psnr < high.psnr


def test_the_step_of_a_latent_goes_with_the_square_root_of_lambda() -> None:
    signal = Signal.from_codes(picture(40, 52))
    steps = {lam: pyramid_spec(signal.grid, signal.channels, EncodeSettings(lam=lam)).step for lam in (1e-12, 1e-4, 4e-4, 1.6e-3, 1.0)}
    assert steps[4e-4] / steps[1e-4] == pytest.approx(2)
    assert steps[1.6e-3] / steps[4e-4] == pytest.approx(2)
    assert 0 < steps[1e-12] < steps[1e-4]
    assert steps[1.6e-3] < steps[1.0] < 64


def test_every_prefix_is_refused_as_truncated() -> None:
    data = encoded().data
    for end in range(len(data)):
        with pytest.raises(TruncatedError if end > 3 else FormatError):
            I2File.from_bytes(data[:end])


def test_every_single_byte_flip_is_refused() -> None:
    data = encoded().data
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        with pytest.raises(FormatError):
            I2File.from_bytes(bytes(damaged))


@pytest.mark.parametrize("seed", range(20))
def test_random_payloads_under_right_checksums_give_an_error_or_a_picture(seed: int) -> None:
    content = read(encoded().data)
    random = np.random.default_rng(seed)
    garbage = random.integers(0, 256, 200, np.uint8).tobytes()
    swapped = replace(content, weights=garbage) if seed % 2 else replace(content, latents=(garbage,))
    try:
        values = I2File.from_bytes(write(swapped)).render().values
    except FormatError:
        return
    assert values.shape == (40, 52, 3)
    assert np.isfinite(values).all()


def test_a_layer_that_does_not_contract_is_refused() -> None:
    from i2compress.coding.weights import decode_weights, encode_weights

    content = read(encoded().data)
    spec = I2File.from_bytes(encoded().data).content.plane.spec
    groups = dict(zip(spec.weight_shapes, decode_weights(content.weights, list(spec.weight_shapes.values())), strict=True))
    groups["A"] = replace(groups["A"], symbols=np.eye(spec.width, dtype=np.int64), exponent=0)
    with pytest.raises(MalformedError, match="contraction bound"):
        I2File.from_bytes(write(replace(content, weights=encode_weights(list(groups.values())))))


def test_a_truncated_file_shows_its_coarse_levels_on_request() -> None:
    source = picture(160, 160)
    noisy = np.clip(source + np.random.default_rng(0).normal(0, 30, source.shape), 0, 255).astype(np.uint8)
    data = encode(Signal.from_codes(noisy), replace(FAST, lam=1e-5, steps=60)).data
    content = read(data)
    assert len(content.latents) == 3
    cut = data[: len(data) - len(content.latents[-1]) - 3]
    with pytest.raises(TruncatedError):
        I2File.from_bytes(cut)
    partial = I2File.from_bytes(cut, allow_partial=True)
    assert not partial.complete
    assert (partial.content.plane.latents[0] == 0).all()
    assert (partial.content.plane.latents[1] != 0).any()
    assert partial.render().values.shape == (160, 160, 3)


@pytest.mark.parametrize(("view", "shape"), [(View(scale=2), (80, 104)), (View(size=(30, 20)), (20, 30)), (View(max_size=26), (20, 26))])
def test_views_have_the_size_asked_for(view: View, shape: tuple[int, int]) -> None:
    file = I2File.from_bytes(encoded().data)
    assert file.output(view).shape == (*shape, 3)
    assert file.render(view).values.shape == (*shape, 3)


def test_a_crop_is_that_part_of_the_whole_exactly() -> None:
    file = I2File.from_bytes(encoded().data)
    for scale in (1, 2, 3):
        whole = file.render(View(scale=scale)).values
        part = file.render(View(scale=scale, crop=(7, 11, 20, 13))).values
        assert np.array_equal(part, whole[11 * scale : 24 * scale, 7 * scale : 27 * scale])


def test_a_crop_outside_the_picture_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        I2File.from_bytes(encoded().data).render(View(crop=(40, 0, 20, 5)))


def test_colour_under_full_transparency_costs_nothing() -> None:
    clean = picture(32, 40, 4)
    clean[:, 20:, 3] = 0
    clean[:, :20, 3] = 255
    noisy = clean.copy()
    noisy[:, 20:, :3] = np.random.default_rng(1).integers(0, 256, (32, 20, 3))
    sizes = [len(encode(Signal.from_codes(p), FAST).data) for p in (clean, noisy)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("stripped", [False, True])
def test_metadata_decide_nothing_of_a_refinement(stripped: bool) -> None:
    """The bytes of a long Exif block are in one of the two files, and must make neither a worse fit the better one nor a better one the worse."""
    metadata = Metadata(exif=b"II*\0" + np.random.default_rng(0).bytes(4000))
    codes = np.add.outer(np.arange(24), np.arange(32))[..., None] * [3, 2, 4] % 200
    source = Signal.from_codes(codes.astype(np.uint8), metadata=metadata)
    few, many = (EncodeSettings(steps=steps, threads=1, device="cpu", strip=stripped) for steps in (2, 40))
    poor, good = (codec.encode(source, settings).data for settings in (few, many))
    better = codec.refine(source, poor, replace(many, strip=False))
    assert better.better and has_stripped(better.encoded.data) is not stripped  # what the file had none of is not put back
    assert not codec.refine(source, good, replace(few, strip=True)).better


def test_frames_of_a_view_are_three() -> None:
    with pytest.raises(UsageError, match="frames has 2 values; expected 3"):
        View(frames=(2, 5))  # type: ignore[arg-type]


def test_sixteen_bits_and_metadata_are_kept_unless_stripped() -> None:
    codes = picture(16, 24).astype(np.uint16) * 257
    metadata = Metadata(icc=b"profile", exif=b"II*\0", xmp=b"<x/>")
    source = Signal.from_codes(codes, metadata=metadata)
    back = I2File.from_bytes(encode(source, FAST).data).render()
    assert (back.bit_depth, back.metadata) == (16, metadata)
    assert I2File.from_bytes(encode(source, replace(FAST, strip=True)).data).metadata == Metadata()


@pytest.mark.parametrize(
    ("steps", "passes", "more", "expected"),
    [
        (90, 3, {}, "left 3 steps on each part of the picture"),
        (9, 9, {}, "left 9 steps, and good pictures take 40 or more; give more time"),
        (40, 40, {}, None),
        (9, 9, {"time_limit": None}, None),
        (9, 9, {"steps": 9}, None),
        (9, 9, {"field": "siren"}, None),
    ],
)
def test_a_time_limit_that_leaves_too_few_steps_is_noted(steps: int, passes: int, more: dict[str, object], expected: str | None) -> None:
    notes = hurried(steps, passes, EncodeSettings(**{"time_limit": 120.0, **more}), 1000)
    assert expected in notes[0] if expected else notes == ()


def test_levels_and_streams_fit_the_picture() -> None:
    assert [levels_for(grid) for grid in ((1, 9), (2, 2), (63, 900), (512, 768))] == [1, 1, 5, 6]
    assert stream_grids(7, 3) == [range(2, 7), range(1, 2), range(1)]
    assert stream_grids(2, 1) == [range(2)]
    with pytest.raises(MalformedError):
        stream_grids(2, 3)


def test_the_api_takes_arrays_of_common_types(tmp_path: Path) -> None:
    array = picture(12, 16)
    from_codes = i2compress.encode(array, FAST)
    from_floats = i2compress.encode(array.astype(np.float64) / 255, FAST)
    assert i2compress.decode(from_codes).values.shape == i2compress.decode(from_floats).values.shape == (12, 16, 3)
    path = tmp_path / "a.i2"
    path.write_bytes(from_codes)
    assert i2compress.open(path).render(View(scale=2)).values.shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((4, 4), np.int32), "int32"),
        (np.full((4, 4), 2.0), "scale it first"),
        (np.full((4, 4), np.nan), "NaN|values"),
        (np.zeros((4, 4, 5), np.uint8), "1 to 4"),
    ],
)
def test_arrays_that_are_not_pictures_are_refused_in_a_sentence(array: np.ndarray, sentence: str) -> None:
    with pytest.raises(SignalError, match=sentence):
        i2compress.encode(array, FAST)


def test_every_public_name_is_there() -> None:
    assert sorted(i2compress.__all__) == i2compress.__all__
    assert all(hasattr(i2compress, name) for name in i2compress.__all__)


def test_compiling_is_not_in_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = Signal.from_codes(picture(40, 52))
    encode(signal, EncodeSettings(steps=2, threads=1))  # what it loads is loaded

    def compiles(*_: object) -> float:
        time.sleep(2.0)
        return 2.0

    monkeypatch.setattr(codec, "compile_loops", compiles)
    monkeypatch.setattr(fit, "known", lambda: False)
    began = time.monotonic()
    late = codec.encode(signal, EncodeSettings(steps=100000, threads=1, time_limit=1.5))
    assert late.coded.steps > 5 and 2.0 < time.monotonic() - began < 60


def test_the_loops_are_compiled_by_a_little_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(checkpoints, "state_folder", lambda: tmp_path)
    with checkpoints.kept(bytes(16)):
        assert codec.compile_loops(EncodeSettings(threads=1, device="cpu"), lambda info: told.append(info.phase)) > 0
        first = checkpoints.next_place()
        assert first is not None and first.path.name == "00000.state"  # the noise has taken no place of the encode's own fits
    assert set(told) <= {"compile"}
