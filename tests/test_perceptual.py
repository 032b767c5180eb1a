"""The perceptual distortions: equal to what others measure, right gradients, and every kind of picture and window."""

import io

import numpy as np
import pytest
import torch
from pictures import COFFEE
from PIL import Image

from i2compress.arrays import Float32Array
from i2compress.bench.image import ms_ssim_rgb, ssimulacra2
from i2compress.codec import I2File, encode
from i2compress.config import EncodeSettings
from i2compress.errors import UsageError
from i2compress.field.spec import PyramidSpec
from i2compress.fit.blur import RADIUS, blur
from i2compress.fit.ms_ssim import MsSsim
from i2compress.fit.perceptual import DISTORTIONS, SSIM, VISUAL, Perceptual
from i2compress.fit.ssimulacra2 import PADDED, Ssimulacra2
from i2compress.fit.windows import windows
from i2compress.signal import Signal, to_codes

CPU = torch.device("cpu")


def scene(height: int, width: int, channels: int = 3) -> Float32Array:
    """Something like a photograph, with an opacity that falls off where there is one."""
    with Image.open(COFFEE) as picture:
        values = np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255
    if channels in (1, 2):
        values = values.mean(-1, keepdims=True)
    if channels in (2, 4):
        values = np.concatenate([values, np.broadcast_to(np.linspace(0, 1.5, width, dtype=np.float32).clip(0, 1)[:, None], (height, width, 1))], -1)
    return np.ascontiguousarray(values)


def tensor(values: Float32Array) -> torch.Tensor:
    """Channels first."""
    return torch.from_numpy(np.moveaxis(values, -1, 0).copy())


def jpeg(codes: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG makes of a picture."""
    file = io.BytesIO()
    Image.fromarray(codes).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("size", [(256, 288), (301, 243)])
@pytest.mark.parametrize("quality", [8, 40, 90])
def test_the_measures_are_those_of_the_packages(size: tuple[int, int], quality: int) -> None:
    pytest.importorskip("ssimulacra2")
    pytest.importorskip("pytorch_msssim")
    source = to_codes(scene(*size), 8).astype(np.uint8)
    other = jpeg(source, quality)
    first, second = (tensor(codes.astype(np.float32) / 255) for codes in (source, other))
    assert float(Ssimulacra2(first, mirrored=PADDED)(second)) == pytest.approx(ssimulacra2(source, other), abs=0.02)
    assert float(MsSsim(first, margin=RADIUS)(second)) == pytest.approx(ms_ssim_rgb(source, other), abs=2e-5)


def test_equal_pictures_have_the_best_values_and_finite_slopes() -> None:
    picture = tensor(scene(64, 80))
    for measure, best in ((Ssimulacra2(picture), 100), (MsSsim(picture), 1)):
        values = picture.clone().requires_grad_()
        found = measure(values)
        found.backward()  # type: ignore[no-untyped-call]
        assert float(found.detach()) == pytest.approx(best, abs=0.2)
        assert values.grad is not None and bool(values.grad.isfinite().all())


@pytest.mark.parametrize("mirrored", [(True, True), (True, False), (False, False)])
def test_a_blur_keeps_what_is_flat_and_is_its_own_gradient(mirrored: tuple[bool, bool]) -> None:
    generator = torch.Generator().manual_seed(0)
    planes = torch.rand(2, 12, 15, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: blur(x, mirrored), planes)
    if all(mirrored):
        assert torch.allclose(blur(torch.ones(1, 9, 9, dtype=torch.float64), mirrored), torch.ones(1, 9, 9, dtype=torch.float64))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("recipe", [SSIM, VISUAL])
def test_slopes_are_those_of_finite_differences_for_every_number_of_channels(channels: int, recipe: object) -> None:
    values = scene(70, 90, channels)
    window = windows(PyramidSpec(grid=(70, 90), channels=channels, levels=3), None)[0]
    distortion = Perceptual(values, device=CPU, recipe=recipe)
    generator = torch.Generator().manual_seed(1)
    output = (tensor(values)[None] + 0.05 * torch.randn(1, channels, 70, 90, generator=generator)).clamp(0.02, 0.98).requires_grad_()
    distortion(output, window).backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    way = 1e-3 * torch.sign(output.grad)
    with torch.no_grad():
        difference = float(distortion(output + way, window) - distortion(output - way, window)) / 2
    assert difference == pytest.approx(float((output.grad * way).sum()), rel=0.02)


def test_fully_transparent_colour_does_not_count_but_opacity_does() -> None:
    values = scene(40, 48, 4)
    values[..., 3] = 0
    weights = np.ones_like(values)
    weights[..., :3] = 0
    window = windows(PyramidSpec(grid=(40, 48), channels=4, levels=3), None)[0]
    distortion = Perceptual(values, weights, device=CPU, recipe=VISUAL)
    output = tensor(values)[None].clone()
    right = float(distortion(output, window))
    output[:, :3] = 0.5
    assert float(distortion(output, window)) == pytest.approx(right, abs=1e-9)
    output[:, 3] = 0.5
    assert float(distortion(output, window)) > right + 1e-4


def test_a_picture_too_small_for_structure_has_its_squared_error() -> None:
    values = scene(9, 9)
    window = windows(PyramidSpec(grid=(9, 9), channels=3, levels=2), None)[0]
    output = tensor(values)[None] + 0.1
    assert float(Perceptual(values, device=CPU, recipe=VISUAL)(output, window)) == pytest.approx(0.01 * VISUAL.squares, rel=1e-4)


@pytest.mark.parametrize("name", list(DISTORTIONS))
def test_curvature_is_positive_and_windows_measure_their_own_core(name: str) -> None:
    values = scene(96, 200)
    distortion = DISTORTIONS[name](values, None, device=CPU)
    spec = PyramidSpec(grid=(96, 200), channels=3, levels=3)
    parts = windows(spec, 64)
    assert len(parts) > 2
    for window in parts[:2]:
        whole = window.whole[0]
        output = tensor(values)[None][..., whole[0], whole[1]].clone()
        equal = float(distortion(output, window))
        halo = output.clone()
        core = window.inner[0]
        halo += 0.2
        halo[..., core[0], core[1]] = output[..., core[0], core[1]]
        assert float(distortion(halo, window)) == pytest.approx(equal, abs=1e-7)  # the halo does not count
        part = (slice(2, 30), slice(1, 20))
        bend = distortion.curvature(window, part)
        assert bend.shape == (1, 3, 28, 19) and bool((bend > 0).all())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("tune", ["visual", "ssim"])
def test_pictures_of_every_kind_are_coded_with_every_tune(channels: int, tune: str) -> None:
    signal = Signal(values=scene(37, 44, channels), bit_depth=16)
    made = encode(signal, EncodeSettings(tune=tune, steps=25, threads=1, device="cpu"))
    assert made.psnr > 12 and made.loss is None
    assert I2File.from_bytes(made.data, threads=1).render().values.shape == (37, 44, channels)


def test_visual_and_ssim_gain_in_what_they_measure() -> None:
    signal = Signal(values=scene(64, 96), bit_depth=8)
    found = {}
    for tune in ("psnr", "ssim", "visual"):
        made = encode(signal, EncodeSettings(tune=tune, steps=80, lam=2e-3, threads=1, device="cpu"))
        decoded = tensor(np.asarray(I2File.from_bytes(made.data, threads=1).render().values, np.float32))
        source = tensor(signal.values)
        found[tune] = (len(made.data), made.psnr, float(MsSsim(source)(decoded)), float(Ssimulacra2(source)(decoded)))
    assert found["psnr"][1] > max(found["ssim"][1], found["visual"][1])
    assert found["visual"][3] / found["visual"][0] > found["psnr"][3] / found["psnr"][0]


def test_a_coordinate_field_takes_psnr_and_refuses_others_that_are_asked_for() -> None:
    signal = Signal(values=scene(8, 8), bit_depth=8)
    with pytest.raises(UsageError, match="--tune ssim is for pyramid fields; a siren field takes psnr"):
        encode(signal, EncodeSettings(tune="ssim", field="siren", width=4, steps=2))
    assert encode(signal, EncodeSettings(field="siren", width=4, steps=2, threads=1)).loss is not None
