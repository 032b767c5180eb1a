"""The one set of measures that every codec's decoded picture is scored by, on 8-bit RGB code values."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ..metrics import mean_squared_error, psnr
from . import ssimulacra
from .parts import Metric, Pixels

if TYPE_CHECKING:
    import torch

MS_SSIM_SMALLEST = 161  # samples a side: five scales of an 11-sample window
SSIM_WINDOW = 11


def psnr_rgb(source: Pixels, decoded: Pixels) -> float:
    """PSNR in dB over all samples of all channels, peak 255; inf where equal."""
    return psnr(mean_squared_error(source, decoded), 255.0)


def ssim_rgb(source: Pixels, decoded: Pixels) -> float | None:
    """SSIM, 11x11 Gaussian window, mean of the channels, in [-1, 1]; None for a side under 11 samples."""
    if min(source.shape[:2]) < SSIM_WINDOW:
        return None
    from pytorch_msssim import ssim

    return float(ssim(*_tensors(source, decoded), data_range=255))


def ms_ssim_rgb(source: Pixels, decoded: Pixels) -> float | None:
    """MS-SSIM of five scales, mean of the channels, in [0, 1]; None for a side under 161 samples, where it is not defined."""
    if min(source.shape[:2]) < MS_SSIM_SMALLEST:
        return None
    from pytorch_msssim import ms_ssim

    return float(ms_ssim(*_tensors(source, decoded), data_range=255))


def ssimulacra2(source: Pixels, decoded: Pixels) -> float:
    """SSIMULACRA 2: 100 equal, 90 visually lossless, 70 high, 50 medium, 30 low quality; it may be negative."""
    return ssimulacra.score(source, decoded)


def _tensors(source: Pixels, decoded: Pixels) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    first, second = (torch.from_numpy(np.moveaxis(samples, -1, 0)[None].astype(np.float32)) for samples in (source, decoded))
    return first, second


def _needs(package: str) -> str | None:
    return None if find_spec(package) else f"{package} is not installed; pip install 'i2compress[bench]'"


METRICS = {
    metric.name: metric
    for metric in (
        Metric(name="psnr-rgb", title="PSNR RGB [dB]", digits=2, measure=psnr_rgb),
        Metric(name="ms-ssim-rgb", title="MS-SSIM RGB", digits=4, measure=ms_ssim_rgb, missing=lambda: _needs("pytorch_msssim")),
        Metric(name="ssim-rgb", title="SSIM RGB", digits=4, measure=ssim_rgb, missing=lambda: _needs("pytorch_msssim")),
        Metric(name="ssimulacra2", title="SSIMULACRA 2", digits=1, measure=ssimulacra2, missing=lambda: _needs("ssimulacra2")),
    )
}
