"""Small .i2 files of every kind of picture."""

from functools import cache

import numpy as np

from i2compress import EncodeSettings, Metadata, Signal, codec
from i2compress.signal import from_codes

QUICK = {"steps": 6, "threads": 1, "device": "cpu"}


@cache
def picture(channels: int, depth: int, height: int = 36, width: int = 52, **metadata: bytes) -> bytes:
    """The file of a smooth picture."""
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    waves = np.stack([0.5 + 0.4 * np.sin(5 * rows + (c + 3) * columns) for c in range(channels)], -1)
    codes = np.round(waves * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)
    signal = Signal(values=from_codes(codes), bit_depth=depth, metadata=Metadata(**metadata))
    return codec.encode(signal, EncodeSettings(**QUICK)).data  # type: ignore[arg-type]  # each of its own type
