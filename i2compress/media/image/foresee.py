"""What a picture will come to, foreseen from its transform: the lambda at which a fit that is to have a size or a quality begins."""

import math
from collections.abc import Callable

import numpy as np

from ...arrays import Float32Array, Float64Array

BLOCK = 8
STEP = 5.0  # quantiser step, in sqrt(lambda)
SHARE = 2.9  # bytes of latents in the ideal ones of the transform: 2 to 4 of photographs, less of what is smooth
WEIGHTS = 700.0  # bytes of the rest
RANGE, HALVINGS = (1e-6, 0.2), 20
KEPT = 4.0  # squares of coefficients above which their errors stay, in lambda: 2.9 to 6.3 of 5 photographs at 27 to 33 dB
# What SSIMULACRA 2 lacks to 100 is LACK lambda^LACK_POWER, within 7 points for 4 photographs at 27 to 66.
LACK, LACK_POWER = 490.0, 0.38
COLOURS = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]) / np.sqrt([[3.0], [2.0], [6.0]])  # orthonormal


def lambda_of_bytes(values: Float32Array, count: float) -> float:
    """Lambda at which a file of a picture `[H, W, C]` has about so many bytes, by the squared error alone."""
    coefficients = np.square(_transformed(values))

    def larger(lam: float) -> bool:
        bits = 0.5 * np.log2(1 + coefficients / (STEP**2 * lam)).sum()
        return bool(WEIGHTS + SHARE * bits / 8 > count)

    return _least(larger)


def lambda_of_psnr(values: Float32Array, decibels: float) -> float:
    """Lambda at which a picture `[H, W, C]` comes to about so many dB of PSNR, by the squared error alone."""
    coefficients, error = np.square(_transformed(values)), 10 ** (-decibels / 10)
    return _least(lambda lam: bool(np.minimum(coefficients, KEPT * lam).sum() / values.size < error))


def lambda_of_ssimulacra2(points: float) -> float:
    """Lambda at which a photograph comes to about so many points of SSIMULACRA 2, as it is tuned by default."""
    return min(max(float((max(100 - points, 0.0) / LACK) ** (1 / LACK_POWER)), RANGE[0]), RANGE[1])


def _least(more: Callable[[float], bool]) -> float:
    """The least lambda in RANGE for which there need not be more of it."""
    low, high = (math.log(end) for end in RANGE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if more(math.exp(middle)) else (low, middle)
    return math.exp((low + high) / 2)


def _transformed(values: Float32Array) -> Float64Array:
    """The cosine transform of blocks `[N, BLOCK**2 - 1]`, without their means; what is left at the edges of the picture is left out."""
    height, width = (max(1, side // BLOCK) for side in values.shape[:2])
    padded = np.pad(values, [(0, max(0, BLOCK - side)) for side in values.shape[:2]] + [(0, 0)], "edge")[: height * BLOCK, : width * BLOCK]
    if values.shape[2] >= 3:
        padded = np.concatenate([padded[..., :3] @ COLOURS.T, padded[..., 3:]], -1)
    blocks = padded.reshape(height, BLOCK, width, BLOCK, -1).transpose(0, 2, 4, 1, 3).astype(np.float64)
    k = np.arange(BLOCK)
    cosines = np.cos(np.pi * (k + 0.5) * k[:, None] / BLOCK) * np.sqrt(np.where(k[:, None], 2, 1) / BLOCK)
    found: Float64Array = (cosines @ blocks @ cosines.T).reshape(-1, BLOCK**2)[:, 1:]
    return found
