"""JPEG 2000, AVIF, JPEG XL, TGA and GIF: depth, colours, orientation and density beside the samples that a library gives."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from pictures import SRGB, exif_block, noise, saved
from PIL import Image

from i2compress.errors import SignalError
from i2compress.media import Codes
from i2compress.media.image.boxes import boxes, of_avif
from i2compress.media.image.density import density_of
from i2compress.media.image.files import decode_picture
from i2compress.media.image.jxl import jxl_header

COLOUR, XMP = noise(12, 10, 3), b"<x:xmpmeta/>"
PICTURE = Image.fromarray(COLOUR)


def box(kind: bytes, payload: bytes) -> bytes:
    """One box."""
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def deep_jp2(codes: Codes) -> bytes:
    """A lossless JPEG 2000 of 16 bits, by FFmpeg."""
    height, width, channels = codes.shape
    form = {1: "gray16le", 2: "ya16le", 3: "rgb48le", 4: "rgba64le"}[channels]
    encoder = av.CodecContext.create("jpeg2000", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, form, Fraction(1)
    encoder.options = {"pred": "dwt53"}
    frame = av.VideoFrame(width, height, form)
    frame.pts, plane = 0, frame.planes[0]
    rows = np.zeros((plane.buffer_size // plane.line_size, plane.line_size // 2), np.uint16)
    rows[:height, : width * channels] = codes.reshape(height, -1)
    plane.update(rows.tobytes())
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_deep_jpeg_2000_keeps_its_depth(channels: int) -> None:
    codes = noise(20, 24, channels, 16)
    found = decode_picture(deep_jp2(codes), "x").codes
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, codes)


def with_boxes(colr: bytes, *behind: bytes, inside: bytes = b"") -> bytes:
    """A JPEG 2000 with another colr box and more boxes."""
    parts = []
    for kind, payload in list(boxes(saved(PICTURE, "JPEG2000"))):
        if kind == b"jp2h":
            payload = b"".join(box(k, colr if k == b"colr" else p) for k, p in boxes(payload)) + inside
        if kind == b"jp2c":
            parts += behind
        parts.append(box(kind, payload))
    return b"".join(parts)


def test_the_boxes_of_a_jpeg_2000_are_kept() -> None:
    uuids = (bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP, b"JpgTiffExif->JP2" + exif_block(6))
    density = box(b"res ", box(b"resd", struct.pack(">4H2b", 5906, 1, 11811, 1, 0, 0)))
    found = decode_picture(with_boxes(b"\2\0\0" + SRGB, *(box(b"uuid", uuid) for uuid in uuids), inside=density), "x")
    np.testing.assert_array_equal(found.codes, np.rot90(COLOUR, -1))
    assert (found.metadata.icc, found.metadata.xmp, found.notes) == (SRGB, XMP, ())
    value = density_of(found.metadata.exif)
    assert value is not None
    assert value.per_metre == (5906, 11811)  # turned with the picture


def test_colours_of_a_jpeg_2000_that_are_not_known_are_warned_of() -> None:
    assert decode_picture(with_boxes(b"\1\0\0\0\0\0\x10"), "x").notes == ()
    assert "colour space 21, which is not known" in decode_picture(with_boxes(b"\1\0\0\0\0\0\x15"), "x").notes[0]


def avif(primaries: int, transfer: int) -> bytes:
    """An AVIF that states these code points."""
    data = bytearray(saved(PICTURE, "AVIF", quality=100))
    at = data.find(b"colrnclx") + 8
    data[at : at + 4] = struct.pack(">2H", primaries, transfer)
    return bytes(data)


def test_the_code_points_of_an_avif_become_a_profile() -> None:
    assert decode_picture(avif(1, 13), "x").metadata.icc is None
    assert b"D\0i\0s\0p\0l\0a\0y\0 \0P\x003" in (decode_picture(avif(12, 13), "x").metadata.icc or b"")
    assert "primaries 10 and transfer 17" in decode_picture(avif(10, 17), "x").notes[0]
    with pytest.raises(SignalError, match=r"HDR \(PQ transfer\)"):
        decode_picture(avif(9, 16), "x")


def test_an_avif_of_more_bits_is_warned_of() -> None:
    data = bytearray(saved(PICTURE, "AVIF"))
    at = data.find(b"pixi") + 8
    assert data[at : at + 4] == b"\3\x08\x08\x08"
    data[at + 1 : at + 4] = b"\x0a" * 3
    assert "10-bit samples, which were reduced to 8 bits" in of_avif(bytes(data)).notes[0]


def test_a_jpeg_xl_is_read_where_its_plugin_is_there() -> None:
    pytest.importorskip("pillow_jxl")
    data = saved(PICTURE, "JXL", lossless=True, exif=b"Exif\0\0" + exif_block(6))
    found = decode_picture(data, "x")
    np.testing.assert_array_equal(found.codes, COLOUR)  # Exif's orientation does not count in JPEG XL
    assert "does not count in JPEG XL" in found.notes[0]
    deep = noise(12, 10, 1, 16)
    np.testing.assert_array_equal(decode_picture(saved(Image.fromarray(deep[..., 0]), "JXL", lossless=True), "x").codes, deep)


def bits(*fields: tuple[int, int]) -> bytes:
    """Numbers and their lengths, from the lowest bit on, behind the signature of a codestream."""
    value, size = 0, 0
    for number, length in fields:
        value, size = value | number << size, size + length
    return b"\xff\x0a" + value.to_bytes(size // 8 + 8, "little")


SMALL = ((1, 1), (3, 5), (1, 3))  # 32 rows, and as many columns


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (((1, 1),), (8, False, 1, False)),
        (((0, 1), (0, 1), (0, 1), (1, 2)), (10, False, 1, False)),
        (((0, 1), (0, 1), (0, 1), (3, 2), (15, 6)), (16, False, 1, False)),
        (((0, 1), (0, 1), (1, 1), (1, 2)), (16, True, 1, False)),
        (((0, 1), (1, 1), (5, 3), (0, 1), (0, 1), (0, 1), (0, 1), (0, 2)), (8, False, 6, False)),
        (((0, 1), (1, 1), (0, 3), (1, 1), *SMALL, (0, 1), (1, 1)), (8, False, 1, True)),
    ],
)
def test_the_header_of_a_jpeg_xl_says_its_depth_and_orientation(fields: tuple[tuple[int, int], ...], expected: tuple[object, ...]) -> None:
    header = jxl_header(bits(*SMALL, *fields))
    assert (header.bits, header.floating, header.orientation, header.animated) == expected


def test_the_extension_of_a_tga_is_read() -> None:
    plain = saved(PICTURE, "TGA")[: 18 + COLOUR.size]
    area = bytearray(495)
    struct.pack_into("<H", area, 0, 495)
    struct.pack_into("<4H", area, 474, 2, 1, 22, 10)
    area[494] = 4
    footer = struct.pack("<II", len(plain), 0) + b"TRUEVISION-XFILE.\0"
    found = decode_picture(plain + bytes(area) + footer, "x")
    np.testing.assert_array_equal(found.codes, COLOUR)
    assert [note.split(",")[0] for note in found.notes] == ["The TGA states gamma 2.2", "The TGA states that its colours are multiplied by alpha"]
    value = density_of(found.metadata.exif)
    assert value is not None
    assert value.y / value.x == 2  # a sample is twice as wide as high


def test_the_profile_and_aspect_ratio_of_a_gif_are_kept() -> None:
    data = bytearray(saved(PICTURE.quantize(16), "GIF"))
    data[12] = 113  # (113 + 15) / 64: a sample is twice as wide as high
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    blocks = b"".join(bytes([len(part)]) + part for part in (SRGB[start : start + 255] for start in range(0, len(SRGB), 255)))
    found = decode_picture(bytes(data[:at]) + b"\x21\xff\x0bICCRGBG1012" + blocks + b"\0" + bytes(data[at:]), "x")
    assert found.metadata.icc == SRGB
    value = density_of(found.metadata.exif)
    assert value is not None
    assert value.y / value.x == 2


def test_a_picture_of_another_kind_of_samples_is_refused_by_name() -> None:
    cmyk = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(cmyk, "JPEG2000")
    with pytest.raises(SignalError, match="holds CMYK samples; expected gray or RGB"):
        decode_picture(cmyk.getvalue(), "x")
