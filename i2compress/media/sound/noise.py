"""Noise where nothing was coded: a spectrum with holes sounds worse than one with noise of the same strength.

A coefficient whose latent is 0, or that was not kept, gets +-A_b e_f: A_b is the band's level in the file, e_f the strength of
what was decoded of the frame, so that noise comes and goes with the sound. Signs come from a hash of the place.
"""

import numpy as np
import numpy.typing as npt

from ...arrays import Float64Array
from .format import BARK_EDGES, NO_NOISE, NOISE_PER_OCTAVE, bark_bands

STRONGEST = 2.0  # the loudest noise, as a multiple of e_f
_LEAST = 1e-30
_SILENT = 1e-4  # share of the mean power: frames below it get next to no noise whatever the level
_RANGE = 1e-4  # share of a band's mean power: less counts as that
SHARE = 0.7  # share of the strength that is missing in a band: a little less than all of it is less noticed


def envelope(plane: Float64Array) -> Float64Array:
    """e_f `[F]`: root mean square of each frame of a plane `[C, F, K]`, over that of all frames, at most 2."""
    energy = np.square(plane).sum((0, 2))
    mean = energy.mean()
    return np.minimum(np.sqrt(energy / mean), STRONGEST) if mean > 0 else np.zeros_like(energy)


def signs(shape: tuple[int, ...]) -> Float64Array:
    """+1 or -1 for each place in raster order."""
    h = np.arange(int(np.prod(shape)), dtype=np.uint64)
    h = (h * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    return np.asarray(1.0 - 2.0 * (h >> np.uint64(31)).astype(np.float64)).reshape(shape)


def levels(wanted: Float64Array, plane: Float64Array, coded: npt.NDArray[np.bool_], hop: int, rate: int) -> tuple[int, ...]:
    """Codes of A_b of the 25 bands: A_b = 2**(-code / 2), NO_NOISE for none; from the lower of two means over frames of what is missing.

    Args:
        wanted: the plane before its fit, all bins, `[C, F, hop]`.
        plane: as decoded, `[C, F, K]`.
        coded: where a latent is not 0, `[C, F, K]`.
        hop, rate: see bark_bands.
    """
    missing = np.ones(wanted.shape, np.bool_)
    missing[..., : coded.shape[2]] = ~coded
    strength = np.square(envelope(plane))[:, None]
    count = len(BARK_EDGES) + 1
    member = np.eye(count)[bark_bands(hop, hop, rate)]
    places, lacking = (part.sum(0) @ member for part in (missing, missing * np.square(wanted)))
    reach = places * strength
    mean = lacking.sum(0) / np.maximum(reach.sum(0), _LEAST)
    # What is missing in a few frames only, as between clicks, has a large mean that would fill all the others too. The geometric mean
    # over the frames is the level at the least log-spectral distance; where quiet frames lack more of their strength it is the larger.
    audible = (strength > _SILENT) & (places > 0)
    share = np.log(np.maximum(lacking / np.maximum(reach, _LEAST), _RANGE * mean + _LEAST))
    geometric = np.exp(np.where(audible, places * share, 0).sum(0) / np.maximum(np.where(audible, places, 0).sum(0), 1))
    codes = np.rint(-NOISE_PER_OCTAVE * np.log2(np.maximum(SHARE * np.sqrt(np.minimum(mean, geometric)), 1e-12)))
    return tuple(np.clip(codes, 0, NO_NOISE).astype(int).tolist())


def fill(plane: Float64Array, coded: npt.NDArray[np.bool_], codes: tuple[int, ...], hop: int, rate: int) -> Float64Array:
    """The plane `[C, F, hop]` with its noise; arguments as in `levels`."""
    amplitudes = np.where(np.array(codes) == NO_NOISE, 0.0, 2.0 ** (-np.array(codes) / NOISE_PER_OCTAVE))[bark_bands(hop, hop, rate)]
    out = np.zeros((*plane.shape[:2], hop))
    out[..., : plane.shape[2]] = plane
    noise = signs(out.shape) * envelope(plane)[:, None] * amplitudes
    noise[..., : plane.shape[2]][coded] = 0.0
    return out + noise
