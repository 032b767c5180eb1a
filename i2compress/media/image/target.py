"""What a picture's file is about to hold."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ...errors import UsageError
from ...signal import Codes, Metadata


@dataclass(frozen=True, kw_only=True)
class Target:
    """The picture to be written.

    Args:
        shape: `(H, W, C)`, every entry at least 1.
        bit_depth: of the code values, 8 or 16.
        metadata: to be written back where the format can.
    """

    shape: tuple[int, int, int]
    bit_depth: int
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise UsageError(f"output shape is {self.shape}; expected (height, width, channels), all at least 1")
        if self.bit_depth not in (8, 16):
            raise UsageError(f"bit depth is {self.bit_depth}; expected 8 or 16")

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Type of the code values."""
        return np.uint8 if self.bit_depth == 8 else np.uint16


class RowWriter(Protocol):
    """Takes rows from top to bottom."""

    def write(self, rows: Codes) -> None:
        """Appends rows `[h, W, C]`, uint8 or uint16 as announced."""


class RowSink(RowWriter, Protocol):
    """A RowWriter of one format, whose rows have been checked already."""

    def finish(self) -> None:
        """Writes what follows the last row."""
