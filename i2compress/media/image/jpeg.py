"""The segments of a JPEG (ITU-T T.81 annex B, T.871 for JFIF, CIPA DC-007 for several pictures in one file)."""

import re
import struct
from collections.abc import Iterator

from ...errors import SignalError
from .density import CENTIMETRE, INCH, RATIO, Density, density
from .exif import directory, integers
from .stated import Stated

_EOI = 0xD9
_ALONE = {0x01, *range(0xD0, 0xD9)}
_NEXT_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}  # markers of frames of 8-bit samples: baseline, extended, progressive, and the latter two arithmetic
_ARITHMETIC = (0xC9, 0xCA)
_OTHERS = {
    0xC3: "a lossless JPEG",
    0xC5: "a hierarchical JPEG",
    0xC6: "a hierarchical JPEG",
    0xC7: "a hierarchical JPEG",
    0xCB: "an arithmetic-coded lossless JPEG",
    0xCD: "a hierarchical JPEG",
    0xCE: "a hierarchical JPEG",
    0xCF: "a hierarchical JPEG",
    0xF7: "a JPEG-LS picture",
}
_JFIF_UNITS = {0: RATIO, 1: INCH, 2: CENTIMETRE}
_NUMBER_OF_PICTURES = 0xB001
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"


def of_jpeg(data: bytes) -> Stated:
    """Density and notes of the first picture in `data`.

    Raises:
        SignalError: of a kind that is not decoded.
    """
    found: Density | None = None
    notes: list[str] = []
    end = None
    for marker, payload, after in _segments(data):
        if marker in _FRAMES or marker in _OTHERS:
            _check_frame(marker, payload)
        elif marker == 0xE0 and payload[:5] == b"JFIF\0" and len(payload) >= 12:
            unit, x, y = struct.unpack_from(">BHH", payload, 7)
            found = density(x, y, _JFIF_UNITS.get(unit, 0))
        elif marker == 0xE2 and payload[:4] == b"MPF\0":
            count = integers(payload[4:], directory(payload[4:]).get(_NUMBER_OF_PICTURES))
            if count and count[0] > 1:
                notes.append(f"The file holds {count[0]} pictures (previews, or the gain map of an HDR version); only the first was read.")
        elif marker == 0xE1 and payload.startswith(_EXTENDED_XMP):
            notes.append("The picture's extended XMP (such as a depth map) is not kept.")
        elif marker == _EOI:
            end = after
    if end is not None and not notes:
        notes += _after(data[end:])
    return Stated(density=found, place="JFIF", notes=tuple(dict.fromkeys(notes)))


def has_icc(data: bytes) -> bool:
    """True where a segment holds a profile or a part of one."""
    return any(marker == 0xE2 and payload.startswith(b"ICC_PROFILE\0") for marker, payload, _ in _segments(data))


def is_arithmetic(data: bytes) -> bool:
    """True where the picture is coded arithmetically, which not every build of libjpeg decodes."""
    return any(marker in _ARITHMETIC for marker, _, _ in _segments(data))


def _check_frame(marker: int, payload: bytes) -> None:
    kind, bits = _OTHERS.get(marker), payload[0] if payload else 8
    if kind is not None:
        raise SignalError(f"the file is {kind}, which is not supported; convert it to PNG first")
    if bits != 8:
        raise SignalError(f"the file is a {bits}-bit JPEG; expected 8 bits, convert it to a 16-bit PNG or TIFF first")


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, payload and end of every segment up to the end of the picture; those of a damaged file as far as they go."""
    at = 2
    while (found := _NEXT_MARKER.search(data, at)) is not None:
        marker, at = data[found.end() - 1], found.end()
        if marker in _ALONE:
            continue
        if marker == _EOI:
            yield marker, b"", at
            return
        length = int.from_bytes(data[at : at + 2], "big")
        yield marker, data[at + 2 : at + length], at + length
        at += max(2, length)


def _after(rest: bytes) -> list[str]:
    """What follows the picture: a phone may put a video there."""
    if b"ftyp" in rest[:4096] and b"moov" in rest:
        return ["A video follows the picture (a motion photo); only the picture was read."]
    if rest.strip(b"\0\xff\r\n"):
        return [f"{len(rest)} bytes follow the end of the picture; they were left out."]
    return []
