"""JPEG 2000, AVIF, JPEG XL, QOI and TGA, read by imageio (with Pillow behind it, or a plugin of Pillow)."""

import struct
from typing import Any

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import Image, features

from ...errors import SignalError
from ...signal import Codes, Metadata
from .boxes import boxes, jp2_components, of_avif, of_jp2
from .decoded import Decoded
from .density import RATIO, density, with_density
from .exif import as_upright, clean_exif, orientation
from .ffmpeg import decoded_by_av
from .jxl import jxl_header
from .limits import check_pixels
from .stated import Stated

_NAMES = {"jp2": "JPEG 2000", "avif": "AVIF", "jxl": "JPEG XL", "qoi": "QOI", "tga": "TGA"}
_MODES = {"1": 1, "L": 1, "I;16": 1, "LA": 2, "RGB": 3, "P": 3, "RGBA": 4, "PA": 4}
_FEATURES = {"jp2": "jpg_2000", "avif": "avif"}
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"


def read_with_imageio(data: bytes, name: str) -> Decoded:
    """Code values `[H, W, C]` of the picture in `data`, a file of format `name`, uint8 or, of JPEG 2000 and gray JPEG XL, uint16."""
    return {"jp2": _jp2, "avif": _avif, "jxl": _jxl, "qoi": _qoi, "tga": _tga}[name](data)


def _decoded(data: bytes, name: str) -> tuple[Codes, dict[str, Any]]:
    """Samples, and what the library found beside them.

    Raises:
        SignalError: a library for it is missing, too large, or a colour model that is not gray or RGB.
    """
    try:
        file = iio.imopen(data, "r", plugin="pillow")
    except Image.DecompressionBombError as error:
        raise SignalError(f"the {_NAMES[name]} picture is too large ({error}); cut it into tiles or convert it to PNG first") from error
    except OSError as error:
        if name in _FEATURES and not features.check(_FEATURES[name]):
            raise SignalError(
                f"the file is {_NAMES[name]}, and Pillow was built without it; install Pillow from PyPI or convert it to PNG"
            ) from error
        raise
    with file:
        found = file.metadata(index=0, exclude_applied=False)
        check_pixels(*found["shape"][:2])
        if found["mode"] not in _MODES:
            raise SignalError(f"the {_NAMES[name]} picture holds {found['mode']} samples; expected gray or RGB, convert it to PNG first")
        samples = np.asarray(file.read(index=0))
    codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    codes = samples.astype(np.uint16) if samples.dtype == np.uint16 else samples.astype(np.uint8) * (255 if samples.dtype == bool else 1)
    return (codes[..., None] if codes.ndim == 2 else codes), found


def _finished(codes: Codes, stated: Stated, *, icc: object = None, exif: object = None, xmp: object = None) -> Decoded:
    """A profile of the file goes before one made of other words (AVIF may have both)."""
    profile = icc if isinstance(icc, bytes) and icc else stated.icc
    block, notes = with_density(clean_exif(exif if isinstance(exif, bytes) else None), stated.density, stated.place)
    metadata = Metadata(icc=profile, exif=block, xmp=xmp if isinstance(xmp, bytes) and xmp else None)
    return Decoded(codes=codes, metadata=metadata, notes=(*stated.notes, *notes))


def _jp2(data: bytes) -> Decoded:
    """16 bits of more than one component by FFmpeg: Pillow would keep the upper 8."""
    count, bits = jp2_components(data)
    stated, exif, xmp = of_jp2(data, deep=bits == 16 and count > 2)
    if bits == 16 and count > 1:
        at = data.find(b"\xff\x4f\xff\x51")
        right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
        check_pixels(right - left, bottom - top)
        if count > 4:
            raise SignalError(f"the JPEG 2000 holds {count} components; expected 1 to 4, convert it to PNG first")
        codes: Codes = decoded_by_av(data, "jpeg2000", (bottom - top, right - left, count))
    else:
        codes, _ = _decoded(data, "jp2")
    return _finished(codes, stated, icc=stated.icc, exif=exif, xmp=xmp)


def _avif(data: bytes) -> Decoded:
    stated = of_avif(data)
    codes, found = _decoded(data, "avif")
    return _finished(codes, stated, icc=found.get("icc_profile"), exif=found.get("exif"), xmp=found.get("xmp"))


def _jxl(data: bytes) -> Decoded:
    """By a plugin of Pillow, which applies the orientation of the codestream; Exif's does not count (ISO/IEC 18181-2)."""
    try:
        import pillow_jxl  # noqa: F401  # it makes itself known to Pillow
    except ImportError as error:
        raise SignalError("the file is a JPEG XL picture, which needs a plugin; run pip install pillow-jxl-plugin, or convert it to PNG") from error
    header = jxl_header(data)
    if header.animated:
        raise SignalError("the picture is an animation; expected a still picture, extract one frame first")
    codes, found = _decoded(data, "jxl")
    if header.floating or header.bits > 8 * codes.itemsize or (header.bits != 8 and header.bits != 16):
        what = "floating-point" if header.floating else f"{header.bits}-bit"
        raise SignalError(f"the JPEG XL holds {what} samples, which would lose some of their depth; convert it to a 16-bit PNG or TIFF first")
    exif, notes = clean_exif(found.get("exif")), []
    kinds = dict(boxes(data)) if data[4:8] == b"JXL " else {}
    if exif is not None and b"jbrd" not in kinds:  # with it, the plugin gives the JPEG that the file was made of, not turned
        if header.orientation == 1 and orientation(exif) not in (None, 1):
            notes.append(f"The picture's Exif says orientation {orientation(exif)}, which does not count in JPEG XL; the picture was not turned.")
        exif = as_upright(exif)
    if b"brob" in kinds:
        notes.append("The JPEG XL has compressed metadata, which may not have been read.")
    return _finished(codes, Stated(notes=tuple(notes)), icc=found.get("icc_profile"), exif=exif, xmp=kinds.get(b"xml "))


def _qoi(data: bytes) -> Decoded:
    """The field for the colour space is informative by its specification, and Pillow writes 1 whatever the values are: it is not applied."""
    codes, _ = _decoded(data, "qoi")
    notes = ("The QOI says that its values are linear light, which was not applied: most files that say so hold sRGB.",) if data[13] == 1 else ()
    return Decoded(codes=codes, notes=notes)


def _tga(data: bytes) -> Decoded:
    codes, _ = _decoded(data, "tga")
    if data[17] & 15 == 0 and codes.shape[2] in (2, 4) and not codes[..., -1].any():
        codes = codes[..., :-1]  # a fourth byte that the header does not call alpha, and nothing in it
    return _finished(codes, _tga_extension(data))


def _tga_extension(data: bytes) -> Stated:
    """The extension area of version 2 (Truevision, TGA File Format Specification 2.0): aspect ratio, gamma, corrections, kind of alpha."""
    if not data.endswith(_TGA_FOOTER):
        return Stated()
    at = int.from_bytes(data[-26:-22], "little")
    if not at or at + 495 > len(data):
        return Stated()
    across, down, power, divisor, correction = struct.unpack_from("<4HI", data, at + 474)
    notes = []
    if divisor and power not in (0, divisor):
        notes.append(f"The TGA states gamma {power / divisor:.3g}, which was not applied.")
    if correction:
        notes.append("The TGA has a table that corrects its colours, which was not applied.")
    if data[at + 494] == 4:
        notes.append("The TGA states that its colours are multiplied by alpha, which was not undone.")
    return Stated(density=density(down, across, RATIO) if across and down else None, place="TGA", notes=tuple(notes))
