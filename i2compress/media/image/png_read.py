"""PNG, every colour type and depth; 16 bits stay 16 bits."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import PngImagePlugin

from ...errors import SignalError
from ...signal import Codes, Metadata
from .limits import check_pixels
from .pillow import still_codes
from .png_write import SIGNATURE, XMP_KEYWORD, chunk

_MAX_BLOB = 1 << 26  # a profile or packet that inflates beyond this is left out
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_PALETTE = 3
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True, kw_only=True)
class _Header:
    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool


def read_png(data: bytes) -> tuple[Codes, Metadata]:
    """Code values `[H, W, C]`, uint8 or uint16; palettes are expanded, a transparent colour becomes an alpha channel."""
    chunks = _chunks(data)
    header = _header(chunks)
    _refuse_what_is_more_than_a_picture(chunks)
    shown = {kind: payload for kind, payload in chunks if kind in (b"iCCP", b"eXIf", b"tRNS")}
    body = b"".join(payload for kind, payload in chunks if kind == b"IDAT")
    if header.depth == 16 and header.colour in _CHANNELS:
        codes: Codes = _read_deep(header, chunks[0][1], body)
    else:
        codes = _read_shallow(chunks, body)
    if b"tRNS" in shown and header.colour in (0, 2):
        codes = _with_key(codes, shown[b"tRNS"], header)
    icc = _inflated(shown[b"iCCP"].partition(b"\0")[2][1:]) if b"iCCP" in shown else None
    return codes, Metadata(icc=icc, exif=shown.get(b"eXIf"), xmp=_xmp(chunks))


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and payload of every chunk up to IEND; a damaged chunk that is not needed is left out."""
    found: list[tuple[bytes, bytes]] = []
    position = len(SIGNATURE)
    while not found or found[-1][0] != b"IEND":
        if position + 12 > len(data):
            raise SignalError("the PNG is truncated; copy or download it again")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise SignalError(f"the PNG is truncated in chunk {kind.decode('latin-1')!r}; copy or download it again")
        payload = data[position + 8 : end]
        if zlib.crc32(data[position + 4 : end]) == struct.unpack_from(">I", data, end)[0]:
            found.append((kind, payload))
        elif kind[:1].isupper():
            raise SignalError(f"the PNG is damaged: chunk {kind.decode('latin-1')!r} does not match its checksum; copy or download it again")
        position = end + 4
    return found


def _header(chunks: list[tuple[bytes, bytes]]) -> _Header:
    kind, payload = chunks[0]
    if kind != b"IHDR" or len(payload) != 13:
        raise SignalError("the PNG is damaged: it does not begin with a header chunk; copy or download it again")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", payload)
    check_pixels(width, height)
    return _Header(width=width, height=height, depth=depth, colour=colour, interlaced=interlace == 1)


def _refuse_what_is_more_than_a_picture(chunks: list[tuple[bytes, bytes]]) -> None:
    for kind, payload in chunks:
        if kind == b"acTL" and len(payload) == 8 and (frames := struct.unpack(">II", payload)[0]) > 1:
            raise SignalError(f"the picture is an animation of {frames} frames; expected a still picture, extract one frame first")
        if kind == b"cICP" and len(payload) == 4 and payload[1] in _HDR_TRANSFERS:
            raise SignalError(f"the picture is HDR ({_HDR_TRANSFERS[payload[1]]} transfer); this is not supported, convert it to SDR first")


def _read_shallow(chunks: list[tuple[bytes, bytes]], body: bytes) -> Codes:
    """Up to 8 bits a sample, by Pillow, which sees no chunk that it need not parse."""
    palette = _colour(chunks) == _PALETTE
    parts = [chunk(kind, payload) for kind, payload in chunks if kind in (b"IHDR", b"PLTE") or (palette and kind == b"tRNS")]
    file = io.BytesIO(b"".join([SIGNATURE, *parts, chunk(b"IDAT", body), chunk(b"IEND", b"")]))
    with PngImagePlugin.PngImageFile(file) as picture:
        return still_codes(picture)[0]


def _colour(chunks: list[tuple[bytes, bytes]]) -> int:
    """The PNG colour type."""
    return chunks[0][1][9]


def _read_deep(header: _Header, ihdr: bytes, body: bytes) -> npt.NDArray[np.uint16]:
    """16 bits a sample, by FFmpeg: Pillow would keep the upper 8 of all but gray."""
    from .ffmpeg import decoded_by_av  # FFmpeg takes a while to load, and few pictures need it

    _check_complete(header, body)
    file = b"".join([SIGNATURE, chunk(b"IHDR", ihdr), chunk(b"IDAT", body), chunk(b"IEND", b"")])
    return decoded_by_av(file, "png", (header.height, header.width, _CHANNELS[header.colour]))


def _check_complete(header: _Header, body: bytes) -> None:
    """Raises where the compressed stream ends early: FFmpeg would leave the rest of the picture black."""
    size = _CHANNELS[header.colour] * 2
    passes = _ADAM7 if header.interlaced else ((0, 0, 1, 1),)
    expected = 0
    for x, y, across, down in passes:
        columns, rows = -((x - header.width) // across), -((y - header.height) // down)
        expected += rows * (columns * size + 1) if columns > 0 and rows > 0 else 0
    stream, found = zlib.decompressobj(), 0
    while body and found < expected and not stream.eof:
        found += len(stream.decompress(body, 1 << 20))
        body = stream.unconsumed_tail
    if found < expected:
        raise SignalError(f"the PNG is truncated: {found} of {expected} bytes of samples are there; copy or download it again")


def _with_key(codes: Codes, key: bytes, header: _Header) -> Codes:
    """Adds the alpha channel that a transparent colour stands for."""
    channels = codes.shape[2]
    if len(key) < 2 * channels:
        return codes
    values = np.array(struct.unpack(f">{channels}H", key[: 2 * channels])) & (2**header.depth - 1)
    scale = 255 // (2**header.depth - 1) if header.depth < 8 else 1
    opaque = (codes != values * scale).any(axis=2)
    alpha = np.where(opaque, np.iinfo(codes.dtype).max, 0).astype(codes.dtype)
    return np.concatenate([codes, alpha[..., None]], axis=2)


def _inflated(data: bytes) -> bytes | None:
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, _MAX_BLOB)
    except zlib.error:
        return None
    return out if stream.eof else None


def _xmp(chunks: list[tuple[bytes, bytes]]) -> bytes | None:
    for kind, payload in chunks:
        keyword, _, rest = payload.partition(b"\0")
        if kind == b"iTXt" and keyword == XMP_KEYWORD and len(rest) > 2:
            text = rest[2:].split(b"\0", 2)[-1]
            return _inflated(text) if rest[0] else text
    return None
