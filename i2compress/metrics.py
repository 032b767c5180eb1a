"""The one set of quality measures."""

import math

import numpy as np
import numpy.typing as npt


def mean_squared_error(a: npt.ArrayLike, b: npt.ArrayLike, importance: npt.ArrayLike | None = None) -> float:
    """Mean of (a - b)**2, each square times `importance` where given; arrays of one shape, any unit."""
    square = np.square(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    return float((square if importance is None else square * np.asarray(importance)).mean())


def psnr(error: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, infinite for 0."""
    return math.inf if error == 0 else 10 * math.log10(peak * peak / error)
