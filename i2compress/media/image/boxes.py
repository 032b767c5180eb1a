"""What the boxes of JPEG 2000, AVIF and JPEG XL say beside their samples (ISO/IEC 15444-1 annex I, 23000-22, 18181-2)."""

import struct
from collections.abc import Iterator

from ...errors import SignalError
from .colour import of_code_points
from .density import Density, density_per_metre
from .stated import Stated

_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF_UUID = b"JpgTiffExif->JP2"
_CODESTREAM = b"\xff\x4f\xff\x51"
_JP2_PLAIN, _JP2_YCC, _JP2_INKS = (16, 17), 18, 12
_MATRIX_OF_AV1 = b"colrnclx"


def boxes(data: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Type and payload of every box; the last one may reach to the end of the file, and one cut short is left out."""
    at = start
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        end = len(data) if size == 0 else at + size
        if size != 0 and (size < head or end > len(data)):
            return
        yield kind, data[at + head : end]
        at = end


def jp2_components(data: bytes) -> tuple[int, int]:
    """Number and bits of the components of a JPEG 2000 (SIZ marker, annex A.5.1).

    Raises:
        SignalError: other than 8 or 16 bits, or signed.
    """
    at = data.find(_CODESTREAM)
    if at < 0 or at + 42 > len(data):
        raise SignalError("the JPEG 2000 is truncated: its codestream is not there; copy or download it again")
    (count,) = struct.unpack_from(">H", data, at + 40)
    sizes = set(data[at + 42 : at + 42 + 3 * count : 3])
    if sizes not in ({7}, {15}):
        shown = " and ".join(f"{(size & 127) + 1}-bit{' signed' if size & 128 else ''}" for size in sorted(sizes))
        raise SignalError(f"the JPEG 2000 holds {shown or 'no'} samples; expected 8 or 16-bit unsigned, convert it to a 16-bit TIFF or PNG first")
    return count, sizes.pop() + 1


def of_jp2(data: bytes, *, deep: bool) -> tuple[Stated, bytes | None, bytes | None]:
    """What a JPEG 2000 states, its Exif and its XMP.

    Args:
        data: the file; a codestream without boxes states nothing.
        deep: its colours have 16 bits, of which YCC is not decoded.

    Raises:
        SignalError: 16 bits of YCC.
    """
    icc, notes, exif, xmp = None, [], None, None
    stated: Density | None = None
    for kind, payload in boxes(data) if data[4:8] == b"jP  " else ():
        if kind == b"uuid" and payload[:16] == _XMP_UUID:
            xmp = payload[16:]
        elif kind == b"uuid" and payload[:16] == _EXIF_UUID:
            exif = payload[16:]
        elif kind == b"jp2h":
            inner = dict(reversed(list(boxes(payload))))  # of several, the first counts
            icc, found = _jp2_colours(inner.get(b"colr", b""), deep)
            notes += found
            if b"cdef" in inner and any(use == 2 for _, use, _ in struct.iter_unpack(">HHH", _sixes(inner[b"cdef"][2:]))):
                notes.append("The JPEG 2000 states that its colours are multiplied by alpha, which was not undone.")
            stated = _jp2_density(inner.get(b"res ", b""))
    return Stated(icc=icc, density=stated, place="JPEG 2000", notes=tuple(notes)), exif, xmp


def _sixes(data: bytes) -> bytes:
    return data[: len(data) // 6 * 6]


def _jp2_colours(payload: bytes, deep: bool) -> tuple[bytes | None, list[str]]:
    """A number of a colour space or a profile (annex I.5.3.3)."""
    if len(payload) < 3:
        return None, []
    if payload[0] in (2, 3):
        return payload[3:], []
    space = int.from_bytes(payload[3:7], "big")
    if space == _JP2_YCC and deep:
        raise SignalError("the JPEG 2000 holds 16-bit YCC samples; expected gray or RGB, convert it to a 16-bit TIFF or PNG first")
    if space in (*_JP2_PLAIN, _JP2_YCC, _JP2_INKS):
        return None, []
    return None, [f"The JPEG 2000 states colour space {space}, which is not known and was not applied."]


def _jp2_density(payload: bytes) -> Density | None:
    """Samples a metre, of capture or display (annex I.5.3.7): numerators, denominators and powers of ten, down before across."""
    inner = dict(boxes(payload))
    values = inner.get(b"resd") or inner.get(b"resc") or b""
    if len(values) < 10:
        return None
    down, below, across, beside, power_down, power_across = struct.unpack_from(">4H2b", values)
    if not below or not beside:
        return None
    return density_per_metre(round(across / beside * 10.0**power_across), round(down / below * 10.0**power_down))


def of_avif(data: bytes) -> Stated:
    """Colours of H.273 and depth of the samples, which Pillow reduces to 8 bits.

    Raises:
        SignalError: HDR.
    """
    head, notes = next((payload for kind, payload in boxes(data) if kind == b"meta"), b""), []
    icc = None
    at = head.find(_MATRIX_OF_AV1)
    if at >= 0 and len(head) >= at + 15:
        primaries, transfer = struct.unpack_from(">HH", head, at + 8)
        found = None if 2 in (primaries, transfer) else of_code_points(primaries, transfer, gray=False, place="AVIF")
        icc = found.icc if found is not None else None
        if found is None and (primaries, transfer) != (2, 2):  # 2 says nothing
            notes.append(f"The AVIF states colours of primaries {primaries} and transfer {transfer}, which are not known and were not applied.")
    at = head.find(b"pixi")
    bits = max(head[at + 9 : at + 9 + head[at + 8]], default=8) if at >= 0 and len(head) > at + 9 else 8
    if bits > 8:
        notes.append(f"The AVIF holds {bits}-bit samples, which were reduced to 8 bits; convert it to a 16-bit PNG or TIFF first to keep them.")
    return Stated(icc=icc, notes=tuple(notes))
