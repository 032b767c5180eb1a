"""The colours that a PNG states, in the order of precedence of the PNG specification (third edition, 4.3): cICP, iCCP, sRGB, gAMA with cHRM."""

import struct
import zlib

from .colour import Colours, of_code_points, of_gamma
from .icc import Primaries, is_srgb
from .metadata import icc_space

MAX_BLOB = 1 << 26  # a profile or packet that inflates beyond this is left out

# Chunks that say something of the samples and have no place in what is kept.
_MEANINGS = {
    b"pCAL": "how its values are calibrated (pCAL)",
    b"sCAL": "how large what it shows is (sCAL)",
    b"sTER": "that it is a pair for stereo (sTER)",
}


def png_colours(chunks: dict[bytes, bytes], *, gray: bool) -> Colours:
    """The profile and notes of the first payload of every kind of chunk.

    Args:
        chunks: by their type.
        gray: the picture has no colours.

    Raises:
        SignalError: HDR.
    """
    notes = [f"The picture says {meaning}, which is not kept." for kind, meaning in _MEANINGS.items() if kind in chunks]
    for kind, reading in ((b"cICP", _cicp), (b"iCCP", _iccp), (b"sRGB", _srgb)):
        if kind in chunks:
            found = reading(chunks, gray)
            notes += found[1]
            if found[0] is not None:
                return Colours(icc=found[0].icc, notes=tuple(notes))
    colours, more = _gamma(chunks, gray)
    return Colours(icc=colours.icc, notes=(*notes, *more))


_Reading = tuple[Colours | None, list[str]]


def _cicp(chunks: dict[bytes, bytes], gray: bool) -> _Reading:
    """Four bytes: primaries, transfer, matrix (0 for RGB), full range (section 11.3.2.6)."""
    if len(chunks[b"cICP"]) != 4:
        return None, ["The picture's cICP chunk is damaged, so that it was left out."]
    primaries, transfer, matrix, full = chunks[b"cICP"]
    colours = of_code_points(primaries, transfer, gray=gray, place="cICP")
    notes = []
    if colours is None:
        notes.append(f"The picture states colours of primaries {primaries} and transfer {transfer} (cICP), which are not known and were not applied.")
    if matrix != 0:
        notes.append(f"The picture states a colour matrix ({matrix}) where PNG has only RGB; it was not applied.")
    if full == 0:
        notes.append("The picture states that black and white are not at the ends of its range (cICP, narrow range); this was not applied.")
    return colours, notes


def _iccp(chunks: dict[bytes, bytes], gray: bool) -> _Reading:
    """A name, a method and a compressed profile (section 11.3.2.3)."""
    icc = inflated(chunks[b"iCCP"].partition(b"\0")[2][1:])
    if icc is None or icc_space(icc) is None:
        return None, ["The picture's ICC profile is damaged, so that it was left out."]
    if b"sRGB" in chunks and not gray and not is_srgb(icc):
        return Colours(icc=icc), [
            "The picture states sRGB and has an ICC profile of other colours; the profile was kept, which has precedence in PNG."
        ]
    return Colours(icc=icc), []


def _srgb(chunks: dict[bytes, bytes], gray: bool) -> _Reading:
    """The rendering intent says nothing of the values (section 11.3.2.5)."""
    return Colours(), []


def _gamma(chunks: dict[bytes, bytes], gray: bool) -> tuple[Colours, list[str]]:
    """gAMA, 100000 times the exponent of encoding, and cHRM, 100000 times x and y of white, red, green and blue (11.3.2.1, 11.3.2.2)."""
    exponent, primaries, notes = None, None, []
    if b"gAMA" in chunks:
        value = int.from_bytes(chunks[b"gAMA"], "big") if len(chunks[b"gAMA"]) == 4 else 0
        exponent = 100000 / value if value else None
        if not value:
            notes.append("The picture's gAMA chunk makes no sense, so that it was left out.")
    if b"cHRM" in chunks and not gray:
        payload = chunks[b"cHRM"]
        if len(payload) == 32:
            white, red, green, blue = ((x / 100000, y / 100000) for x, y in struct.iter_unpack(">ii", payload))
            primaries = Primaries(red=red, green=green, blue=blue, white=white)
        else:
            notes.append("The picture's cHRM chunk is damaged, so that it was left out.")
    colours = of_gamma(exponent, primaries, gray=gray, place="PNG")
    if colours is None:
        notes.append("The picture's gAMA and cHRM chunks make no sense, so that they were left out.")
    return colours or Colours(), notes


def inflated(data: bytes) -> bytes | None:
    """What a zlib stream holds; None where it is damaged or holds more than MAX_BLOB bytes."""
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, MAX_BLOB)
    except zlib.error:
        return None
    return out if stream.eof else None
