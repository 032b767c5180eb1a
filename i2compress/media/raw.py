"""Bare samples, of which a user says what they are: the file as it would be with a header, so that its reader needs to know nothing of it."""

import io
import os
import re
from fractions import Fraction
from typing import Any, BinaryIO, cast

from ..errors import SignalError, UsageError

_DESCRIPTION = re.compile(r"(\d+)x(\d+)@(\d+(?:\.\d+)?)(?:/(\d+))?(?::(\w+))?")
# y4m's name for each order of planes, and how many columns and rows of luma one sample of chroma is for; None where there is no chroma.
_LAYOUTS: dict[str, tuple[str, tuple[int, int] | None]] = {
    "i420": ("420jpeg", (2, 2)),
    "i422": ("422", (2, 1)),
    "i444": ("444", (1, 1)),
    "gray": ("mono", None),
}
_FRAME = b"FRAME\n"
_MOST = 2**20


def described(file: BinaryIO, raw: str, name: str) -> BinaryIO:
    """A y4m file of bare planes.

    Args:
        file: binary and seekable: 8-bit planes of luma and chroma, frame after frame.
        raw: WIDTHxHEIGHT@FPS, and where the planes are not i420 a colon and i422, i444 or gray.
        name: what to call the file in messages.

    Raises:
        UsageError: a description that means nothing.
        SignalError: a file that is not whole frames of that size.
    """
    match = _DESCRIPTION.fullmatch(raw.strip().lower())
    if not match or (match[5] or "i420") not in _LAYOUTS or not Fraction(match[3]) or match[4] == "0":
        raise UsageError(f"raw is {raw!r}; expected WIDTHxHEIGHT@FPS:PLANES, such as 176x144@30:i420, planes one of {', '.join(_LAYOUTS)}")
    width, height, rate = int(match[1]), int(match[2]), Fraction(match[3]) / int(match[4] or 1)
    if not (1 <= width <= _MOST and 1 <= height <= _MOST):
        raise UsageError(f"raw is {raw!r}; expected sides of 1 to {_MOST}")
    colours, share = _LAYOUTS[match[5] or "i420"]
    frame = width * height + (0 if share is None else 2 * (-(-width // share[0]) * -(-height // share[1])))
    size = file.seek(0, os.SEEK_END)
    if size < frame or size % frame:
        raise SignalError(f"{name}: the file has {size} bytes; expected a multiple of {frame}, a frame of {raw}: check the size and the planes")
    header = f"YUV4MPEG2 W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A1:1 C{colours}\n"
    return cast(BinaryIO, io.BufferedReader(_Framed(file, header.encode("ascii"), frame, size // frame), 1 << 16))


class _Framed(io.RawIOBase):
    """Frames of a file, a header before them and a line before each."""

    def __init__(self, file: BinaryIO, header: bytes, frame: int, count: int) -> None:
        super().__init__()
        self._file, self._header, self._frame, self._position = file, header, frame, 0
        self._length = len(header) + count * (frame + len(_FRAME))

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place, and returns it."""
        self._position = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence])
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Some of the next bytes; how many."""
        view = memoryview(buffer).cast("B")
        piece = self._piece(len(view))
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _piece(self, count: int) -> bytes:
        place = self._position - len(self._header)
        if place < 0:
            return self._header[place:][:count]
        if self._position >= self._length:
            return b""
        number, inside = divmod(place, self._frame + len(_FRAME))
        if inside < len(_FRAME):
            return _FRAME[inside:][:count]
        start = inside - len(_FRAME)
        self._file.seek(number * self._frame + start)
        return self._file.read(min(count, self._frame - start))
