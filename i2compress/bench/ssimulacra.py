"""SSIMULACRA 2 by the package's own steps, with those of the source done once for all the files that are compared with it."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .parts import Pixels

FloatArray = npt.NDArray[np.float64]

_SMALLEST = 8  # samples a side of a scale


class _Scale(NamedTuple):
    """A picture at one scale: positive XYB `[H, W, 3]`, its blurred values and those of its squares."""

    xyb: FloatArray
    mean: FloatArray
    square: FloatArray


def score(source: Pixels, decoded: Pixels) -> float:
    """Equal to ssimulacra2.compute_ssimulacra2 of files with these samples; a test holds it to that."""
    from ssimulacra2 import ssimulacra2 as steps

    found = steps.Msssim()
    for first, second in zip(_kept(source.shape, source.tobytes()), _scales(decoded), strict=True):
        scale = steps.MsssimScale()
        product = steps.blur_image(first.xyb * second.xyb)
        scale.avg_ssim = steps.ssim_map(first.mean, second.mean, first.square, second.square, product)
        scale.avg_edgediff = steps.edge_diff_map(first.xyb, first.mean, second.xyb, second.mean)
        found.scales.append(scale)
    return float(found.score())


@lru_cache(maxsize=1)
def _kept(shape: tuple[int, ...], data: bytes) -> list[_Scale]:
    return list(_scales(np.frombuffer(data, np.uint8).reshape(shape)))


def _scales(samples: Pixels) -> Iterator[_Scale]:
    from ssimulacra2 import ssimulacra2 as steps

    linear = steps.srgb_to_linear(samples.astype(np.float64))
    for index in range(steps.kNumScales):
        if index:
            linear = steps.downsample(linear, 2, 2)
        # The package goes over to XYB with the axes exchanged: its (W, H, 3) is kept, as blurs at the edges depend on it.
        xyb = steps.make_positive_xyb(steps.linear_rgb_to_xyb(linear))
        if min(xyb.shape[:2]) < _SMALLEST:
            return
        yield _Scale(xyb, steps.blur_image(xyb), steps.blur_image(xyb * xyb))
