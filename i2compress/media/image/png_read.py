"""PNG, every colour type and depth; 16 bits stay 16 bits."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import PngImagePlugin

from ...errors import SignalError
from ...signal import Codes, Metadata
from .decoded import Decoded
from .density import RATIO, Density, density, density_per_metre, with_density
from .exif import clean_exif
from .pillow import still_codes
from .png_chunks import Chunk, Header, png_chunks, png_header
from .png_colour import inflated, png_colours
from .png_write import SIGNATURE, XMP_KEYWORD, chunk

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_PALETTE = 3
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_RAW_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")  # how ImageMagick wrote Exif before PNG had eXIf


def read_png(data: bytes) -> Decoded:
    """Code values `[H, W, C]`, uint8 or uint16; palettes are expanded, a transparent colour becomes an alpha channel."""
    chunks, notes = png_chunks(data)
    header = png_header(chunks)
    _refuse_animation(chunks)
    first: dict[bytes, bytes] = {}
    for kind, payload in chunks:
        first.setdefault(kind, payload)
    gray = header.colour in (0, 4)
    colours = png_colours(first, gray=gray)  # before the samples: HDR is refused without waiting for them
    codes = _samples(header, chunks)
    if b"tRNS" in first and header.colour in (0, 2):
        codes = _with_key(codes, first[b"tRNS"], header)
    exif, more = with_density(clean_exif(first.get(b"eXIf") or _raw_exif(chunks)), _density(first.get(b"pHYs", b"")), "pHYs")
    metadata = Metadata(icc=colours.icc, exif=exif, xmp=_xmp(chunks))
    return Decoded(codes=codes, metadata=metadata, notes=(*notes, *colours.notes, *more))


def _refuse_animation(chunks: list[Chunk]) -> None:
    for kind, payload in chunks:
        if kind == b"acTL" and len(payload) == 8 and (frames := struct.unpack(">II", payload)[0]) > 1:
            raise SignalError(f"the picture is an animation of {frames} frames; expected a still picture, extract one frame first")


def _density(payload: bytes) -> Density | None:
    """Samples a unit across and down, and the unit: 0 unknown, 1 metre (section 11.3.4.3)."""
    if len(payload) != 9:
        return None
    x, y, unit = struct.unpack(">IIB", payload)
    return density_per_metre(x, y) if unit == 1 else density(x, y, RATIO)


def _samples(header: Header, chunks: list[Chunk]) -> Codes:
    body = b"".join(payload for kind, payload in chunks if kind == b"IDAT")
    _check_complete(header, body)
    if header.depth == 16:
        return _read_deep(header, chunks[0][1], body)
    return _read_shallow(header, chunks, body)


def _read_shallow(header: Header, chunks: list[Chunk], body: bytes) -> Codes:
    """Up to 8 bits a sample, by Pillow, which sees no chunk that it need not parse."""
    palette = header.colour == _PALETTE
    parts = [chunk(kind, payload) for kind, payload in chunks if kind in (b"IHDR", b"PLTE") or (palette and kind == b"tRNS")]
    file = io.BytesIO(b"".join([SIGNATURE, *parts, chunk(b"IDAT", body), chunk(b"IEND", b"")]))
    with PngImagePlugin.PngImageFile(file) as picture:
        return still_codes(picture)[0]


def _read_deep(header: Header, ihdr: bytes, body: bytes) -> npt.NDArray[np.uint16]:
    """16 bits a sample, by FFmpeg: Pillow would keep the upper 8 of all but gray."""
    from .ffmpeg import decoded_by_av  # FFmpeg takes a while to load, and few pictures need it

    file = b"".join([SIGNATURE, chunk(b"IHDR", ihdr), chunk(b"IDAT", body), chunk(b"IEND", b"")])
    return decoded_by_av(file, "png", (header.height, header.width, _CHANNELS[header.colour]))


def _check_complete(header: Header, body: bytes) -> None:
    """Raises where the compressed stream ends early: decoders would leave the rest of the picture black."""
    bits = _CHANNELS.get(header.colour, 1) * header.depth
    passes = _ADAM7 if header.interlaced else ((0, 0, 1, 1),)
    expected = 0
    for x, y, across, down in passes:
        columns, rows = -((x - header.width) // across), -((y - header.height) // down)
        expected += rows * ((columns * bits + 7) // 8 + 1) if columns > 0 and rows > 0 else 0
    stream, found = zlib.decompressobj(), 0
    try:
        while body and found < expected and not stream.eof:
            found += len(stream.decompress(body, 1 << 20))
            body = stream.unconsumed_tail
    except zlib.error as error:
        raise SignalError(f"the PNG is damaged: its samples cannot be decompressed ({error}); copy or download it again") from error
    if found < expected:
        raise SignalError(f"the PNG is truncated: {found} of {expected} bytes of samples are there; copy or download it again")


def _with_key(codes: Codes, key: bytes, header: Header) -> Codes:
    """Adds the alpha channel that a transparent colour stands for."""
    channels = codes.shape[2]
    if len(key) < 2 * channels:
        return codes
    values = np.array(struct.unpack(f">{channels}H", key[: 2 * channels])) & (2**header.depth - 1)
    scale = 255 // (2**header.depth - 1) if header.depth < 8 else 1
    opaque = (codes != values * scale).any(axis=2)
    alpha = np.where(opaque, np.iinfo(codes.dtype).max, 0).astype(codes.dtype)
    return np.concatenate([codes, alpha[..., None]], axis=2)


def _texts(chunks: list[Chunk]) -> Iterator[tuple[bytes, bytes]]:
    """Keyword and text of tEXt, zTXt and iTXt (section 11.3.3)."""
    for kind, payload in chunks:
        keyword, _, rest = payload.partition(b"\0")
        if kind == b"tEXt":
            yield keyword, rest
        elif kind == b"zTXt":
            yield keyword, inflated(rest[1:]) or b""
        elif kind == b"iTXt" and len(rest) > 2:
            text = rest[2:].split(b"\0", 2)[-1]
            yield keyword, (inflated(text) or b"") if rest[0] else text


def _xmp(chunks: list[Chunk]) -> bytes | None:
    return next((text for keyword, text in _texts(chunks) if keyword == XMP_KEYWORD and text), None)


def _raw_exif(chunks: list[Chunk]) -> bytes | None:
    """Exif as ImageMagick's text: a name, a number of bytes, and as many in hexadecimal."""
    for keyword, text in _texts(chunks):
        words = text.split(None, 2)
        if keyword in _RAW_PROFILES and len(words) == 3:
            try:
                return bytes.fromhex(words[2].decode("ascii"))
            except ValueError:
                return None  # damaged text: it can say nothing
    return None
