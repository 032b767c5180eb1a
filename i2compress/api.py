"""The Python API: arrays and signals in, bytes out, and back."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .codec import I2File, encode_signal
from .config import DEFAULT_FIELD, EncodeSettings, View
from .container import is_sound
from .errors import SignalError
from .media.sound.decode import I2Sound
from .signal import Kind, Signal

if TYPE_CHECKING:
    from .fit import StepInfo


def encode(
    source: Signal | npt.NDArray[np.generic], settings: EncodeSettings | None = None, *, on_step: "Callable[[StepInfo], None] | None" = None
) -> bytes:
    """The bytes of an .i2 file.

    Args:
        source: a Signal (of sound: values `[N, C]`, kind AUDIO and a rate); or a picture as an array,
            `[H, W]` or `[H, W, C]`, C = 1 to 4: uint8, uint16, or floating point in [0, 1].
        settings: quality, effort and the rest; None for the defaults.
        on_step: called after every step of the fit.

    Raises:
        SignalError: an array of another kind.
        ResourceError: the device is not there or has not enough memory.

    Example:
        >>> data = encode(picture, EncodeSettings(quality=75, effort=3))
    """
    signal = source if isinstance(source, Signal) else _signal(source)
    if signal.kind is Kind.AUDIO and (settings is None or settings.field == DEFAULT_FIELD):
        from .media.sound.encode import encode_sound

        return encode_sound(signal, settings, on_step=on_step).data
    return encode_signal(signal, settings, on_step=on_step).data


def decode(data: bytes, view: View | None = None, *, threads: int | None = None) -> Signal:
    """The signal in an .i2 file, at the view's resolution. Raises FormatError and UsageError.

    Example:
        >>> twice = decode(data, View(scale=2)).values
    """
    return _opened(data, threads).render(view)


def open(path: str | os.PathLike[str], *, threads: int | None = None) -> I2File | I2Sound:
    """The .i2 file at `path`, an I2Sound where it holds sound: read once, rendered as often as asked. Raises FormatError and SignalError.

    Example:
        >>> corner = open("photo.i2").render(View(crop=(0, 0, 64, 64), scale=4)).values
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SignalError(f"{os.fspath(path)}: cannot be read ({error.strerror}); check the name") from error
    return _opened(data, threads)


def _opened(data: bytes, threads: int | None) -> I2File | I2Sound:
    return I2Sound.from_bytes(data, threads=threads) if is_sound(data) else I2File.from_bytes(data, threads=threads)


def _signal(array: npt.NDArray[np.generic]) -> Signal:
    if array.dtype in (np.uint8, np.uint16):
        return Signal.from_codes(array)  # type: ignore[arg-type]  # just checked
    if not np.issubdtype(array.dtype, np.floating):
        raise SignalError(f"array is {array.dtype}; expected uint8, uint16 or floating point in [0, 1]")
    values = np.asarray(array, np.float32)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise SignalError(f"array has values from {values.min():g} to {values.max():g}; expected 0 to 1: scale it first")
    return Signal(values=values[..., None] if values.ndim == 2 else values)
