"""JPEG, WebP and BMP written by Pillow, 8 bit and whole in memory."""

import io
import struct
from fractions import Fraction
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import SignalError, UsageError
from ...signal import Codes, Metadata
from .density import CENTIMETRE, INCH, RATIO, Density, density_of
from .metadata import icc_for
from .target import Target

_MAX_SIDE = {"jpeg": 65535, "webp": 16383, "bmp": 2**31 - 1}
_JPEG_QUALITY = 95
_JPEG_SEGMENT = {"exif": 65533 - 6, "xmp": 65533 - 29}


class PillowSink:
    """Collects the picture as 8 bit and writes it at the end: JPEG at quality 95 with full chroma, WebP lossless, BMP."""

    def __init__(self, file: BinaryIO, layout: Target, *, name: str) -> None:
        height, width, channels = layout.shape
        if max(height, width) > _MAX_SIDE[name]:
            raise UsageError(f"the picture is {width}x{height}; {name} holds at most {_MAX_SIDE[name]} a side, choose png")
        if name == "jpeg":
            _check_segments(layout.metadata)
        self._file, self._layout, self._name = file, layout, name
        self._codes: npt.NDArray[np.uint8] = np.empty((height, width, channels), np.uint8)
        self._filled = 0

    def write(self, rows: Codes) -> None:
        """Appends rows `[h, W, C]`; 16 bits are rounded to 8."""
        self._codes[self._filled : self._filled + len(rows)] = reduced(rows)
        self._filled += len(rows)

    def finish(self) -> None:
        """Compresses and writes."""
        codes, metadata = self._codes, self._layout.metadata
        icc = icc_for(metadata.icc, 3 if self._name == "webp" else codes.shape[2])  # WebP knows no gray
        picture = Image.fromarray(codes[..., 0] if codes.shape[2] == 1 else codes)
        exif, xmp = metadata.exif or b"", metadata.xmp or b""
        # Into memory first: Pillow seeks in what it writes, and standard output cannot.
        buffer = io.BytesIO()
        if self._name == "jpeg":
            prefixed = b"Exif\0\0" + exif if exif else b""
            picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0, icc_profile=icc, exif=prefixed, xmp=xmp)
        elif self._name == "webp":
            picture.save(buffer, "WEBP", lossless=True, exact=True, icc_profile=icc or b"", exif=exif, xmp=xmp)
        else:
            picture.save(buffer, "BMP")
        _put_density(buffer.getbuffer(), self._name, density_of(metadata.exif))
        self._file.write(buffer.getbuffer())


def _put_density(file: memoryview, name: str, stated: Density | None) -> None:
    """Writes the density into the header that Pillow made, which knows only whole numbers an inch.

    JFIF has it at byte 13 (T.871 10.1), BMP at byte 38 (BITMAPINFOHEADER, samples a metre); WebP has only its Exif.
    """
    if name == "bmp":
        numbers = stated.per_metre if stated is not None else None
        struct.pack_into("<ii", file, 38, *(numbers if numbers is not None and max(numbers) < 2**31 else (0, 0)))
    elif name == "jpeg" and stated is not None and bytes(file[6:11]) == b"JFIF\0":
        jfif = _jfif(stated)
        if jfif is not None:
            struct.pack_into(">BHH", file, 13, *jfif)


def _jfif(stated: Density) -> tuple[int, int, int] | None:
    """Unit, across and down as JFIF has them, whole numbers of 16 bits; None where they do not fit."""
    unit, x, y = {RATIO: 0, INCH: 1, CENTIMETRE: 2}[stated.unit], stated.x, stated.y
    if unit == 0:
        x, y = (Fraction(number) for number in (x / y).as_integer_ratio())
    elif unit == 2 and (x.denominator != 1 or y.denominator != 1):
        unit, x, y = 1, x * Fraction(254, 100), y * Fraction(254, 100)
    across, down = round(x), round(y)
    return (unit, across, down) if min(across, down) >= 1 and max(across, down) <= 65535 else None


def _check_segments(metadata: Metadata) -> None:
    for name, most in _JPEG_SEGMENT.items():
        size = len(getattr(metadata, name) or b"")
        if size > most:
            raise SignalError(f"the {name.capitalize()} data are {size} bytes; JPEG carries at most {most}, choose png or drop them with --strip")


def reduced(rows: Codes) -> npt.NDArray[np.uint8]:
    """Code values as 8 bit, rounded to nearest."""
    if rows.dtype == np.uint8:
        return rows.astype(np.uint8, copy=False)
    return ((rows.astype(np.uint32) + 128) // 257).astype(np.uint8)
