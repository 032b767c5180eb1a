"""What every modality offers to media.read and media.open_writer."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from ..signal import Kind, Metadata, Signal

Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format.

    Args:
        name: what `format=` takes; the extensions do as well.
        kind: what it holds.
        extensions: with their dot, lower case, the usual one first.
        write: False where it can only be read.
        channels: numbers of channels it can hold.
        depths: bits of its samples; deeper code values are reduced to it when written.
        streamed: rows are written as they come; otherwise the whole picture is held in memory (8 bit).
        carries: names of the Metadata it can hold.
    """

    name: str
    kind: Kind
    extensions: tuple[str, ...]
    write: bool = True
    channels: tuple[int, ...] = (1, 2, 3, 4)
    depths: tuple[int, ...] = (8, 16)
    streamed: bool = False
    carries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is about to be written.

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


class Sink(RowWriter, Protocol):
    """A RowWriter of one format, whose rows have been checked already."""

    def finish(self) -> None:
        """Writes what follows the last row."""


class Modality(Protocol):
    """What a module of this package provides for one kind of signal."""

    @property
    def FORMATS(self) -> Sequence[Format]:
        """Every file format of this kind."""

    def read(self, data: bytes, name: str) -> Signal:
        """The signal in the file `data`, called `name` in messages."""

    def open_writer(self, file: BinaryIO, form: Format, layout: Layout) -> AbstractContextManager[RowWriter]:
        """A writer of one file."""
