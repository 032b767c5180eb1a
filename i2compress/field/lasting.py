"""Still grids: latents whose frames last as long as a sample of the coarsest grid does, and fade over to each other."""

import numpy as np

from ..arrays import Float32Array, IndexArray


def between(first: int, frames: int, lasting: int, stills: int) -> tuple[IndexArray, Float32Array]:
    """Which of `stills` frames, of which each lasts 2**lasting, frames `first`, `first` + 1 ... are of, and the share in them of the one after it.

    Each counts fully in the middle of its time; the first one before its middle too, and the last one after it.
    """
    places = ((np.arange(first, first + frames) + 0.5) / (1 << lasting) - 0.5).clip(0, stills - 1)
    before = np.floor(places).astype(np.intp)
    return before, (places - before).astype(np.float32)


def shares(first: int, frames: int, lasting: int, stills: int) -> Float32Array:
    """The same as what each of the stills counts in each frame, `[frames, stills]`."""
    (before, after), number = between(first, frames, lasting, stills), np.arange(frames)
    found = np.zeros((frames, stills), np.float32)
    found[number, before] = 1 - after
    found[number, np.minimum(before + 1, stills - 1)] += after
    return found
