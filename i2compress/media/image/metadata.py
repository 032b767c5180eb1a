"""Profiles, XMP and the turning of pictures: what has to be understood of them, and nothing more."""

import re

from ...signal import Codes

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)([1-8])(?!\d)")


def xmp_orientation(xmp: bytes | None) -> int | None:
    """The orientation 1 to 8 that a packet states; None where there is none."""
    found = _XMP_ORIENTATION.search(xmp or b"")
    return int(found[2]) if found else None


def xmp_as_upright(xmp: bytes | None) -> bytes | None:
    """The same packet with orientation 1, or a reader that prefers XMP would turn the picture a second time."""
    return None if xmp is None else _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def turned(codes: Codes, how: int) -> Codes:
    """The picture `[H, W, C]` as orientation `how` wants it seen; 5 to 8 exchange height and width (TIFF 6.0, Orientation)."""
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
