"""A Signal: samples on a regular grid, what they mean, and the metadata that travels with them."""

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .arrays import Float32Array
from .errors import SignalError
from .kinds import MAX_RATE, SAMPLES
from .kinds import Kind as Kind

TICKS = 90000  # a second, of the times of frames: the clock of MPEG, in which milliseconds and most frame rates are whole

Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]
TRUNCATION = 2.0  # samples of distance that are a value of 1 of a shape
Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Blobs kept as they are; None where the source has none.

    Args:
        icc: ICC profile.
        exif: TIFF-structured Exif block, without the ``Exif\\0\\0`` prefix, orientation already applied and set to 1.
        xmp: XMP packet, UTF-8 XML.
        colour: of video: five bytes that say how its samples were made of colours, see media.video.colour.
        tags: of sound: UTF-8 lines "name=value", sorted; a line break inside a value is written as \\n.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    tags: bytes | None = None
    colour: bytes | None = None


class Frame(NamedTuple):
    """Where the grid of a shape lies: sample i of each axis at corner + (i + 1/2) spacing.

    Args:
        corner: the lowest x, y and z of the box that the samples fill, in the shape's own units.
        spacing: from sample to sample along each axis, in the same units.
        sharpen: rounds of a filter that makes faces flat and edges sharp, for the surface in these samples; 0 where it is not to be filtered.
        normals: vertices of that surface are to be written with normals.
    """

    corner: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    sharpen: int = 0
    normals: bool = False

    @property
    def sample(self) -> float:
        """What a distance of one sample is in the shape's units: the mean spacing."""
        return sum(self.spacing) / 3


UNIT_FRAME = Frame()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the samples of a signal are, without the samples.

    Args:
        kind: of media.
        grid: samples along each axis, slowest first: (H, W) of a picture, (N,) of sound; each at least 1.
        channels: of a picture 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha (straight, not premultiplied); of sound 1 to 8; of a shape 1, or
            4 with colours.
        bit_depth: of the samples in their file: 8 or 16; of sound 8, 16, 24 or 32, or 32 or 64 where `floating`.
        floating: the samples in the file are floating point.
        rate: samples in `rate_divisor` seconds along the first axis where that is time, else 0.
        rate_divisor: 1 of sound; of video so that rates such as 30000/1001 are exact.
        times: of video whose frames are not evenly spaced: when each begins and the last one ends, in ticks of 1/TICKS seconds from 0;
            the rate is then about their mean.
        frame: of a shape: where its samples lie.

    Raises:
        SignalError: anything that its kind does not have.
    """

    kind: Kind
    grid: tuple[int, ...]
    channels: int
    bit_depth: int = 8
    floating: bool = False
    rate: int = 0
    rate_divisor: int = 1
    times: tuple[int, ...] = ()
    frame: Frame = UNIT_FRAME

    def __post_init__(self) -> None:
        samples, name = SAMPLES[self.kind], self.kind.name.lower()
        if len(self.grid) != samples.axes or min(self.grid) < 1 or not 1 <= self.channels <= samples.channels:
            axes = f"{samples.axes} ax{'e' if samples.axes > 1 else 'i'}s"
            raise SignalError(f"{name} has grid {self.grid} and {self.channels} channels; expected {axes} and 1 to {samples.channels} channels")
        if samples.timed and not 1 <= self.rate <= MAX_RATE:
            raise SignalError(f"sampling rate is {self.rate}; expected 1 to {MAX_RATE}")
        if not 1 <= self.rate_divisor <= MAX_RATE:
            raise SignalError(f"divisor of the sampling rate is {self.rate_divisor}; expected 1 to {MAX_RATE}")
        if self.times and (len(self.times) != self.grid[0] + 1 or self.times[0] or any(b <= a for a, b in pairwise(self.times))):
            raise SignalError(f"signal has {len(self.times)} times for {self.grid[0]} samples; expected one more than samples, rising from 0")
        depths = samples.depths[self.floating]
        if self.bit_depth not in depths:
            known = " or ".join(map(str, depths)) or "integers"
            raise SignalError(f"bit depth is {self.bit_depth}{' floating point' if self.floating else ''}; expected {known}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values: `[*grid, C]`."""
        return *self.grid, self.channels

    @property
    def samples(self) -> int:
        """Samples of one channel."""
        return math.prod(self.grid)

    @property
    def seconds(self) -> float | None:
        """How long it lasts, where the first axis is time."""
        if self.times:
            return self.times[-1] / TICKS
        return self.grid[0] * self.rate_divisor / self.rate if self.rate else None

    @property
    def frequency(self) -> float:
        """Samples a second along the first axis."""
        return self.rate / self.rate_divisor

    @property
    def peak(self) -> float:
        """From the lowest value to the highest."""
        return SAMPLES[self.kind].peak

    def part(self, length: int) -> "Layout":
        """The same with `length` samples along the first axis, evenly spaced."""
        return replace(self, grid=(length, *self.grid[1:]), times=())


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Samples on a regular grid.

    Args:
        values: float32 `[*grid, C]`, every value finite. Images: `[H, W, C]` in [0, 1], video `[T, H, W, C]`. Sound: `[N, C]` in about [-1, 1].
            Shapes: `[X, Y, Z, 1]`, the signed distance in samples, positive outside, over TRUNCATION, cut to [-1, 1]; or `[X, Y, Z, 4]`, with
            red, green and blue in [0, 1] of the nearest place of the surface, -1 where they are not known.
        kind, bit_depth, rate, rate_divisor, times, floating, frame: see Layout.
            Code value = value * (2**bit_depth - 1), of sound value * 2**(bit_depth - 1).
        metadata: ICC, Exif and XMP, or tags.

    Raises:
        SignalError: a shape, type or value that breaks the above.
    """

    values: Float32Array
    kind: Kind = Kind.IMAGE
    bit_depth: int = 8
    metadata: Metadata = field(default_factory=Metadata)
    rate: int = 0
    floating: bool = False
    rate_divisor: int = 1
    times: tuple[int, ...] = ()
    frame: Frame = UNIT_FRAME
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        values = self.values
        if values.dtype != np.float32:
            raise SignalError(f"signal values are {values.dtype}; expected float32 (for integers see Signal.from_codes)")
        if values.ndim < 2 or min(values.shape) < 1:
            raise SignalError(f"signal has shape {values.shape}; expected [*grid, channels] with at least one sample")
        grid, channels = values.shape[:-1], values.shape[-1]
        form: dict[str, Any] = {"bit_depth": self.bit_depth, "floating": self.floating, "rate": self.rate, "rate_divisor": self.rate_divisor}
        form |= {"times": self.times, "frame": self.frame}
        layout = Layout(kind=self.kind, grid=grid, channels=channels, **form)
        object.__setattr__(self, "layout", layout)
        if not np.isfinite(values).all():
            raise SignalError("signal holds NaN or infinite values; replace them before encoding")

    @property
    def grid(self) -> tuple[int, ...]:
        """Samples along each axis, channels left out."""
        return self.layout.grid

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.layout.channels

    @staticmethod
    def from_codes(codes: Codes, metadata: Metadata | None = None) -> "Signal":
        """A picture from integer code values `[H, W]` or `[H, W, C]`, uint8 or uint16."""
        if codes.dtype not in (np.uint8, np.uint16):
            raise SignalError(f"code values are {codes.dtype}; expected uint8 or uint16")
        codes = codes[..., None] if codes.ndim == 2 else codes
        return Signal(values=from_codes(codes), bit_depth=8 * codes.dtype.itemsize, metadata=metadata or Metadata())

    @staticmethod
    def of(layout: Layout, values: Float32Array, metadata: Metadata | None = None) -> "Signal":
        """The signal whose samples `values` are, of the kind, depth and rate of `layout`."""
        form: dict[str, Any] = {"kind": layout.kind, "bit_depth": layout.bit_depth, "floating": layout.floating, "rate": layout.rate}
        form |= {"rate_divisor": layout.rate_divisor, "times": layout.times, "frame": layout.frame}
        return Signal(values=values, metadata=metadata or Metadata(), **form)


def from_codes(codes: Codes) -> Float32Array:
    """Values in [0, 1] of integer code values, uint8 or uint16."""
    top = 2 ** (8 * codes.dtype.itemsize) - 1
    values: Float32Array = codes.astype(np.float32)
    values /= np.float32(top)
    return values


def to_codes(values: Values, bit_depth: int) -> Codes:
    """Integer code values of `values` (clipped to [0, 1]), rounded to nearest: uint8 or uint16."""
    top = 2**bit_depth - 1
    clipped: npt.NDArray[Any] = np.clip(values, 0, 1)
    rounded: npt.NDArray[Any] = np.floor(clipped * np.float32(top) + np.float32(0.5))
    if bit_depth == 8:
        return rounded.astype(np.uint8)
    return rounded.astype(np.uint16)
