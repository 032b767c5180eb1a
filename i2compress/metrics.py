"""The one set of quality measures."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

FIGURES = {
    "psnr": "dB PSNR",
    "snr": "dB SNR",
    # Of a shape; a millionth is one of the longest side of its box.
    "chamfer": "ppm Chamfer-L1",
    "chamfer_l2": "ppm Chamfer-L2",
    "hausdorff": "ppm Hausdorff",
    "f_score": "% F-score",
    "normals": "% normal consistency",
    "iou": "% IoU",
    "colours": "dB PSNR of colours",
}
"""What is reported of a coded file, by name, with its unit and what people call it."""


def mean_squared_error(a: npt.ArrayLike, b: npt.ArrayLike, importance: npt.ArrayLike | None = None) -> float:
    """Mean of (a - b)**2, each square times `importance` where given; arrays of one shape, any unit."""
    return Comparison.of(a, b, importance).error


def psnr(error: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, infinite for 0."""
    return math.inf if error == 0 else 10 * math.log10(peak * peak / error)


class Comparison:
    """The squares of what is compared, part by part: the sums behind an SNR or a PSNR of signals that do not fit into memory."""

    def __init__(self) -> None:
        self.noise = self.power = 0.0
        self.count = 0

    @staticmethod
    def of(a: npt.ArrayLike, b: npt.ArrayLike, importance: npt.ArrayLike | None = None) -> "Comparison":
        """The comparison of whole arrays."""
        comparison = Comparison()
        comparison.add(a, b, importance)
        return comparison

    def add(self, found: npt.ArrayLike, wanted: npt.ArrayLike, importance: npt.ArrayLike | None = None) -> None:
        """Two parts of one shape, in one unit; each squared difference counts `importance` times where given."""
        reference: npt.NDArray[Any] = np.asarray(wanted, np.float64)
        square = np.square(np.asarray(found, np.float64) - reference)
        self.noise += float((square if importance is None else square * np.asarray(importance)).sum())
        self.power += float(np.square(reference).sum())
        self.count += square.size

    @property
    def error(self) -> float:
        """The mean squared error."""
        return self.noise / self.count

    def psnr(self, peak: float) -> float:
        """In dB against that peak; inf where both are equal."""
        return psnr(self.error, peak)

    @property
    def snr(self) -> float:
        """In dB: the power of what was wanted over that of the difference; inf where both are equal, -inf of silence that did not come back."""
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.power / self.noise) if self.power else -math.inf
