"""A Signal: samples on a regular grid, what they mean, and the metadata that travels with them."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from .errors import SignalError

FloatArray = npt.NDArray[np.float32]

MAX_SOUND_CHANNELS = 8
MAX_RATE = 2**24
SOUND_DEPTHS = {False: (8, 16, 24, 32), True: (32, 64)}


class Kind(IntEnum):
    """What a signal is; the number is the one in the file."""

    IMAGE = 0
    AUDIO = 1
    VIDEO = 2
    SHAPE = 3


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Blobs kept as they are; None where the source has none.

    Args:
        icc: ICC profile.
        exif: TIFF-structured Exif block, without the ``Exif\\0\\0`` prefix, orientation already applied and set to 1.
        xmp: XMP packet, UTF-8 XML.
        tags: of sound: UTF-8 lines "name=value", sorted; a line break inside a value is written as \\n.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    tags: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Samples on a regular grid.

    Args:
        values: float32 `[*grid, C]`, every value finite. Images: `[H, W, C]` in [0, 1]; C = 1 gray, 2 gray + alpha,
            3 RGB, 4 RGB + alpha (straight, not premultiplied). Sound: `[N, C]` in about [-1, 1], C = 1 to 8.
        kind: what the samples are.
        bit_depth: depth of the source's samples: 8 or 16, code value = value * (2**bit_depth - 1); of sound 8, 16, 24 or
            32, or 32 or 64 where `floating`, code value = value * 2**(bit_depth - 1).
        metadata: ICC, Exif and XMP, or tags.
        rate: samples a second, of sound.
        floating: the samples of the sound's source are floating point.

    Raises:
        SignalError: a shape, type or value that breaks the above.
    """

    values: FloatArray
    kind: Kind = Kind.IMAGE
    bit_depth: int = 8
    metadata: Metadata = field(default_factory=Metadata)
    rate: int = 0
    floating: bool = False

    def __post_init__(self) -> None:
        values = self.values
        if values.dtype != np.float32:
            raise SignalError(f"signal values are {values.dtype}; expected float32 in [0, 1] (see Signal.from_codes)")
        if values.ndim < 2 or min(values.shape) < 1:
            raise SignalError(f"signal has shape {values.shape}; expected [*grid, channels] with at least one sample")
        if self.kind is Kind.IMAGE and (values.ndim != 3 or values.shape[-1] > 4):
            raise SignalError(f"image has shape {values.shape}; expected [height, width, 1 to 4 channels]")
        if self.kind is Kind.AUDIO:
            self._check_sound()
        elif self.bit_depth not in (8, 16):
            raise SignalError(f"bit depth is {self.bit_depth}; expected 8 or 16")
        if not np.isfinite(values).all():
            raise SignalError("signal holds NaN or infinite values; replace them before encoding")

    def _check_sound(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] > MAX_SOUND_CHANNELS:
            raise SignalError(f"sound has shape {self.values.shape}; expected [samples, 1 to {MAX_SOUND_CHANNELS} channels]")
        if not 1 <= self.rate <= MAX_RATE:
            raise SignalError(f"sampling rate is {self.rate}; expected 1 to {MAX_RATE}")
        if self.bit_depth not in SOUND_DEPTHS[self.floating]:
            raise SignalError(f"bit depth is {self.bit_depth}; expected {' or '.join(map(str, SOUND_DEPTHS[self.floating]))}")

    @property
    def grid(self) -> tuple[int, ...]:
        """Samples along each axis, channels left out."""
        return self.values.shape[:-1]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.values.shape[-1])

    @property
    def has_alpha(self) -> bool:
        """True where the last channel is opacity."""
        return self.kind is Kind.IMAGE and self.channels in (2, 4)

    @staticmethod
    def from_codes(codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], metadata: Metadata | None = None) -> "Signal":
        """A signal from integer code values `[H, W]` or `[H, W, C]`, uint8 or uint16."""
        if codes.dtype not in (np.uint8, np.uint16):
            raise SignalError(f"code values are {codes.dtype}; expected uint8 or uint16")
        depth = 8 * codes.dtype.itemsize
        codes = codes[..., None] if codes.ndim == 2 else codes
        values = codes.astype(np.float32) / np.float32(2**depth - 1)
        return Signal(values=values, bit_depth=depth, metadata=metadata or Metadata())


def to_codes(values: FloatArray, bit_depth: int) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Integer code values of `values` (clipped to [0, 1]), rounded to nearest: uint8 or uint16."""
    top = 2**bit_depth - 1
    rounded: FloatArray = np.floor(np.clip(values, 0, 1) * np.float32(top) + np.float32(0.5))
    return rounded.astype(np.uint8) if bit_depth == 8 else rounded.astype(np.uint16)
