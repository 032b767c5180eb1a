"""Small pictures that the tests of media are made of."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from i2compress import media
from i2compress.kinds import Kind
from i2compress.media import Codes
from i2compress.media.image.png_write import chunk
from i2compress.signal import Layout, Metadata, to_codes

COFFEE = Path(__file__).parent / "media" / "coffee.png"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY = SRGB[:16] + b"GRAY" + SRGB[20:]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
SIZES = [(1, 1), (1, 5), (7, 1), (3, 2), (13, 17), (31, 64)]


def noise(height: int, width: int, channels: int, depth: int = 8) -> Codes:
    """Random code values `[H, W, C]`, the upper half smooth, so that every PNG filter has its rows."""
    codes = np.random.default_rng(height * width + channels).integers(0, 2**depth, (height, width, channels))
    codes[: height // 2] = np.arange(width)[:, None] * (2**depth // 97) % 2**depth
    return codes.astype(np.uint8) if depth == 8 else codes.astype(np.uint16)


def layout_of(codes: Codes) -> Layout:
    """The layout of a picture of those code values."""
    return Layout(kind=Kind.IMAGE, grid=codes.shape[:2], channels=codes.shape[2], bit_depth=8 * codes.dtype.itemsize)


def written(codes: Codes, form: str, metadata: Metadata | None = None, *, step: int = 5) -> bytes:
    """The file of that format, written `step` rows at a time."""
    file = io.BytesIO()
    with media.open_writer(file, layout_of(codes), format=form, metadata=metadata) as writer:
        for start in range(0, len(codes), step):
            writer.write(codes[start : start + step])
    return file.getvalue()


def codes_of(data: bytes | Path) -> Codes:
    """The code values that are read."""
    signal = media.read(data)
    return to_codes(signal.values, signal.bit_depth)


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    """The picture as Pillow writes it."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def exif_block(orientation: int, *, order: str = "<") -> bytes:
    """An Exif block with a maker's name, an orientation and an exposure time."""
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", orientation
    exif.get_ifd(0x8769)[33434] = 0.01
    exif.endian = order
    return exif.tobytes().removeprefix(b"Exif\0\0")


def png(width: int, height: int, depth: int, colour: int, raw: bytes, *extra: bytes, interlace: int = 0) -> bytes:
    """A PNG made by hand."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
