"""Videos made by code, for tests."""

import numpy as np

from i2compress.kinds import Kind
from i2compress.signal import Signal


def clip(frames: int = 6) -> Signal:
    """A video with some noise, of one group or, with a cut in it, of two."""
    t, y, x = np.mgrid[:frames, :24, :32]
    waves = 0.5 + 0.3 * np.sin(x / 4 + t / 2) * np.cos(y / 5) + np.random.default_rng(0).normal(0, 0.05, t.shape)
    waves[6:] = 0.2 * waves[6:] + 0.8 * (x[6:] > 16)
    return Signal(values=waves[..., None].astype(np.float32), kind=Kind.VIDEO, rate=25)
