"""What every way of reading a sound file offers."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

HELD = 65536  # samples before the last read that are kept: steps back of half a frame are far shorter


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a sound file holds.

    Args:
        samples: of each channel, those that reading gives.
        rate: samples a second.
        channels: how many, in the order of WAV where the file states their places.
        bit_depth: 8, 16, 24, 32, or 32 or 64 where `floating`; 16 of a lossy format.
        floating: samples are floating point.
        source: name of the file format.
        tags: by name, lower case.
        notes: what the user must be warned of, without the name of the file.
    """

    samples: int
    rate: int
    channels: int
    bit_depth: int
    floating: bool
    source: str
    tags: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Stream(Protocol):
    """A sound file being read."""

    @property
    def facts(self) -> Facts:
        """What it holds."""

    def read(self, start: int, count: int) -> Samples:
        """Samples `[n, C]`, start .. start + count, fewer only where the file ends; full scale is [-1, 1)."""
