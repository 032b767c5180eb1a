"""What the tags of a TIFF say beside its samples: colours, density, Exif (TIFF 6.0 sections 8, 20 and 22)."""

import numpy as np
import tifffile
from PIL import Image

from ...signal import Metadata
from .colour import Colours, adobe_rgb, of_primaries
from .density import density_of, set_density
from .exif import clean_exif
from .icc import SRGB_CURVE, SRGB_PRIMARIES, Curve, Primaries
from .tiff_write import DESCRIPTIVE, EXIF_IFD, GPS_IFD, ICC, XMP, subdirectory
from .upright import is_adobe_rgb

_GRAY_RESPONSE, _TRANSFER, _WHITE, _PRIMARIES, _REFERENCE = 291, 301, 318, 319, 532
_TIFF_GAMMA = Curve(power=2.2)  # where TransferFunction is not given (TIFF 6.0 section 20)


def tiff_metadata(page: tifffile.TiffPage, data: bytes, *, gray: bool) -> tuple[Metadata, tuple[str, ...]]:
    """Profile, Exif and XMP of a page, and notes on what is not kept.

    Args:
        page: the first of the file.
        data: the whole file.
        gray: its samples have no colours.
    """
    icc, xmp = (_blob(page.tags[code].value) if code in page.tags else None for code in (ICC, XMP))
    notes = _unkept(page)
    if not icc:
        colours = tiff_colours(page, gray=gray)
        icc, notes = colours.icc, [*notes, *colours.notes]
    exif = _exif(data)
    if not icc and not gray and is_adobe_rgb(exif):
        icc = adobe_rgb()
    return Metadata(icc=icc, exif=exif, xmp=xmp), tuple(notes)


def _blob(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8")
    return value if isinstance(value, bytes) else None


def _unkept(page: tifffile.TiffPage) -> list[str]:
    notes = []
    if _GRAY_RESPONSE in page.tags:
        notes.append("The TIFF states optical densities of its gray values (GrayResponseCurve), which were not applied.")
    if _REFERENCE in page.tags and int(page.photometric) == 2 and page.bitspersample <= 16:
        ends = _numbers(page, _REFERENCE)
        if ends is None or not np.allclose(ends.reshape(-1, 2)[:3], (0, 2**page.bitspersample - 1)):
            notes.append("The TIFF states that black and white are not at the ends of its range (ReferenceBlackWhite), which was not applied.")
    return notes


def tiff_colours(page: tifffile.TiffPage, *, gray: bool) -> Colours:
    """A profile of TransferFunction, WhitePoint and PrimaryChromaticities (TIFF 6.0 section 20); None where they are not there or say sRGB."""
    if not any(code in page.tags for code in (_TRANSFER, _WHITE, _PRIMARIES)):
        return Colours()
    curves, points = _curves(page, gray), _points(page)
    found = None
    if curves is not None and (points is not None or gray):
        if not gray and points is not None and points.near(SRGB_PRIMARIES) and _TRANSFER not in page.tags:
            curves = (SRGB_CURVE,)
        found = of_primaries(None if gray else points, curves, name=f"{'Gray' if gray else 'RGB'}, stated by the TIFF's tags")
    return found or Colours(notes=("The TIFF's TransferFunction, WhitePoint or PrimaryChromaticities make no sense, so that they were left out.",))


def _numbers(page: tifffile.TiffPage, code: int) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """Values of a tag; fractions, which tifffile gives as pairs in a row, as quotients. None where one has no value."""
    tag = page.tags[code]
    values = np.atleast_1d(np.asarray(tag.value, np.float64)).ravel()
    if int(tag.dtype) in (5, 10):
        if not values[1::2].all():
            return None
        values = values[::2] / values[1::2]
    return values


def _curves(page: tifffile.TiffPage, gray: bool) -> tuple[Curve, ...] | None:
    """One table for all channels or one for each of three, of 2**bits numbers up to 65535."""
    if _TRANSFER not in page.tags:
        return (SRGB_CURVE,) if gray else (_TIFF_GAMMA,)
    values, size = _numbers(page, _TRANSFER), 2**page.bitspersample
    if values is None or len(values) not in (size, 3 * size):
        return None
    tables = values.reshape(-1, size) / 65535
    tables = tables[:1] if gray or all(np.array_equal(tables[0], table) for table in tables) else tables
    return tuple(Curve(table=tuple(table.tolist())) for table in tables)


def _points(page: tifffile.TiffPage) -> Primaries | None:
    """White and primaries; those of sRGB in place of what is not stated."""
    white = _numbers(page, _WHITE) if _WHITE in page.tags else np.array(SRGB_PRIMARIES.white)
    default = np.array([SRGB_PRIMARIES.red, SRGB_PRIMARIES.green, SRGB_PRIMARIES.blue]).ravel()
    ends = _numbers(page, _PRIMARIES) if _PRIMARIES in page.tags else default
    if white is None or ends is None or len(white) != 2 or len(ends) != 6:
        return None
    red, green, blue = ((float(x), float(y)) for x, y in ends.reshape(3, 2))
    return Primaries(red=red, green=green, blue=blue, white=(float(white[0]), float(white[1])))


def _exif(data: bytes) -> bytes | None:
    """An Exif block made of the tags that describe the picture, and its density; None where there are none."""
    found, kept = Image.Exif(), Image.Exif()
    found.load(data)
    for tag in DESCRIPTIVE:
        if tag in found:
            kept[tag] = found[tag]
    for tag in (EXIF_IFD, GPS_IFD):
        entries = subdirectory(found, tag)
        if entries:
            kept[tag] = entries
    block = clean_exif(kept.tobytes()) if len(kept) else None
    stated = density_of(data)  # a TIFF begins like an Exif block, and has the same entries
    return block if stated is None else set_density(block, stated)
