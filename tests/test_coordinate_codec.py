"""Whole files of coordinate fields: encode, decode, damage, and the numpy renderer against the torch field."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from i2compress import EncodeSettings, Kind, Layout, Signal, View
from i2compress.cli import main
from i2compress.codec import Encoded, I2File, encode
from i2compress.container import Header, read, write
from i2compress.errors import FormatError, TruncatedError, UsageError
from i2compress.field.coordinate_field import ANEW, CoordinateField, torch_field
from i2compress.field.derivatives import gradient
from i2compress.fit.coordinate import grid_points
from i2compress.media.image.encode import INPUT_SCALE as PICTURE_SCALE
from i2compress.media.sound import waveform_chunk
from i2compress.media.sound.waveform import INPUT_SCALE as SOUND_SCALE
from i2compress.planes.coordinate import input_scale
from i2compress.signal import Metadata, to_codes

FAST = EncodeSettings(steps=80, lam=1e-4, threads=1, width=12, device="cpu")
KINDS = [(kind, explicit) for kind in ("siren", "fourier", "gabor") for explicit in (False, True)]


def picture(height: int = 20, width: int = 26, channels: int = 3) -> Signal:
    y, x = np.mgrid[:height, :width] / max(height, width)
    base = 0.5 + 0.3 * np.sin(5 * x + 2 * y) + 0.15 * (x > 0.5)
    values = np.stack([base * (1 - 0.1 * c) + 0.05 * c for c in range(channels)], -1)
    return Signal.from_codes((np.clip(values, 0, 1) * 255).round().astype(np.uint8))


@lru_cache
def encoded(kind: str = "siren", explicit: bool = False) -> Encoded:
    return encode(picture(), replace(FAST, field=kind, explicit=explicit))


@pytest.mark.parametrize(("kind", "explicit"), KINDS)
def test_a_picture_comes_back_and_the_reported_psnr_is_that_of_the_file(kind: str, explicit: bool) -> None:
    result = encoded(kind, explicit)
    file = I2File.from_bytes(result.data)
    error = np.mean((to_codes(file.render().values, 8) / 255.0 - picture().values) ** 2)
    assert result.psnr == pytest.approx(-10 * np.log10(error), abs=1e-4)
    assert result.psnr > 22
    assert result.coded.converged and result.coded.steps == 80
    assert result.sizes["weights"] <= len(result.data) <= result.sizes["weights"] + 60
    assert file.complete and file.content.plane.latents == []


def test_a_field_of_a_picture_is_as_wide_as_it_may_be_and_not_as_a_pyramid_may() -> None:
    file = I2File.from_bytes(encode(picture(), replace(FAST, field="siren", width=80, steps=2)).data)
    assert file.content.plane.spec.network.width == 80  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "explicit"), KINDS)
def test_the_numpy_renderer_computes_what_the_torch_field_says(kind: str, explicit: bool) -> None:
    file = I2File.from_bytes(encoded(kind, explicit).data)
    field = torch_field(file.content.plane.spec, file.content.plane.weights)  # type: ignore[arg-type]
    solving = replace(ANEW, stop=replace(ANEW.stop, absolute=1e-6, relative=1e-6, iterations=500))
    with torch.no_grad():
        phi = field(grid_points((20, 26)), solving=solving).values.reshape(20, 26, 3).numpy()
    tolerance = 1.2 * 0.25 / 255 + 0.02 * np.sqrt(10 ** (-encoded(kind, explicit).psnr / 10))
    np.testing.assert_allclose(file.content.plane.renderer.render(), 0.5 + 0.5 * phi, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("kind", "explicit"), [("siren", False), ("gabor", False), ("fourier", True)])
@pytest.mark.parametrize("scale", [None, 2, 1.5, 0.5])
def test_a_crop_is_the_same_part_of_the_whole(kind: str, explicit: bool, scale: float | None) -> None:
    source = picture(70, 90)
    file = I2File.from_bytes(encode(source, replace(FAST, field=kind, explicit=explicit, steps=5)).data)
    whole = file.render(View(scale=scale)).values
    s = scale or 1
    part = file.render(View(crop=(22, 34, 40, 32), scale=scale)).values
    top, left = int(34 * s), int(22 * s)
    assert np.array_equal(part, whole[top : top + len(part), left : left + part.shape[1]])


def test_threads_do_not_change_a_bit() -> None:
    data = encoded().data
    one, three = (I2File.from_bytes(data, threads=n).render(View(scale=5)).values for n in (1, 3))
    assert np.array_equal(one, three)


def test_a_larger_scale_evaluates_the_same_function() -> None:
    """The samples of scale 3 in the middle of each cell are the source's own."""
    file = I2File.from_bytes(encoded("fourier").data)
    np.testing.assert_allclose(file.render(View(scale=3)).values[1::3, 1::3], file.render().values, rtol=0, atol=1e-5)


def test_the_same_input_gives_the_same_file() -> None:
    assert encode(picture(), replace(FAST, field="gabor")).data == encoded("gabor").data


@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 3), (1, 7, 1), (5, 1, 2), (13, 17, 4)])
def test_every_size_and_channel_count_survives(height: int, width: int, channels: int) -> None:
    result = encode(picture(height, width, channels), replace(FAST, steps=3, field="siren"))
    assert I2File.from_bytes(result.data).render().values.shape == (height, width, channels)


def test_two_layers_metadata_and_16_bits_survive() -> None:
    source = picture()
    source = replace(source, bit_depth=16, metadata=Metadata(icc=b"profile"))
    result = encode(source, replace(FAST, field="fourier", layers=2, steps=5))
    file = I2File.from_bytes(result.data)
    assert file.metadata == source.metadata and file.content.plane.header.bit_depth == 16
    assert file.content.plane.header.params[:2] == (12, 2)


@pytest.mark.parametrize("kind", ["siren", "gabor"])
def test_every_prefix_is_refused_as_truncated(kind: str) -> None:
    data = encoded(kind).data
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


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("explicit", [False, True])
def test_random_weights_under_right_checksums_give_an_error_or_a_picture(seed: int, explicit: bool) -> None:
    content = read(encoded("gabor", explicit).data)
    garbage = np.random.default_rng(seed).integers(0, 256, 600, np.uint8).tobytes()
    try:
        values = I2File.from_bytes(write(replace(content, weights=garbage))).render().values
    except FormatError:
        return
    assert np.isfinite(values).all()


def test_a_field_without_contraction_says_whether_its_fixed_point_is_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A siren whose file is changed to amplify: the encoder's own measure must see that there is no fixed point."""
    source = picture()
    free = encode(source, replace(FAST, field="siren", contract=False, input_scale=4))
    file = I2File.from_bytes(free.data)
    assert not file.content.plane.spec.network.normalised  # type: ignore[union-attr]
    file.content.plane.weights["A"] *= 8
    from i2compress.render.coordinate import CoordinateRenderer

    count = CoordinateRenderer(file.content.plane.spec, file.content.plane.weights, gain=0.5, offset=0.5).iterations_for(source.values, 1e-3, 50)  # type: ignore[arg-type]
    assert not count.converged
    assert count.residual > 1e-3
    assert 1 <= count.iterations <= 50

    spec = replace(file.content.plane.spec, converged=False, residual_code=20)  # type: ignore[arg-type]
    content = read(free.data)
    (tmp_path / "a.i2").write_bytes(write(replace(content, header=replace(content.header, params=spec.params))))
    assert main(["info", str(tmp_path / "a.i2")]) == 0
    assert "NOT reached" in capsys.readouterr().out
    assert main(["info", "--json", str(tmp_path / "a.i2")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["converged"], shown["contracts"]) == (False, False)


def test_the_command_writes_reads_and_checks_a_coordinate_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(to_codes(picture().values, 8)).save(path)
    args = ["encode", str(path), "--field", "fourier", "--width", "8", "--layers", "2", "--steps", "5", "--threads", "1"]
    assert main(args) == 0
    assert main(["decode", str(tmp_path / "a.i2"), "--scale", "2"]) == 0
    assert main(["verify", str(tmp_path / "a.i2"), "--against", str(path)]) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "a.i2")]) == 0
    assert "implicit fourier (width 8, 2 layers, input scale 3, " in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        {"field": "mlp"},
        {"field": "siren", "width": 2049},
        {"width": 65},
        {"layers": 2},
        {"field": "siren", "layers": 17},
        {"input_scale": 3},
        {"field": "siren", "input_scale": 0},
        {"contract": False},
        {"field": "siren", "explicit": True, "contract": False},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        EncodeSettings(**wrong)  # type: ignore[arg-type]


def test_the_default_input_scale_is_the_paper_s_at_its_sizes_and_less_for_smaller_signals() -> None:
    assert input_scale((2, 512), "fourier", 256, PICTURE_SCALE) == 256
    assert input_scale((2, 2048), "fourier", 512, PICTURE_SCALE) == 256
    assert input_scale((2, 512), "siren", 256, PICTURE_SCALE) == 128
    assert input_scale((2, 512), "siren", 64, PICTURE_SCALE) == input_scale((2, 512), "siren", 8, PICTURE_SCALE) == 32
    assert input_scale((2, 128), "gabor", 256, PICTURE_SCALE) == 64
    assert input_scale((1, 1), "siren", 64, PICTURE_SCALE) == 1
    assert input_scale((400_000,), "fourier", 256, SOUND_SCALE) == 25000


def test_a_field_from_a_file_has_derivatives() -> None:
    """Central differences of the rendered function, against the gradient that passes through the fixed point."""
    file = I2File.from_bytes(encoded("fourier").data)
    field: CoordinateField = torch_field(file.content.plane.spec, file.content.plane.weights).double()  # type: ignore[arg-type]
    x = torch.tensor([[0.1, -0.3], [0.6, 0.2]], dtype=torch.float64)
    found = gradient(field, x)
    solving = replace(ANEW, stop=replace(ANEW.stop, absolute=1e-12, relative=1e-12, iterations=2000))
    for axis in range(2):
        move = torch.zeros(2, dtype=torch.float64)
        move[axis] = 1e-5
        with torch.no_grad():
            ahead, behind = field(x + move, solving=solving).values, field(x - move, solving=solving).values
        torch.testing.assert_close(found[..., axis], (ahead - behind) / 2e-5, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kind", "explicit"), KINDS)
def test_a_waveform_is_a_signal_with_one_axis(kind: str, explicit: bool) -> None:
    t = np.linspace(-1, 1, 3000, dtype=np.float32)
    wave = Signal(values=np.stack([0.6 * np.sin(40 * t), 0.3 * np.cos(70 * t)], -1).astype(np.float32), kind=Kind.AUDIO, bit_depth=24, rate=8000)
    result = encode(wave, replace(FAST, field=kind, explicit=explicit, steps=80, width=24, input_scale=60))
    back = I2File.from_bytes(result.data).render()
    assert (back.kind, back.values.shape, back.rate, back.bit_depth) == (Kind.AUDIO, (3000, 2), 8000, 24)
    error = float(np.mean((back.values - wave.values) ** 2))
    assert result.psnr == pytest.approx(10 * np.log10(4 / error), abs=1e-3)  # the peak is 2, from -1 to 1
    assert error < 0.2 * wave.values.var()


def test_a_file_whose_values_overflow_decodes_to_numbers() -> None:
    from i2compress.coding.weights import WeightGroup, encode_weights
    from i2compress.field.coordinate_file import CoordinateFile
    from i2compress.field.coordinate_spec import CoordinateSpec

    network = CoordinateSpec(kind="fourier", axes=2, channels=3, width=6, layers=16, normalise=False)
    spec = CoordinateFile(network=network, grid=(20, 26), iterations=1000, converged=False)
    groups = [WeightGroup(symbols=np.full(shape, 500), exponent=0) for shape in spec.weight_shapes.values()]
    content = read(encoded("fourier").data)
    header = replace(content.header, params=spec.params)
    values = I2File.from_bytes(write(replace(content, header=header, weights=encode_weights(groups)))).render().values
    assert np.isfinite(values).all()


def test_decoding_does_not_import_torch(tmp_path: Path) -> None:
    (tmp_path / "a.i2").write_bytes(encoded("gabor").data)
    script = "import sys; from i2compress.cli import main; code = main(['decode', 'a.i2']); sys.exit(code or 'torch' in sys.modules)"
    root = str(Path(__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_writes_reads_and_checks_a_waveform(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    path = tmp_path / "a.wav"
    samples = 0.5 * np.sin(np.arange(2000) / 8)
    soundfile.write(path, samples, 8000, subtype="PCM_16")
    args = ["encode", str(path), "--field", "siren", "--width", "24", "--steps", "60", "--threads", "1", "--input-scale", "260"]
    assert main([*args, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["kind"] == "audio" and record["snr"] > 10
    assert main(["decode", str(tmp_path / "a.i2")]) == 0
    back, rate = soundfile.read(tmp_path / "a.i2.wav")
    assert rate == 8000 and soundfile.info(tmp_path / "a.i2.wav").subtype == "PCM_16"
    snr = 10 * np.log10(np.mean(samples**2) / np.mean((back - samples) ** 2))
    assert snr == pytest.approx(record["snr"], abs=0.1)
    assert main(["verify", str(tmp_path / "a.i2"), "--against", str(path)]) == 0
    assert f"{record['snr']:.2f} dB SNR" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "a.i2")]) == 0
    assert "I2 audio, 0.25 s, 8000 Hz" in capsys.readouterr().out
    assert main(["decode", str(tmp_path / "a.i2"), "--rate", "4000", "--time", "0.1:0.2", "-f"]) == 0
    assert (soundfile.info(tmp_path / "a.i2.wav").samplerate, soundfile.info(tmp_path / "a.i2.wav").frames) == (4000, 400)
    capsys.readouterr()
    for wrong in (["--scale", "2"], ["--time", "3:4"], ["--rate", "16000", "--max-samples", "3999"]):
        assert main(["decode", str(tmp_path / "a.i2"), "-o", str(tmp_path / "none.wav"), *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "none.wav").exists()
    assert main(["encode", str(path), "--field", "siren", "--bitrate", "24k", "-f"]) == 2


HEADER = Header(kind=1, grid=(9,), channels=1, bit_depth=16, field=2, params=(), prior=0, streams=0)


@pytest.mark.parametrize("payload", [b"", b"\x00\x01", b"\xc0\x3e\x04", b"\xc0\x3e\x01\x00", b"\xc0\x3e\x10"])
def test_a_waveform_chunk_that_means_nothing_is_refused(payload: bytes) -> None:
    with pytest.raises(FormatError):
        waveform_chunk.layout_of(HEADER, {waveform_chunk.NAME: payload})


def test_a_waveform_whose_chunk_was_lost_has_the_usual_rate() -> None:
    lost = Layout(kind=Kind.AUDIO, grid=(9,), channels=1, bit_depth=16, rate=44100)
    assert waveform_chunk.layout_of(HEADER, {}) == lost
