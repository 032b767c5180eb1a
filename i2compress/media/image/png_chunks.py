"""A PNG taken apart into its chunks (PNG specification, third edition, section 5)."""

import struct
import zlib
from dataclasses import dataclass

from ...errors import SignalError
from .limits import check_pixels
from .png_write import SIGNATURE

Chunk = tuple[bytes, bytes]  # type and payload

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


@dataclass(frozen=True, kw_only=True)
class Header:
    """What IHDR says (section 11.2.1).

    Args:
        width, height: at least 1.
        depth: bits a sample, 1 to 16.
        colour: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha.
        interlaced: by Adam7.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool


def png_chunks(data: bytes) -> tuple[list[Chunk], tuple[str, ...]]:
    """Every chunk up to IEND, and notes on what is missing or more than that.

    A damaged chunk that the picture does not need is left out, with a note.

    Raises:
        SignalError: cut short inside a chunk, or a chunk that the picture needs is damaged.
    """
    found: list[Chunk] = []
    notes: list[str] = []
    position = len(SIGNATURE)
    while not found or found[-1][0] != b"IEND":
        if position == len(data) and any(kind == b"IDAT" for kind, _ in found):
            notes.append("The PNG ends without its IEND chunk; all samples are there.")  # that they are is checked by the reader
            return found, tuple(notes)
        if position + 12 > len(data):
            raise SignalError("the PNG is truncated; copy or download it again")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        name = kind.decode("latin-1")
        if not found and kind == b"CgBI":
            raise _apple()
        if end + 4 > len(data):
            raise SignalError(f"the PNG is truncated in chunk {name!r}; copy or download it again")
        if zlib.crc32(data[position + 4 : end]) == struct.unpack_from(">I", data, end)[0]:
            found.append((kind, data[position + 8 : end]))
        elif kind[:1].isupper():
            raise SignalError(f"the PNG is damaged: chunk {name!r} does not match its checksum; copy or download it again")
        else:
            notes.append(f"Chunk {name!r} of the PNG does not match its checksum, so that it was left out.")
        position = end + 4
    if data[position:].strip(b"\0"):
        notes.append(f"{len(data) - position} bytes follow the end of the PNG; they were left out.")
    return found, tuple(notes)


def _apple() -> SignalError:
    return SignalError(
        "the file is an Apple-optimised PNG (CgBI), which is no standard PNG; restore it first, for example with "
        "xcrun pngcrush -revert-iphone-optimizations"
    )


def png_header(chunks: list[Chunk]) -> Header:
    """The header of a PNG whose variant can be read. Raises SignalError."""
    kind, payload = chunks[0]
    if kind != b"IHDR" or len(payload) != 13:
        raise SignalError("the PNG is damaged: it does not begin with a header chunk; copy or download it again")
    width, height, depth, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", payload)
    check_pixels(width, height)
    if depth not in _DEPTHS.get(colour, ()) or compression or filters or interlace > 1:
        raise SignalError(
            f"the PNG states colour type {colour}, depth {depth}, compression {compression}, filter {filters} and interlace {interlace}, "
            "which the PNG specification does not know; save it again as PNG"
        )
    for kind, _ in chunks:
        if kind[:1].isupper() and kind not in _CRITICAL:
            raise SignalError(f"the PNG has a chunk {kind.decode('latin-1')!r} that must be understood and is not; save it again as PNG")
    return Header(width=width, height=height, depth=depth, colour=colour, interlaced=interlace == 1)
