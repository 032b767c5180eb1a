"""What hides an error from the ear: masking thresholds of Bark bands, after Johnston (1988).

J. D. Johnston, "Transform coding of audio signals using perceptual noise criteria", IEEE J. Sel. Areas Commun. 6(2), 1988:
the energies of critical bands, spread along the Bark scale by Schroeder's function, less an offset, floored by the
threshold in quiet (Terhardt 1979). Simplified: one offset for tones and noise, no spreading in time, and thresholds enter
with an exponent under one, so that at low rates the strong bands are not starved. Encoder only: a decoder sees band weights.
"""

import numpy as np

from ...arrays import Float64Array
from .format import BARK_EDGES, WEIGHTS_PER_OCTAVE, bark_bands

OFFSET_DB = 6.0
# The exponent of the thresholds: with 1 noise is shaped as they are, with 0 not at all. From 0.4 to 0.8 the spectral distance is the same,
# and 0.4 has the best signal-to-noise ratio.
EXPONENT = 0.4
FULL_SCALE_DB = 96.0  # sound pressure level of a full-scale sine
STEEPEST = 6.0  # largest ratio of one frame's weight against the segment's mean, either way
_BANDS = len(BARK_EDGES) + 1


def thresholds(coefficients: Float64Array, hop: int, rate: int) -> Float64Array:
    """Energy of noise that is just masked, of each frame and Bark band: `[F, 25]`, per coefficient.

    Args:
        coefficients: `[C, F, hop]`, full scale 1.
        hop: samples a frame.
        rate: samples a second.
    """
    bands = bark_bands(coefficients.shape[-1], hop, rate)
    counts = np.bincount(bands, minlength=_BANDS)
    energy = np.zeros((coefficients.shape[1], _BANDS))
    np.add.at(energy.T, bands, np.square(coefficients).sum(0).T)
    spread = energy @ _spreading().T / np.maximum(counts, 1)
    return np.asarray(np.maximum(spread * 10 ** (-OFFSET_DB / 10), _quiet()) + 1e-14)


def weigh(coefficients: Float64Array, hop: int, rate: int) -> tuple[tuple[int, ...], Float64Array]:
    """Band weights of a segment, and the importance of squared errors of weighted coefficients.

    Args:
        coefficients: `[C, F, hop]`.
        hop: samples a frame.
        rate: samples a second.

    Returns:
        weights in quarters of an octave, one a band, such that the weighted signal has about the energy it had;
        importance `[F, hop]`, 1 on average.
    """
    levels = EXPONENT * np.log2(thresholds(coefficients, hop, rate)) / 2
    mean = levels.mean(0)
    bands = bark_bands(hop, hop, rate)
    energy = np.bincount(bands, np.square(coefficients).sum((0, 1)), _BANDS)
    shift = 0.5 * np.log2(max((energy * 4.0**-mean).sum(), 1e-30) / max(energy.sum(), 1e-30))
    codes = np.clip(np.rint(WEIGHTS_PER_OCTAVE * (mean + shift)), -127, 127).astype(int)
    change = np.clip(2.0 ** (2 * (mean - levels)), 1 / STEEPEST, STEEPEST)
    return tuple(codes.tolist()), np.asarray((change / change.mean())[:, bands])


def band_gains(weights: tuple[int, ...], bins: int, hop: int, rate: int) -> Float64Array:
    """What each coefficient of a frame is divided by in the plane, `[bins]`."""
    if not weights:
        return np.ones(bins)
    return np.asarray(2.0 ** (np.array(weights) / WEIGHTS_PER_OCTAVE))[bark_bands(bins, hop, rate)]


def _spreading() -> Float64Array:
    """Share of the energy of band j that masks in band i: Schroeder, Atal and Hall (1979), eq. (2), normalised."""
    distance = np.arange(_BANDS)[:, None] - np.arange(_BANDS) + 0.474
    decibels = 15.81 + 7.5 * distance - 17.5 * np.sqrt(1 + distance**2)
    return np.asarray(10 ** (decibels / 10))


def _quiet() -> Float64Array:
    """Threshold in quiet of each band, per coefficient: Terhardt (1979)."""
    edges = np.array([20.0, *BARK_EDGES, 20000.0])
    f = np.sqrt(edges[:-1] * edges[1:]) / 1000
    level = 3.64 * f**-0.8 - 6.5 * np.exp(-0.6 * (f - 3.3) ** 2) + 1e-3 * f**4
    return np.asarray(10 ** ((np.minimum(level, 80) - FULL_SCALE_DB) / 10))
