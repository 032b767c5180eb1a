"""What the files that Pillow decodes say beside their samples, and Pillow does not."""

import struct
from dataclasses import dataclass

from ...errors import SignalError
from .colour import of_primaries
from .density import RATIO, Density, density, density_per_metre
from .icc import SRGB_CURVE, SRGB_PRIMARIES, Curve, Primaries

_BMP_PACKED = {4: "a JPEG", 5: "a PNG"}
_LARGEST_PROFILE = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What a header says.

    Args:
        icc: a profile, or one made of other words.
        density: where the format has a place for it.
        place: what that place is called.
        notes: sentences for the user.
    """

    icc: bytes | None = None
    density: Density | None = None
    place: str = ""
    notes: tuple[str, ...] = ()


def of_bmp(data: bytes) -> Stated:
    """Resolution of a header of 40 bytes or more, colours of versions 4 and 5 (Microsoft, BITMAPV5HEADER).

    Raises:
        SignalError: a BMP around another format.
    """
    (size,) = struct.unpack_from("<I", data, 14)
    if size < 40 or len(data) < 14 + size or size == 64:
        return Stated()
    compression, _, x, y = struct.unpack_from("<IIii", data, 30)
    if compression in _BMP_PACKED:
        what = _BMP_PACKED[compression]
        raise SignalError(f"the BMP is a wrapper around {what} picture; expected samples, take the picture out of it or save it as PNG")
    icc, notes = _bmp_colours(data) if size >= 108 else (None, ())
    return Stated(icc=icc, density=density_per_metre(x, y), place="BMP header", notes=notes)


def _bmp_colours(data: bytes) -> tuple[bytes | None, tuple[str, ...]]:
    kind = data[70:74][::-1]
    if kind == b"MBED" and struct.unpack_from("<I", data, 14)[0] >= 124:
        offset, length = struct.unpack_from("<II", data, 126)
        icc = data[14 + offset : 14 + offset + min(length, _LARGEST_PROFILE)]
        return (icc, ()) if len(icc) == length else (None, ("The picture's ICC profile is cut short, so that it was left out.",))
    if kind == b"LINK":
        return None, ("The picture names an ICC profile in another file, which was not read; its colours may look different.",)
    if kind != bytes(4):
        return None, ()  # sRGB, or the system's own, which is sRGB too
    ends = [value / 2**30 for value in struct.unpack_from("<9i", data, 74)]
    gammas = [value / 2**16 for value in struct.unpack_from("<3I", data, 110)]
    if not any(gammas):
        return None, ()  # most writers leave the fields empty: nothing is stated
    sums = [sum(ends[at : at + 3]) for at in (0, 3, 6)]
    points = SRGB_PRIMARIES
    if all(sums):
        red, green, blue = ((ends[3 * at] / sums[at], ends[3 * at + 1] / sums[at]) for at in range(3))
        points = Primaries(red=red, green=green, blue=blue, white=SRGB_PRIMARIES.white)  # the header has no white
    like_srgb = points.near(SRGB_PRIMARIES) and all(abs(gamma / 2.2 - 1) <= 0.02 for gamma in gammas)
    curves = (SRGB_CURVE,) if like_srgb else tuple(Curve(power=gamma) for gamma in gammas)
    found = of_primaries(points, curves, name="RGB, end points and gamma (BMP)")
    if found is None:
        return None, ("The picture's end points and gamma (BMP) make no sense, so that they were left out.",)
    return found.icc, ()


def of_gif(data: bytes) -> Stated:
    """The aspect ratio of a sample, and the profile that some programs add (GIF89a 18; ICC.1 B.6)."""
    ratio = density(64, data[12] + 15, RATIO) if len(data) > 12 and data[12] else None
    start = data.find(b"\x21\xff\x0bICCRGBG1012")
    icc = b""
    if start >= 0:
        at = start + 14
        while at < len(data) and data[at]:
            icc += data[at + 1 : at + 1 + data[at]]
            at += 1 + data[at]
    return Stated(icc=icc or None, density=ratio, place="GIF header")
