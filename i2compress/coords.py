"""The one coordinate convention.

Sample i of an axis lies at position i, its cell reaches from i - 1/2 to i + 1/2, so an axis of n samples covers
[-1/2, n - 1/2]. Output sample j at scale s lies at (j + 1/2) / s - 1/2. Level l of a pyramid has its sample k at
2**l (k + 1/2) - 1/2. Fields of normalised coordinates map [-1/2, n - 1/2] to [-1, 1].
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

KEYS_HALO = 2


def keys_taps(offset: float) -> npt.NDArray[np.float64]:
    """Weights of the samples -2..2 at position `offset` in [-1/2, 1/2]: Keys (1981), a = -1/2."""
    t = np.abs(np.arange(-KEYS_HALO, KEYS_HALO + 1) - offset)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def keys_four(f: Any) -> tuple[Any, Any, Any, Any]:
    """Weights of the samples -1..2 at positions f in [0, 1), an array or a tensor: the four of keys_taps that are not 0."""
    g = 1 - f
    return -0.5 * f * g * g, 1 - f * f * (2.5 - 1.5 * f), 1 - g * g * (2.5 - 1.5 * g), -0.5 * g * f * f


def phase_offsets(scale: int) -> list[float]:
    """Positions of the `scale` output samples of source sample 0, in (-1/2, 1/2)."""
    return [(k + 0.5) / scale - 0.5 for k in range(scale)]


def normalised(size: float, part: tuple[int, int] | None = None, offset: float = 0.0) -> npt.NDArray[np.float64]:
    """Normalised coordinates of an axis of `size` samples, `[size]` in (-1, 1), symmetric about 0.

    Args:
        size: samples of the whole axis; a fraction where they are those of another rate.
        part: samples start .. stop only; None for all.
        offset: how far each is moved, in samples.
    """
    start, stop = part or (0, math.floor(size))
    return np.asarray((2 * np.arange(start, stop) + (1 + 2 * offset)) / size - 1, np.float64)
