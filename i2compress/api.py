"""The Python API: arrays, files and signals in, bytes out, and back."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import codec, media
from .codec import I2File
from .config import EncodeSettings, View
from .errors import SignalError
from .signal import Signal, from_codes

if TYPE_CHECKING:
    from .fit import StepInfo

FilePath = str | os.PathLike[str]


def encode(
    source: Signal | npt.ArrayLike | FilePath, settings: EncodeSettings | None = None, *, on_step: "Callable[[StepInfo], None] | None" = None
) -> bytes:
    """The bytes of an .i2 file.

    Args:
        source: a path; or a Signal (of sound: values `[N, C]`, kind AUDIO and a rate); or a picture as an array or anything that NumPy
            makes one of (a Pillow image, nested lists), `[H, W]` or `[H, W, C]`, C = 1 to 4: uint8, uint16, or floating point in [0, 1].
        settings: quality, effort and the rest; None for the defaults.
        on_step: called after every step of the fit.

    Raises:
        SignalError: a file that cannot be read, or something that is no picture.
        UsageError: a setting that this kind of media does not have.
        ResourceError: the device is not there or has not enough memory.

    Example:
        >>> data = encode(picture, EncodeSettings(quality=75, effort=3))
    """
    if isinstance(source, (str, os.PathLike)):
        with media.open_source(source) as opened:
            return codec.encode(opened.source, settings, on_step=on_step).data
    if isinstance(source, (bytes, bytearray, memoryview)):
        raise SignalError("source is bytes; expected a path, an array or a Signal: read a file's bytes with i2compress.media.read")
    return codec.encode(source if isinstance(source, Signal) else _signal(source), settings, on_step=on_step).data


def decode(data: bytes | FilePath, view: View | None = None, *, threads: int | None = None) -> Signal:
    """The signal in an .i2 file, its bytes or its path, at the view's resolution. Raises FormatError, SignalError and UsageError.

    Example:
        >>> twice = decode(data, View(scale=2)).values
    """
    opened = open(data, threads=threads) if isinstance(data, (str, os.PathLike)) else I2File.from_bytes(bytes(data), threads=threads)
    return opened.render(view)


def open(path: FilePath, *, threads: int | None = None) -> I2File:
    """The .i2 file at `path`: read once, rendered as often as asked. Raises FormatError and SignalError.

    Example:
        >>> corner = open("photo.i2").render(View(crop=(0, 0, 64, 64), scale=4)).values
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SignalError(f"{os.fspath(path)}: cannot be read ({error.strerror}); check the name") from error
    return I2File.from_bytes(data, threads=threads)


def _signal(source: npt.ArrayLike) -> Signal:
    try:
        array = np.asarray(source)
    except ValueError as error:
        raise SignalError(f"source is no array ({error}); expected [H, W] or [H, W, 1 to 4]") from error
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise SignalError(f"array has shape {array.shape}; expected [H, W] or [H, W, 1 to 4] with at least one sample")
    array = array[..., None] if array.ndim == 2 else array
    if array.dtype in (np.uint8, np.uint16):
        return Signal(values=from_codes(array), bit_depth=8 * array.dtype.itemsize)
    if not np.issubdtype(array.dtype, np.floating):
        raise SignalError(f"array is {array.dtype}; expected uint8, uint16 or floating point in [0, 1]")
    if not np.isfinite(array).all():
        raise SignalError("array holds NaN or infinite values; replace them before encoding")
    if not (array.min() >= 0 and array.max() <= 1):
        raise SignalError(f"array has values from {array.min():g} to {array.max():g}; expected 0 to 1: scale it first")
    return Signal(values=np.asarray(array, np.float32))
