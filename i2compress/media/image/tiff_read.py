"""TIFF: 8 bits through Pillow, 16 through tifffile and libtiff, and no other depth is guessed at."""

import io
import logging
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import TiffImagePlugin

from ...errors import SignalError
from ...signal import Codes
from .bigtiff import as_classic, is_bigtiff
from .decoded import Decoded
from .exif import as_upright, beyond_the_end
from .limits import check_pixels
from .pillow import still_codes
from .tiff_segments import LIBTIFF_DECODERS, OWN_DECODERS, samples
from .tiff_tags import tiff_metadata

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
_DNG, _SUBDIRECTORIES = 50706, 330


def read_tiff(data: bytes) -> Decoded:
    """Code values `[H, W, C]`, uint8 or uint16, of a TIFF or BigTIFF with one page."""
    lost = beyond_the_end(data)
    data = as_classic(_checked(data)) if is_bigtiff(data) else data
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = _page(file, len(data))
        _check(page)
        codes: Codes = _read_deep(page, data) if page.bitspersample == 16 else _read_shallow(page, data)
        metadata, notes = tiff_metadata(page, data, gray=codes.shape[2] < 3)
        if int(page.photometric) == 5:  # the inks have become sRGB
            metadata = replace(metadata, icc=None)
    if lost:
        notes += (f"The TIFF's tags {', '.join(map(str, lost))} point beyond its end, so that they were left out.",)
    return Decoded(codes=codes, metadata=metadata, notes=notes)


def _checked(data: bytes) -> bytes:
    """The same BigTIFF: what is wrong with it must be seen while it is as it was, with all pages and nothing behind them."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        _page(file, len(data))
    return data


def _page(file: tifffile.TiffFile, size: int) -> tifffile.TiffPage:
    """The one picture of a file of `size` bytes. Raises SignalError: there are more, it is cut short, or the preview of a camera raw."""
    page = file.pages[0]
    if not isinstance(page, tifffile.TiffPage):
        raise SignalError("the first page of the TIFF cannot be read; convert it to PNG first")
    if _DNG in page.tags or (page.is_reduced and _SUBDIRECTORIES in page.tags):
        kind = "a DNG" if _DNG in page.tags else "a TIFF-like"
        raise SignalError(f"the file is {kind} camera raw file, which holds no finished picture; develop it to a 16-bit TIFF or PNG first")
    pages = sum(1 for other in file.pages if isinstance(other, tifffile.TiffPage) and not other.is_reduced)
    if pages > 1:
        raise SignalError(f"the TIFF has {pages} pages; expected one, split it first, for example with tiffsplit")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + count > size:
            raise SignalError("the TIFF is truncated; copy or download it again")
    return page


def _check(page: tifffile.TiffPage) -> None:
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
    if int(page.compression) not in TiffImagePlugin.COMPRESSION_INFO:
        method = getattr(page.compression, "name", page.compression)
        raise SignalError(f"the TIFF is compressed as {method}, which is not supported; save it with deflate or uncompressed")


def _extra(page: tifffile.TiffPage) -> tuple[int, ...]:
    """What the channels beyond the colours are; one that is not declared at all counts as unspecified."""
    colours = {2: 3, 5: 4, 6: 3}.get(int(page.photometric), 1)
    declared = tuple(int(kind) for kind in page.extrasamples)
    return declared or (_UNSPECIFIED,) * (page.samplesperpixel - colours)


def _read_shallow(page: tifffile.TiffPage, data: bytes) -> Codes:
    """1 to 8 bits; Pillow would turn the picture, which is done for all formats elsewhere, and so it does not see the orientation."""
    with TiffImagePlugin.TiffImageFile(io.BytesIO(as_upright(data))) as picture:
        codes = still_codes(picture)[0]
    if int(page.photometric) in (_MINISWHITE, _MINISBLACK, _RGB) and codes.shape[2] != page.samplesperpixel:
        raise SignalError(f"the TIFF holds {page.samplesperpixel} channels, of which {codes.shape[2]} can be read; convert it to PNG first")
    return codes


def _read_deep(page: tifffile.TiffPage, data: bytes) -> npt.NDArray[np.uint16]:
    """16-bit gray or RGB, with or without alpha."""
    colours, channels = int(page.photometric), page.samplesperpixel
    plain = 3 if colours == _RGB else 1
    if colours not in (_MINISWHITE, _MINISBLACK, _RGB) or channels not in (plain, plain + 1):
        raise SignalError(
            f"the TIFF holds {channels} channels of 16-bit {_SUPPORTED[colours]}; expected gray or RGB, with or without alpha, convert it first"
        )
    if int(page.compression) not in OWN_DECODERS | LIBTIFF_DECODERS:
        method = getattr(page.compression, "name", page.compression)
        raise SignalError(f"the TIFF has 16-bit samples compressed as {method}; this is not supported, save it with deflate or uncompressed")
    codes = samples(page, data)
    if colours == _MINISWHITE:
        codes = np.concatenate([65535 - codes[..., :1], codes[..., 1:]], axis=2)
    return _straight(codes) if _extra(page) == (_ASSOCIATED,) else codes


def _straight(codes: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Colours divided by their alpha, which TIFF may store premultiplied."""
    alpha = codes[..., -1:].astype(np.float64)
    colours = np.minimum(np.rint(codes[..., :-1] * (65535 / np.maximum(alpha, 1))), 65535)
    return np.concatenate([colours.astype(np.uint16), codes[..., -1:]], axis=2)
