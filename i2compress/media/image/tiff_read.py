"""TIFF: 8 bits through Pillow, 16 through tifffile or FFmpeg, and no other depth is guessed at."""

import io
import logging

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, TiffImagePlugin

from ...errors import SignalError
from ...signal import Codes, Metadata
from .ffmpeg import decoded_by_av
from .limits import check_pixels
from .metadata import clean_exif
from .pillow import still_codes
from .tiff_write import DESCRIPTIVE, EXIF_IFD, GPS_IFD, ICC, XMP

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # or Python prints its warnings to stderr

_MINISWHITE, _MINISBLACK, _RGB = 0, 1, 2
_SUPPORTED = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
_UNSPECIFIED, _ASSOCIATED = 0, 1
_NAMES = {
    4: "transparency mask",
    8: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32803: "camera raw (Bayer)",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
_OWN_DECODERS = {1, 8, 32946, 34925}  # stored, deflate and LZMA need nothing but tifffile
_AV_DECODERS = {5, 32773}  # LZW and PackBits


def read_tiff(data: bytes) -> tuple[Codes, Metadata]:
    """Code values `[H, W, C]`, uint8 or uint16, of a TIFF with one page."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        if not isinstance(page, tifffile.TiffPage):
            raise SignalError("the first page of the TIFF cannot be read; convert it to PNG first")
        pages = sum(1 for other in file.pages if isinstance(other, tifffile.TiffPage) and not other.is_reduced)
        if pages > 1:
            raise SignalError(f"the TIFF has {pages} pages; expected one, split it first, for example with tiffsplit")
        _check(page, len(data))
        deep = page.bitspersample == 16
        codes: Codes = _read_deep(page, data) if deep else _read_shallow(page, data)
        tags = {code: page.tags[code].value for code in (ICC, XMP) if code in page.tags}
    return codes, Metadata(icc=_blob(tags.get(ICC)), exif=_exif(data), xmp=_blob(tags.get(XMP)))


def _blob(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8")
    return value if isinstance(value, bytes) else None


def _check(page: tifffile.TiffPage, size: int) -> None:
    """Refuses what the samples of the page do not let us read truthfully."""
    check_pixels(page.imagewidth, page.imagelength)
    bits, kind = page.bitspersample, int(page.sampleformat)
    if kind not in (1, 4) or bits not in (1, 2, 4, 8, 16):
        form = {2: "signed integers", 3: "floating-point numbers"}.get(kind, "integers")
        raise SignalError(f"the TIFF holds {bits}-bit {form}; expected 8 or 16-bit unsigned integers, scale and convert it first")
    colours = int(page.photometric)
    if colours not in _SUPPORTED:
        raise SignalError(f"the TIFF holds {_NAMES.get(colours, f'colours of kind {colours}')}; expected gray or RGB, convert it first")
    extra = _extra(page)
    if len(extra) > 1 or _UNSPECIFIED in extra:
        raise SignalError(
            f"the TIFF holds {len(extra)} extra channels that need not be alpha; expected gray or RGB with at most alpha, remove them first"
        )
    if page.imagedepth != 1:
        raise SignalError(f"the TIFF holds a volume of depth {page.imagedepth}; expected one picture")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + count > size:
            raise SignalError("the TIFF is truncated; copy or download it again")


def _extra(page: tifffile.TiffPage) -> tuple[int, ...]:
    """What the channels beyond the colours are; one that is not declared at all counts as unspecified."""
    colours = {2: 3, 5: 4, 6: 3}.get(int(page.photometric), 1)
    declared = tuple(int(kind) for kind in page.extrasamples)
    return declared or (_UNSPECIFIED,) * (page.samplesperpixel - colours)


def _read_shallow(page: tifffile.TiffPage, data: bytes) -> Codes:
    with TiffImagePlugin.TiffImageFile(io.BytesIO(data)) as picture:
        codes = still_codes(picture)[0]
    if int(page.photometric) in (_MINISWHITE, _MINISBLACK, _RGB) and codes.shape[2] != page.samplesperpixel:
        raise SignalError(f"the TIFF holds {page.samplesperpixel} channels, of which {codes.shape[2]} can be read; convert it to PNG first")
    return codes


def _read_deep(page: tifffile.TiffPage, data: bytes) -> npt.NDArray[np.uint16]:
    """16-bit gray or RGB, with or without alpha."""
    colours, height, width = int(page.photometric), page.imagelength, page.imagewidth
    channels, plain = page.samplesperpixel, 3 if colours == _RGB else 1
    if colours not in (_MINISWHITE, _MINISBLACK, _RGB) or channels not in (plain, plain + 1):
        raise SignalError(
            f"the TIFF holds {channels} channels of 16-bit {_SUPPORTED[colours]}; expected gray or RGB, with or without alpha, convert it first"
        )
    if int(page.compression) in _OWN_DECODERS:
        samples = page.asarray().astype(np.uint16, copy=False)
        separate = int(page.planarconfig) == 2 and channels > 1
        codes = np.moveaxis(samples.reshape(channels, height, width), 0, -1) if separate else samples.reshape(height, width, channels)
    elif int(page.compression) in _AV_DECODERS and int(page.planarconfig) == 1:
        codes = decoded_by_av(data, "tiff", (height, width, channels))
    else:
        method = getattr(page.compression, "name", page.compression)
        raise SignalError(f"the TIFF has 16-bit samples compressed as {method}; this is not supported, save it with deflate or uncompressed")
    if colours == _MINISWHITE:
        codes = np.concatenate([65535 - codes[..., :1], codes[..., 1:]], axis=2)
    return _straight(codes) if _extra(page) == (_ASSOCIATED,) else codes


def _straight(codes: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Colours divided by their alpha, which TIFF may store premultiplied."""
    alpha = codes[..., -1:].astype(np.float64)
    colours = np.minimum(np.rint(codes[..., :-1] * (65535 / np.maximum(alpha, 1))), 65535)
    return np.concatenate([colours.astype(np.uint16), codes[..., -1:]], axis=2)


def _exif(data: bytes) -> bytes | None:
    """An Exif block made of the tags that describe the picture; None where there are none."""
    found, kept = Image.Exif(), Image.Exif()
    found.load(data)
    for tag in DESCRIPTIVE:
        if tag in found:
            kept[tag] = found[tag]
    for directory in (EXIF_IFD, GPS_IFD):
        entries = found.get_ifd(directory)
        if entries:
            kept[directory] = entries
    return clean_exif(kept.tobytes()) if len(kept) else None
