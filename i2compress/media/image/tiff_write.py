"""A TIFF writer of plain strips: all sizes are known from the start, so that rows go straight to a file or a pipe."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image, TiffImagePlugin

from ...errors import UsageError
from ...signal import Codes
from .density import UNIT, X, Y, density_of
from .exif import INTEROP_IFD
from .metadata import icc_for
from .target import Target

# Tags of the first directory that say something about the picture and not about its storage.
DESCRIPTIVE = (270, 271, 272, 274, 305, 306, 315, 316, 33432)
EXIF_IFD, GPS_IFD, XMP, ICC = 34665, 34853, 700, 34675

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 1, 2, 3, 4, 5, 7
_MAX_BYTES = 2**32 - 2**25  # offsets have 32 bits, and the directory comes after the samples
_STRIP_BYTES = 1 << 16

_Entry = tuple[int, int, int, bytes]  # tag, type, count, data


class TiffSink:
    """Writes one uncompressed TIFF, gray to RGB with alpha, 8 or 16 bit, little-endian."""

    def __init__(self, file: BinaryIO, layout: Target) -> None:
        height, width, channels = layout.shape
        size = height * width * channels * layout.bit_depth // 8
        if size > _MAX_BYTES:
            raise UsageError(f"the picture takes {size / 1e9:.1f} GB; TIFF holds at most 4 GB, choose png")
        self._file = file
        end = 8 + size + size % 2  # a directory begins at an even offset
        self._tail = bytes(size % 2) + _directory(layout, end)
        file.write(b"II*\0" + struct.pack("<I", end))

    def write(self, rows: Codes) -> None:
        """Appends rows `[h, W, C]`."""
        self._file.write(rows.astype(rows.dtype.newbyteorder("<"), copy=False).tobytes())

    def finish(self) -> None:
        """Writes the directory."""
        self._file.write(self._tail)


def _directory(layout: Target, start: int) -> bytes:
    """The directory that lies at offset `start`, with everything it points to behind it."""
    subdirectories, entries = _exif_entries(layout.metadata.exif)
    entries += [*_storage_entries(layout), *_blob_entries(layout)]
    entries += [(tag, _LONG, 1, b"") for tag in subdirectories]
    table, behind = struct.pack("<H", len(entries)), b""
    first = start + 2 + 12 * len(entries) + 4
    for tag, kind, count, data in sorted(entries):
        offset = first + len(behind)
        if tag in subdirectories:
            behind += _even(subdirectories[tag].tobytes(offset))
            data = struct.pack("<I", offset)
        elif len(data) > 4:
            behind += _even(data)
            data = struct.pack("<I", offset)
        table += struct.pack("<HHI4s", tag, kind, count, data)
    return table + bytes(4) + behind


def _even(data: bytes) -> bytes:
    return data + bytes(len(data) % 2)


def _shorts(tag: int, *values: int) -> _Entry:
    return tag, _SHORT, len(values), struct.pack(f"<{len(values)}H", *values)


def _longs(tag: int, *values: int) -> _Entry:
    return tag, _LONG, len(values), struct.pack(f"<{len(values)}I", *values)


def _storage_entries(layout: Target) -> Iterator[_Entry]:
    height, width, channels = layout.shape
    row = width * channels * layout.bit_depth // 8
    strip = min(height, max(1, _STRIP_BYTES // row))
    starts = range(0, height, strip)
    yield _longs(256, width)
    yield _longs(257, height)
    yield _shorts(258, *[layout.bit_depth] * channels)
    yield _shorts(259, 1)  # no compression
    yield _shorts(262, 2 if channels >= 3 else 1)  # RGB, or gray with 0 for black
    yield _longs(273, *(8 + begin * row for begin in starts))
    yield _shorts(277, channels)
    yield _longs(278, strip)
    yield _longs(279, *((min(height, begin + strip) - begin) * row for begin in starts))
    yield _shorts(284, 1)  # channels interleaved
    if channels in (2, 4):
        yield _shorts(338, 2)  # straight alpha


def _blob_entries(layout: Target) -> Iterator[_Entry]:
    icc, xmp = icc_for(layout.metadata.icc, layout.shape[2]), layout.metadata.xmp
    if icc is not None:
        yield ICC, _UNDEFINED, len(icc), icc
    if xmp is not None:
        yield XMP, _BYTE, len(xmp), xmp


def _exif_entries(block: bytes | None) -> tuple[dict[int, TiffImagePlugin.ImageFileDirectory_v2], list[_Entry]]:
    """Subdirectories and descriptive tags of an Exif block, which cannot be copied as it is: its offsets change."""
    if block is None:
        return {}, []
    exif = Image.Exif()
    exif.load(block)
    entries: list[_Entry] = []
    for tag in DESCRIPTIVE:
        value = exif.get(tag)
        if isinstance(value, int):
            entries.append(_shorts(tag, value))
        elif isinstance(value, str):
            data = value.encode("utf-8") + b"\0"
            entries.append((tag, _ASCII, len(data), data))
    stated = density_of(block)
    if stated is not None:
        numbers = (stated.x.as_integer_ratio(), stated.y.as_integer_ratio())
        entries += [(tag, _RATIONAL, 1, struct.pack("<II", *number)) for tag, number in zip((X, Y), numbers, strict=True)]
        entries.append(_shorts(UNIT, stated.unit))
    subdirectories = {}
    for tag in (EXIF_IFD, GPS_IFD):
        found = subdirectory(exif, tag)
        if found:
            subdirectories[tag] = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0", group=tag)
            subdirectories[tag].update(found)
    return subdirectories, entries


def subdirectory(exif: Image.Exif, tag: int) -> dict[int, object]:
    """The entries of a directory, with those of interoperability in place of the offset of theirs, which changes."""
    entries: dict[int, object] = dict(exif.get_ifd(tag))
    if INTEROP_IFD in entries:
        entries[INTEROP_IFD] = exif.get_ifd(INTEROP_IFD)
    return entries
