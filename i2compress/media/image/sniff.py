"""What a file is, from its first bytes: a name lies more often than they do."""

import struct

from ...errors import SignalError
from ..foreign import HEAD, Foreign, recognise

READABLE = "PNG, JPEG, WebP, TIFF, PNM, BMP, GIF, TGA, JPEG 2000, AVIF, JPEG XL, QOI"

_MAGICS = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"qoif", "qoi"),
)
_RAWS = ("a Canon camera raw file (CR2)",)  # begin like a TIFF
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_TGA_TYPES = {1: (8,), 2: (15, 16, 24, 32), 3: (8, 16), 9: (8,), 10: (15, 16, 24, 32), 11: (8, 16)}
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"


def sniff(data: bytes) -> str:
    """The name of the picture format of `data`, one of those of READABLE.

    Raises:
        SignalError: it is none of them; the message names what it is and what to do.
    """
    if not data:
        raise SignalError("the file is empty; expected a picture, check where it came from")
    found = recognise(data[:HEAD])
    if found is not None and found.what in _RAWS:
        raise _refusal(found)
    name = _known(data)
    if name is not None:
        return name
    if found is None and _is_tga(data):
        return "tga"
    raise _refusal(found)


def is_picture(data: bytes) -> bool:
    """True where `data` is a picture that can be read, whatever its name says."""
    try:
        sniff(data)
    except SignalError:
        return False
    return True


def _refusal(found: Foreign | None) -> SignalError:
    what = "no picture that is known" if found is None else f"{found.what}, not a picture" if found.sound else found.what
    advice = "convert it first" if found is None else found.advice
    return SignalError(f"the file is {what}; expected one of {READABLE}, {advice}")


def _known(data: bytes) -> str | None:
    for magic, name in _MAGICS:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp" and (found := recognise(data[:HEAD])) is not None and found.what == "an AVIF picture":
        return "avif"
    if data[:1] == b"P" and data[1:2] in tuple(b"1234567"[i : i + 1] for i in range(7)) and (data[2:3].isspace() or data[2:3] == b"#"):
        return "pnm"
    if data[:2] == b"BM" and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADERS:
        return "bmp"
    return None


def _is_tga(data: bytes) -> bool:
    """TGA has no signature in front: its header must make sense, or the footer of its second version be there."""
    if len(data) < 18:
        return False
    mapped, kind, bits, descriptor = data[1], data[2], data[16], data[17]
    width, height = struct.unpack_from("<HH", data, 12)
    sensible = mapped == (kind in (1, 9)) and bits in _TGA_TYPES.get(kind, ()) and width > 0 and height > 0
    return sensible and (data.endswith(_TGA_FOOTER) or descriptor & 0xC0 == 0)
