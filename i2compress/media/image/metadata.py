"""Exif, ICC and XMP as bytes: what has to be understood of them, and nothing more."""

import re
import struct

from ...signal import Codes

_EXIF_PREFIX = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION = 0x0112
_INTEGER_TYPES = {1: "B", 3: "H", 4: "I"}
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[1-8]")


def clean_exif(exif: bytes | None) -> bytes | None:
    """The TIFF-structured block without its ``Exif\\0\\0`` prefix; None where it is none."""
    exif = (exif or b"").removeprefix(_EXIF_PREFIX)
    return exif if exif[:4] in _ORDERS else None


def orientation(exif: bytes | None) -> int:
    """Exif orientation 1 to 8; 1 where there is none or it makes no sense."""
    place = _find_orientation(exif)
    if exif is None or place is None:
        return 1
    value = int(struct.unpack_from(place[1], exif, place[0])[0])
    return value if 1 <= value <= 8 else 1


def as_upright(exif: bytes | None) -> bytes | None:
    """The same block with orientation 1; every other byte stays, so that offsets inside (maker notes) stay valid."""
    place = _find_orientation(exif)
    if exif is None or place is None:
        return exif
    patched = bytearray(exif)
    struct.pack_into(place[1], patched, place[0], 1)
    return bytes(patched)


def xmp_as_upright(xmp: bytes | None) -> bytes | None:
    """The same packet with orientation 1, or a reader that prefers XMP would turn the picture a second time."""
    return None if xmp is None else _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def _find_orientation(exif: bytes | None) -> tuple[int, str] | None:
    """Offset and struct code of the orientation in the first directory."""
    if exif is None or exif[:4] not in _ORDERS:
        return None
    order = _ORDERS[exif[:4]]
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack_from(order + "HHI", exif, entry)
            if tag == _ORIENTATION and kind in _INTEGER_TYPES and length == 1:
                struct.unpack_from(order + _INTEGER_TYPES[kind], exif, entry + 8)
                return entry + 8, order + _INTEGER_TYPES[kind]
    except struct.error:
        pass  # the directory ends early: what is not there cannot turn the picture
    return None


def turned(codes: Codes, how: int) -> Codes:
    """The picture `[H, W, C]` as orientation `how` wants it seen; 5 to 8 exchange height and width."""
    if how >= 5:
        codes = codes.transpose(1, 0, 2)
    if how in (3, 4, 7, 8):
        codes = codes[::-1]
    if how in (2, 3, 6, 7):
        codes = codes[:, ::-1]
    return codes


def icc_space(icc: bytes | None) -> str | None:
    """The colour space of a profile, such as "RGB", "GRAY" or "CMYK"; None where it is no profile."""
    if icc is None or len(icc) < 128 or icc[36:40] != b"acsp":
        return None
    return icc[16:20].decode("latin-1").strip()


def icc_for(icc: bytes | None, channels: int) -> bytes | None:
    """The profile where it describes that many channels, else None: readers ignore an RGB profile on a gray picture."""
    return icc if icc_space(icc) == ("GRAY" if channels < 3 else "RGB") else None
