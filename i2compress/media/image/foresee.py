"""What a picture will take, foreseen from its transform: the lambda at which a fit that is to have a size begins."""

import math

import numpy as np

from ...arrays import Float32Array, Float64Array

BLOCK = 8
STEP = 5.0  # quantiser step, in sqrt(lambda)
SHARE = 2.9  # bytes of latents in the ideal ones of the transform: 2 to 4 of photographs, less of what is smooth
WEIGHTS = 700.0  # bytes of the rest
RANGE, HALVINGS = (1e-6, 0.2), 20
COLOURS = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]) / np.sqrt([[3.0], [2.0], [6.0]])  # orthonormal


def lambda_of_bytes(values: Float32Array, count: float) -> float:
    """Lambda at which a file of a picture `[H, W, C]` has about so many bytes, by the squared error alone."""
    coefficients = np.square(_transformed(values))
    low, high = (math.log(end) for end in RANGE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        bits = 0.5 * np.log2(1 + coefficients / (STEP**2 * math.exp(middle))).sum()
        low, high = (middle, high) if WEIGHTS + SHARE * bits / 8 > count else (low, middle)
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
