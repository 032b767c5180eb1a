"""A PNG encoder that takes rows as they come: its memory depends on the width, not on the height."""

import struct
import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import UsageError
from ...signal import Codes
from .density import density_of
from .metadata import icc_for
from .target import Target

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_LEVEL = 4
_BLOCK_BYTES = 1 << 16  # rows are filtered in blocks that stay in the cache
_IDAT_BYTES = 1 << 16
_MAX_SIDE = 2**31 - 1

_Bytes = npt.NDArray[np.uint8]


def chunk(kind: bytes, payload: bytes) -> bytes:
    """One PNG chunk with its length and CRC."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind)))


class PngSink:
    """Writes one PNG, gray to RGB with alpha, 8 or 16 bit; the bytes do not depend on how the rows are divided."""

    def __init__(self, file: BinaryIO, layout: Target) -> None:
        height, width, channels = layout.shape
        if max(height, width) > _MAX_SIDE:
            raise UsageError(f"picture is {width}x{height}; PNG holds at most {_MAX_SIDE} a side, decode it smaller")
        self._file = file
        self._step = channels * layout.bit_depth // 8
        self._above: _Bytes = np.zeros(width * self._step, np.uint8)
        self._compressor = zlib.compressobj(_LEVEL)
        self._pending = bytearray()
        header = struct.pack(">IIBBBBB", width, height, layout.bit_depth, _COLOUR_TYPES[channels], 0, 0, 0)
        file.write(SIGNATURE + chunk(b"IHDR", header) + _metadata_chunks(layout))

    def write(self, rows: Codes) -> None:
        """Appends rows `[h, W, C]`."""
        size = max(1, _BLOCK_BYTES // self._above.size)
        for start in range(0, len(rows), size):
            block = np.ascontiguousarray(rows[start : start + size]).astype(rows.dtype.newbyteorder(">"), copy=False)
            plain = block.view(np.uint8).reshape(len(block), -1)
            self._pending += self._compressor.compress(filtered(plain, self._above, self._step))
            self._above = plain[-1].copy()
            self._flush(_IDAT_BYTES)

    def finish(self) -> None:
        """Writes the rest of the picture and the end."""
        self._pending += self._compressor.flush()
        self._flush(_IDAT_BYTES)
        self._flush(1)
        self._file.write(chunk(b"IEND", b""))

    def _flush(self, least: int) -> None:
        while len(self._pending) >= least:
            self._file.write(chunk(b"IDAT", bytes(self._pending[:_IDAT_BYTES])))
            del self._pending[:_IDAT_BYTES]


def _metadata_chunks(layout: Target) -> bytes:
    metadata, parts = layout.metadata, b""
    icc = icc_for(metadata.icc, layout.shape[2])
    if icc is not None:
        parts += chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    parts += _density_chunk(metadata.exif)
    if metadata.exif is not None:
        parts += chunk(b"eXIf", metadata.exif)
    if metadata.xmp is not None:
        parts += chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp)
    return parts


def _density_chunk(exif: bytes | None) -> bytes:
    """pHYs: samples a metre across and down, or their ratio (PNG specification, third edition, 11.3.4.3)."""
    stated = density_of(exif)
    if stated is None:
        return b""
    numbers, unit = stated.per_metre, 1
    if numbers is None:
        ratio = stated.x / stated.y
        numbers, unit = (ratio.numerator, ratio.denominator), 0
    return chunk(b"pHYs", struct.pack(">IIB", *numbers, unit)) if max(numbers) < 2**31 and min(numbers) > 0 else b""


def filtered(rows: _Bytes, above: _Bytes, step: int) -> bytes:
    """Rows `[h, W * step]` each with the filter whose residuals have the least sum of magnitudes, its number in front.

    Args:
        rows: bytes of the pixels.
        above: `[W * step]`, the row before the first.
        step: bytes a pixel.
    """
    up = np.concatenate([above[None], rows[:-1]])
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, step:], corner[:, step:] = rows[:, :-step], up[:, :-step]
    mean = (left & up) + ((left ^ up) >> 1)  # without the ninth bit that left + up would need
    candidates = np.stack([rows, rows - left, rows - up, rows - mean, rows - _paeth(left, up, corner)])
    costs = np.abs(candidates.view(np.int8)).view(np.uint8).sum(axis=2, dtype=np.int64)
    best = costs.argmin(axis=0)
    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    out[:, 0] = best
    out[:, 1:] = candidates[best, np.arange(len(rows))]
    return out.tobytes()


def _paeth(left: _Bytes, up: _Bytes, corner: _Bytes) -> _Bytes:
    """The neighbour nearest to left + up - corner; ties go to left, then up."""
    base = corner.astype(np.int16)
    across, down = up - base, left - base
    from_left, from_up, from_corner = np.abs(across), np.abs(down), np.abs(across + down)
    other = np.where(from_up <= from_corner, up, corner)
    return np.where((from_left <= from_up) & (from_left <= from_corner), left, other)
