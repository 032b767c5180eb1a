"""BigTIFF as TIFF: the same file with another header and directory, so that every reader of TIFF reads it.

BigTIFF has 64 bits where TIFF 6.0 has 32 (Adobe, BigTIFF design; libtiff.org). The samples stay where they are; only the directories are
written anew, behind them.
"""

import struct

from ...errors import SignalError
from .exif import SIZES, Entry, directory, integers

_CLASSIC = {b"II+\0": b"II*\0", b"MM\0+": b"MM\0*"}
_LONG, _NARROWED = 4, {16: 4, 18: 13}
_POINTERS = (0x8769, 0x8825, 0xA005)  # Exif, GPS and interoperability


def is_bigtiff(data: bytes) -> bool:
    """True where the header is that of a BigTIFF."""
    return data[:4] in _CLASSIC


def as_classic(data: bytes) -> bytes:
    """The first page of a BigTIFF as a TIFF.

    Raises:
        SignalError: larger than offsets of 32 bits reach, more than one page, or damaged.
    """
    magic, order = _CLASSIC[data[:4]], "<" if data[:2] == b"II" else ">"
    if len(data) > 2**32 - 2**24:
        raise SignalError(f"the BigTIFF takes {len(data) / 1e9:.1f} GB; expected at most 4, cut the picture into tiles")
    if len(data) < 16 or struct.unpack_from(order + "HH", data, 4) != (8, 0):
        raise SignalError("the BigTIFF is damaged: its header is not that of 64-bit offsets; copy or download it again")
    entries = directory(data)
    if not entries:
        raise SignalError("the BigTIFF is truncated: its directory is not there; copy or download it again")
    body, start = _rewritten(data, bytearray(data + bytes(len(data) % 2)), order, entries, ())
    return magic + struct.pack(order + "I", start) + bytes(body[8:])


def _rewritten(data: bytes, body: bytearray, order: str, entries: dict[int, Entry], path: tuple[int, ...]) -> tuple[bytearray, int]:
    """Appends a directory, those that it points to first; also gives its offset."""
    fields = []
    for tag, entry in sorted(entries.items()):
        if tag in _POINTERS:
            inner = directory(data, *path, tag)
            body, place = _rewritten(data, body, order, inner, (*path, tag))
            fields.append(struct.pack(order + "HHII", tag, _LONG, 1, place))
            continue
        kind, value = _narrowed(data, order, entry)
        if len(value) > 4:
            place = len(body)
            body += value + bytes(len(value) % 2)
            value = struct.pack(order + "I", place)
        fields.append(struct.pack(order + "HHI", tag, kind, entry.count) + value.ljust(4, b"\0"))
    start = len(body)
    body += struct.pack(order + "H", len(fields)) + b"".join(fields) + bytes(4)
    return body, start


def _narrowed(data: bytes, order: str, entry: Entry) -> tuple[int, bytes]:
    """Type and bytes of a value, 64-bit integers as 32."""
    raw = data[entry.place : entry.place + SIZES[entry.kind] * entry.count]
    kind = _NARROWED.get(entry.kind)
    if kind is None:
        return entry.kind, raw
    values = integers(data, entry)
    if max(values, default=0) >= 2**32:
        raise SignalError("the BigTIFF points beyond its end; copy or download it again")
    return kind, struct.pack(f"{order}{len(values)}I", *values)
