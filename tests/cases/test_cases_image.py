"""What people's real pictures did to readers: variants that must be read, named or warned of, each with its right value."""

import io
import re
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from pictures import SRGB, noise, png, saved, written
from PIL import Image

from i2compress.errors import SignalError
from i2compress.media import Codes
from i2compress.media.image.decoded import Decoded
from i2compress.media.image.exif import directory
from i2compress.media.image.files import decode_picture
from i2compress.media.image.icc import is_srgb
from i2compress.media.image.png_write import chunk
from i2compress.signal import Metadata

COLOUR, DEEP = noise(20, 13, 3), noise(20, 13, 3, 16)
PICTURE = Image.fromarray(COLOUR)


def read(data: bytes) -> Decoded:
    """The picture, called x."""
    return decode_picture(data, "x")


def tiff(values: npt.NDArray[np.generic], **options: object) -> bytes:
    """The TIFF that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)  # type: ignore[arg-type]
    return file.getvalue()


def bmp(bits: int, compression: int, body: bytes, size: tuple[int, int], *, masks: tuple[int, ...] = (), palette: bytes = b"") -> bytes:
    """A BMP with a header of 40 bytes, or 108 where four masks need it."""
    header = 108 if len(masks) == 4 else 40
    fields = struct.pack("<IiiHHIIiiII", header, *size, 1, bits, compression, len(body), 0, 0, len(palette) // 4, 0)
    fields = (fields + struct.pack(f"<{len(masks)}I", *masks)).ljust(header, b"\0") + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(fields) + len(body), 0, 0, 14 + len(fields)) + fields + body


def uncounted(data: bytes) -> bytes:
    """A TIFF whose strips do not say how long they are."""
    changed, entry = bytearray(data), directory(data)[279]
    changed[entry.place : entry.place + 4] = bytes(4)
    return bytes(changed)


def deep_lzw(codes: Codes, *, planar: bool, predictor: int) -> bytes:
    """A 16-bit TIFF compressed by libtiff, every strip as the bytes of a gray picture."""
    planes = np.moveaxis(codes, -1, 0)[..., None] if planar else codes[None]
    height, width, channels = codes.shape
    strips = []
    for plane in planes:
        values = plane.copy()
        if predictor == 2:
            values[:, 1:] -= plane[:, :-1]
        rows = np.frombuffer(values.astype("<u2").tobytes(), np.uint8).reshape(height, -1)
        file = saved(Image.fromarray(rows), "TIFF", compression="tiff_lzw")
        with tifffile.TiffFile(io.BytesIO(file)) as read_back:
            page = read_back.pages.first
            assert len(page.dataoffsets) == 1
            strips.append(file[page.dataoffsets[0] : page.dataoffsets[0] + page.databytecounts[0]])
    body, places = b"", []
    for strip in strips:
        places.append(8 + len(body))
        body += strip + bytes(len(strip) % 2)
    entries = {256: (width,), 257: (height,), 258: (16,) * channels, 259: (5,), 262: (2,), 273: tuple(places), 277: (channels,)}
    entries |= {278: (height,), 279: tuple(map(len, strips)), 284: (2 if planar else 1,), 317: (predictor,)}
    table, behind, start = struct.pack("<H", len(entries)), b"", 8 + len(body)
    for tag, values in entries.items():
        data = struct.pack(f"<{len(values)}I", *values)
        if len(data) > 4:
            behind, data = behind + data, struct.pack("<I", start + 2 + 12 * len(entries) + 4 + len(behind))
        table += struct.pack("<HHI", tag, 4, len(values)) + data
    return b"II*\0" + struct.pack("<I", start) + body + table + bytes(4) + behind


@pytest.mark.parametrize("codes", [COLOUR, DEEP], ids=["8 bit", "16 bit"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"tile": (16, 16), "compression": "zlib", "predictor": True}])
def test_a_tiff_of_any_layout_is_read(codes: Codes, order: str, big: bool, options: dict[str, object]) -> None:
    data = tiff(codes, photometric="rgb", bigtiff=big, byteorder=order, **options)
    np.testing.assert_array_equal(read(data).codes, codes)
    planes = tiff(np.moveaxis(codes, -1, 0), photometric="rgb", planarconfig="separate", bigtiff=big, byteorder=order, **options)
    np.testing.assert_array_equal(read(planes).codes, codes)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("predictor", [1, 2])
def test_a_deep_colour_tiff_compressed_with_lzw_keeps_its_depth(planar: bool, predictor: int) -> None:
    np.testing.assert_array_equal(read(deep_lzw(DEEP, planar=planar, predictor=predictor)).codes, DEEP)


@pytest.mark.parametrize("order", "<>")
def test_a_bigtiff_keeps_its_profile_and_its_tags(order: str) -> None:
    tags = [(34675, 7, len(SRGB), SRGB, True), (315, 2, 5, "Anna", True)]
    found = read(tiff(COLOUR, photometric="rgb", bigtiff=True, byteorder=order, extratags=tags)).metadata
    assert found.icc == SRGB
    block = Image.Exif()
    block.load(found.exif or b"")
    assert block[315] == "Anna"


@pytest.mark.parametrize("codes", [COLOUR, DEEP], ids=["8 bit", "16 bit"])
def test_a_tiff_that_leaves_the_lengths_of_its_strips_open_is_read(codes: Codes) -> None:
    np.testing.assert_array_equal(read(uncounted(tiff(codes, photometric="rgb"))).codes, codes)


BITS = np.random.default_rng(5).integers(0, 2, (9, 11)).astype(bool)
RLE = [[[1, 2, 3], [0, 0, 0], [1, 2, 3]], [[1, 2, 3], [1, 2, 3], [0, 0, 0]]]
READ: dict[str, tuple[bytes, object]] = {
    "group 4 fax": (saved(Image.fromarray(BITS), "TIFF", compression="group4"), BITS[..., None] * 255),
    "Zstandard": (saved(PICTURE, "TIFF", compression="zstd"), COLOUR),
    "RLE8": (bmp(8, 1, bytes([2, 1, 1, 0, 0, 0, 0, 3, 1, 0, 1, 0, 0, 1]), (3, 2), palette=bytes([0, 0, 0, 0, 3, 2, 1, 0])), RLE),
    "16 bit 555": (bmp(16, 0, struct.pack("<2H", 0x7C00, 0x001F), (2, 1)), [[[255, 0, 0], [0, 0, 255]]]),
    "16 bit 565": (bmp(16, 3, struct.pack("<2H", 0xF800, 0x07E0), (2, 1), masks=(0xF800, 0x7E0, 0x1F)), [[[255, 0, 0], [0, 255, 0]]]),
    "32 bit alpha": (bmp(32, 3, bytes([1, 2, 3, 128]), (1, 1), masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)), [[[3, 2, 1, 128]]]),
    "32 bit": (bmp(32, 0, bytes([1, 2, 3, 0]), (1, 1)), [[[3, 2, 1]]]),
    "top-down": (bmp(24, 0, bytes([1, 2, 3, 0, 4, 5, 6, 0]), (1, -2)), [[[3, 2, 1]], [[6, 5, 4]]]),
    "interlaced GIF": (saved(PICTURE.quantize(200), "GIF", interlace=True), np.asarray(PICTURE.quantize(200).convert("RGB"))),
    "progressive JPEG": (saved(PICTURE, "JPEG", progressive=True), np.asarray(Image.open(io.BytesIO(saved(PICTURE, "JPEG", progressive=True))))),
    "huge text": (png(1, 1, 8, 0, b"\0\7", chunk(b"tEXt", b"k\0" + b"x" * 3_000_000)), [[[7]]]),
    "maxval 1000": (b"P5 2 1 1000 \3\xe8\1\xf4", [[[65535], [32768]]]),
    "comments": (b"P3 # a\n1 # b\n1\n# c\n255\n# d\n1 2 # e\n3\n", [[[1, 2, 3]]]),
    "QOI": (saved(PICTURE, "QOI", colorspace="sRGB"), COLOUR),
    "TGA": (saved(PICTURE, "TGA"), COLOUR),
    "TGA, packed": (saved(PICTURE, "TGA", compression="tga_rle"), COLOUR),
    "JPEG 2000": (saved(PICTURE, "JPEG2000"), COLOUR),
    "JPEG 2000, 16 bit": (saved(Image.fromarray(DEEP[..., 0]), "JPEG2000"), DEEP[..., :1]),
}


@pytest.mark.parametrize("name", READ)
def test_a_valid_variant_is_read_without_a_word(name: str) -> None:
    data, expected = READ[name]
    found = read(data)
    np.testing.assert_array_equal(found.codes, np.asarray(expected))
    assert found.notes == ()


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_alpha_is_kept_by_the_formats_that_are_only_read(channels: int) -> None:
    codes = noise(8, 9, channels)
    for form in ("TGA", "JPEG2000", *(("QOI",) if channels > 2 else ())):
        np.testing.assert_array_equal(read(saved(Image.fromarray(codes), form)).codes, codes)


def with_frame(marker: int, bits: int = 8) -> bytes:
    """A JPEG whose frame is said to be of another kind."""
    data = bytearray(saved(PICTURE, "JPEG"))
    at = data.find(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


def cgbi() -> bytes:
    """A PNG as Apple's tools change it."""
    data = saved(PICTURE, "PNG")
    return data[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + data[8:]


def jp2_of_bits(bits: int) -> bytes:
    """A JPEG 2000 whose header gives another depth."""
    data = bytearray(saved(PICTURE, "JPEG2000"))
    at = data.find(b"\xff\x4f\xff\x51") + 42
    data[at : at + 9 : 3] = bytes([bits - 1] * 3)
    return bytes(data)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "Apple's PNG": (cgbi, r"an Apple-optimised PNG \(CgBI\).* restore it first"),
    "12-bit JPEG": (lambda: with_frame(0xC1, 12), "a 12-bit JPEG; expected 8 bits"),
    "lossless JPEG": (lambda: with_frame(0xC3), "a lossless JPEG, which is not supported"),
    "JPEG-LS": (lambda: with_frame(0xF7), "a JPEG-LS picture, which is not supported"),
    "BMP around a JPEG": (lambda: bmp(24, 4, bytes(9), (1, 1)), "a wrapper around a JPEG picture"),
    "10-bit BMP": (lambda: bmp(32, 3, bytes(4), (1, 1), masks=(0x3FF00000, 0xFFC00, 0x3FF)), "of a variant that is not supported"),
    "float TIFF": (lambda: tiff(np.zeros((4, 4), np.float16)), "16-bit floating-point numbers; expected 8 or 16-bit"),
    "pages": (lambda: tiff(np.zeros((2, 4, 4), np.uint8), photometric="minisblack", bigtiff=True), "2 pages; expected one"),
    "DNG": (lambda: tiff(COLOUR, photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)]), "a DNG camera raw file.* develop it"),
    "12-bit JPEG 2000": (lambda: jp2_of_bits(12), "12-bit samples; expected 8 or 16-bit"),
    "plain PPMs": (lambda: b"P3 1 1 9 1 2 3\nP3 1 1 9 1 2 3\n", "several pictures"),
    "unknown PNG": (lambda: png(1, 1, 8, 0, b"\0\7", chunk(b"ABCD", b"")), "a chunk 'ABCD' that must be understood"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_named_and_not_called_damaged(name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(SignalError, match=words) as caught:
        read(data())
    assert "damaged" not in str(caught.value)


def mpf() -> bytes:
    """A JPEG that says that it is the first of two pictures."""
    block = b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\1\0\4\0\0\0\1\0\0\0\2\0\0\0\0"
    data = saved(PICTURE, "JPEG")
    return data[:2] + b"\xff\xe2" + struct.pack(">H", len(block) + 2) + block + data[2:]


WARNED: dict[str, tuple[bytes, str]] = {
    "PNG without its end": (saved(PICTURE, "PNG")[:-12], "ends without its IEND chunk; all samples are there"),
    "behind a PNG": (saved(PICTURE, "PNG") + b"hello", "5 bytes follow the end of the PNG"),
    "behind a JPEG": (saved(PICTURE, "JPEG") + b"hello", "5 bytes follow the end of the picture"),
    "behind a PPM": (b"P6 1 1 255\nabcdefgh", "5 bytes follow the end"),
    "behind a plain PPM": (b"P3 1 1 9 1 2 3 4 5", "3 bytes follow the end"),
    "motion photo": (saved(PICTURE, "JPEG") + b"\0\0\0\x18ftypmp42" + bytes(8) + b"moov", "A video follows the picture"),
    "two pictures": (mpf(), "holds 2 pictures .*only the first was read"),
    "linear QOI": (saved(PICTURE, "QOI"), "says that its values are linear light, which was not applied"),
    "calibration": (png(1, 1, 8, 0, b"\0\7", chunk(b"pCAL", b"x")), r"how its values are calibrated \(pCAL\), which is not kept"),
    "gray response": (tiff(COLOUR[..., 0], photometric="minisblack", extratags=[(291, 3, 256, [0] * 256, True)]), "GrayResponseCurve"),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_is_left_out_is_said_once_in_a_sentence(name: str) -> None:
    data, words = WARNED[name]
    notes = read(data).notes
    assert len(notes) == 1
    assert notes[0].endswith(".")
    assert re.search(words, notes[0])


def test_a_profile_beyond_the_end_of_a_tiff_is_warned_of() -> None:
    data = bytearray(written(COLOUR, "tiff", Metadata(icc=SRGB)))
    at = data.rfind(struct.pack("<HHI", 34675, 7, len(SRGB))) + 8
    data[at : at + 4] = struct.pack("<I", 2**31)
    found = read(bytes(data))
    np.testing.assert_array_equal(found.codes, COLOUR)
    assert found.notes == ("The TIFF's tags 34675 point beyond its end, so that they were left out.",)


def test_a_png_without_its_end_whose_samples_are_not_all_there_is_truncated() -> None:
    data = png(1, 2, 8, 0, b"\0\7")
    with pytest.raises(SignalError, match="truncated: 2 of 4 bytes of samples"):
        read(data[:-12])


def test_the_srgb_of_littlecms_is_srgb() -> None:
    assert is_srgb(SRGB)
