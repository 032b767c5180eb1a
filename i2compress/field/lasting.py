"""Still grids: the frames of a latent grid that last as long as a sample of the coarsest one does, and fade over to each other."""

from ..arrays import Float32Array
from ..coords import linear


def shares(first: int, frames: int, lasting: int, stills: int) -> Float32Array:
    """What each of `stills` frames that last 2**lasting ones counts in frames `first`, `first` + 1 ...: `[frames, stills]`.

    Linear between their middles, before the first middle and after the last one all of the nearest.
    """
    middle = ((1 << lasting) - 1) / 2
    return linear([frame - middle for frame in range(first, first + frames)], 1 << lasting, stills)
