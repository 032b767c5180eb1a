"""What a codec is to the benchmark: how it is called, what it codes and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..arrays import Float64Array
from ..efforts import DEFAULT_EFFORT

Pixels = npt.NDArray[np.uint8]  # `[H, W, 3]`
Samples = Any  # what a benchmark reads and its codecs give back: Pixels, or an object with shape and tobytes(), such as a Sound


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Samples `[n, C]` in -1..1 with their rate in Hz, and the depth of the file that they come from."""

    values: Float64Array
    rate: int
    bit_depth: int
    floating: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """What makes two sounds of the same bytes different: length, channels, rate and depth."""
        return (*self.values.shape, self.rate, self.bit_depth)

    def tobytes(self) -> bytes:
        """The samples' bytes."""
        return self.values.tobytes()


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video of 8 bits in 4:2:0: luma and chroma `[T, h, w]`, rate / rate_divisor frames a second, its colours (media.video.colour)."""

    planes: tuple[npt.NDArray[np.uint8], ...]
    rate: int
    rate_divisor: int
    colour: bytes

    @property
    def shape(self) -> tuple[int, ...]:
        """What makes two clips of the same bytes different: frames, size and rate."""
        return (*self.planes[0].shape, self.rate, self.rate_divisor)

    def tobytes(self) -> bytes:
        """The planes' bytes."""
        return b"".join(plane.tobytes() for plane in self.planes)


@dataclass(frozen=True, kw_only=True)
class Work:
    """How a codec is to work.

    Args:
        quality: on the codec's own scale, more is better.
        threads: CPU threads of encoder and decoder, where the codec has a say; None for all.
        effort, steps, seed, device: of i2c, see EncodeSettings; None for codecs that are not fitted.
    """

    quality: float
    threads: int | None = None
    effort: int | None = None
    steps: int | None = None
    seed: int | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The part of a Work that fitted codecs share in a run; see EncodeSettings."""

    effort: int = DEFAULT_EFFORT
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None


class Coded(NamedTuple):
    """A file's bytes, numbers that only this codec has (loss, optimiser steps), and the device it ran on where there is a choice."""

    data: bytes
    extra: Mapping[str, float] = {}
    device: str | None = None


def nothing_to_prepare() -> None:
    """The preparation of codecs that need none; a named function, so that other processes find it."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One codec as a user would call it.

    Args:
        name: on the command line, in tables and file names.
        note: its settings in words; a part of what a stored point is keyed by.
        extension: of its files, without the dot.
        qualities: the points of a curve where none are given.
        encode: samples and Work to the bytes of a file; like `decode` and `prepare` a function of a module, so that other processes find it.
        decode: bytes and the number of threads to samples.
        missing: why it cannot run here, or None.
        versions: every package that shapes its bytes, with its version.
        prepare: imports, so that their time and memory are not the codec's.
        lowest, highest: ends of the quality scale, for searches over whole numbers.
        fitted: an encode takes so long that searches spare them, and effort, steps and seed matter.
    """

    name: str
    note: str
    extension: str
    qualities: tuple[float, ...]
    encode: Callable[[Samples, Work], Coded]
    decode: Callable[[bytes, int | None], Samples]
    missing: Callable[[], str | None]
    versions: Callable[[], dict[str, str]]
    prepare: Callable[[], None] = nothing_to_prepare
    lowest: int = 0
    highest: int = 100
    fitted: bool = False

    def work(self, quality: float, options: FitOptions) -> Work:
        """How this codec is to work at a quality in a run with these options."""
        return Work(quality=quality, **vars(options)) if self.fitted else Work(quality=quality, threads=options.threads)
