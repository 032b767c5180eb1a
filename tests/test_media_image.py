"""Pictures as people have them come in at their own depth and go out bit for bit."""

import io
import struct
import tracemalloc
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import COFFEE, SIZES, codes_of, noise, png, saved, written
from PIL import Image

from i2compress import media
from i2compress.errors import SignalError
from i2compress.kinds import Kind
from i2compress.media.image.png_write import chunk
from i2compress.signal import Layout


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("form", ["png", "tiff", "pam"])
def test_formats_with_every_depth_and_alpha_come_back_bit_for_bit(form: str, depth: int, channels: int, size: tuple[int, int]) -> None:
    codes = noise(*size, channels, depth)
    back = codes_of(written(codes, form))
    assert back.dtype == codes.dtype
    np.testing.assert_array_equal(back, codes)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("form", "depth"), [("pnm", 8), ("pnm", 16), ("bmp", 8)])
def test_formats_without_alpha_come_back_bit_for_bit(form: str, depth: int, channels: int, size: tuple[int, int]) -> None:
    codes = noise(*size, channels, depth)
    np.testing.assert_array_equal(codes_of(written(codes, form)), codes)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_webp_is_lossless_with_colours_under_full_transparency(channels: int) -> None:
    codes = noise(9, 14, channels)
    back = codes_of(written(codes, "webp"))
    expected = codes if channels >= 3 else np.concatenate([codes[..., :1]] * 3 + [codes[..., 1:]], axis=2)
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_close(channels: int) -> None:
    codes = codes_of(COFFEE)[..., :channels]
    back = codes_of(written(codes, "jpeg"))
    assert back.shape == codes.shape
    assert np.abs(back.astype(float) - codes).mean() < 2.5


@pytest.mark.parametrize("form", ["bmp", "webp"])
def test_sixteen_bits_are_rounded_where_a_format_has_eight(form: str) -> None:
    codes = noise(20, 30, 3, 16)
    np.testing.assert_array_equal(codes_of(written(codes, form)), np.floor(codes / 257 + 0.5))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.sampled_from([8, 16]), st.integers(1, 41))
def test_a_png_does_not_depend_on_how_its_rows_are_divided(height: int, width: int, channels: int, depth: int, step: int) -> None:
    codes = noise(height, width, channels, depth)
    assert written(codes, "png", step=step) == written(codes, "png", step=height)


@pytest.mark.parametrize("form", ["tiff", "pam", "jpeg", "webp"])
def test_bands_make_the_same_file_as_the_whole(form: str) -> None:
    codes = noise(23, 9, 3)
    assert written(codes, form, step=4) == written(codes, form, step=23)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_pillow_and_tifffile_read_what_is_written(depth: int, channels: int) -> None:
    codes = noise(40, 33, channels, depth)
    with Image.open(io.BytesIO(written(codes, "png"))) as picture:
        picture.load()
        if depth == 8:
            np.testing.assert_array_equal(np.asarray(picture).reshape(codes.shape), codes)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(written(codes, "tiff"))).reshape(codes.shape), codes)


@pytest.mark.parametrize("form", ["png", "tiff", "pam"])
def test_the_memory_of_a_streamed_writer_does_not_grow_with_the_height(form: str) -> None:
    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(memoryview(data))  # type: ignore[arg-type]

    def peak(height: int) -> int:
        band = noise(64, 512, 3)
        tracemalloc.start()
        with media.open_writer(cast(BinaryIO, Nowhere()), Layout(kind=Kind.IMAGE, grid=(height, 512), channels=3), format=form) as writer:
            for _ in range(height // 64):
                writer.write(band)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(64)
    assert peak(4096) < peak(256) + 200_000


def test_the_example_photograph_is_read() -> None:
    signal = media.read(COFFEE)
    assert (signal.values.shape, signal.bit_depth, signal.kind) == ((256, 384, 3), 8, Kind.IMAGE)
    assert signal.values.dtype == np.float32
    np.testing.assert_array_equal(codes_of(COFFEE), np.asarray(Image.open(COFFEE)))


def test_paths_bytes_and_streams_read_the_same() -> None:
    data = COFFEE.read_bytes()
    for source in (str(COFFEE), data, io.BytesIO(data)):
        np.testing.assert_array_equal(media.read(source).values, media.read(COFFEE).values)


def test_the_content_counts_and_not_the_extension(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(COFFEE.read_bytes())
    assert media.read(tmp_path / "photo.jpg").grid == (256, 384)


@pytest.mark.parametrize(
    ("form", "transparent"),
    [("PNG", None), ("PNG", 2), ("PNG", b"\0\x80\xff"), ("GIF", None), ("GIF", 2), ("BMP", None), ("TIFF", None)],
)
def test_palettes_become_colours(form: str, transparent: int | bytes | None) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30]], np.uint8)
    index = np.random.default_rng(0).integers(0, 3, (5, 6)).astype(np.uint8)
    picture = Image.frombytes("P", (6, 5), index.tobytes())
    picture.putpalette(colours.tobytes())
    data = saved(picture, form) if transparent is None else saved(picture, form, transparency=transparent)
    expected = colours[index]
    if transparent is not None:
        alpha = np.array([0, 0x80, 255] if isinstance(transparent, bytes) else [255, 255, 0], np.uint8)
        expected = np.concatenate([expected, alpha[index][..., None]], axis=2)
    np.testing.assert_array_equal(codes_of(data), expected)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_one_bit_becomes_gray(form: str) -> None:
    bits = np.random.default_rng(1).integers(0, 2, (9, 11)).astype(bool)
    back = codes_of(saved(Image.fromarray(bits), form))
    np.testing.assert_array_equal(back[..., 0], bits * 255)


@pytest.mark.parametrize(("depth", "value"), [(1, 1), (2, 2), (4, 11)])
def test_a_transparent_gray_of_few_bits_becomes_alpha(depth: int, value: int) -> None:
    row = int("".join(f"{v:0{depth}b}" for v in (0, value)).ljust(8, "0"), 2)
    back = codes_of(png(2, 1, depth, 0, bytes([0, row]), chunk(b"tRNS", struct.pack(">H", value))))
    np.testing.assert_array_equal(back, [[[0, 255], [value * 255 // (2**depth - 1), 0]]])


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3)])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_becomes_alpha(depth: int, colour: int, channels: int) -> None:
    key, other = [200] * channels, [200] * (channels - 1) + [201]
    letter = "B" if depth == 8 else "H"
    raw = b"\0" + struct.pack(f">{2 * channels}{letter}", *key, *other)
    back = codes_of(png(2, 1, depth, colour, raw, chunk(b"tRNS", struct.pack(f">{channels}H", *key))))
    np.testing.assert_array_equal(back, [[[*key, 0], [*other, 2**depth - 1]]])


@pytest.mark.parametrize(("size", "passes"), [((1, 1), 1), ((5, 3), 0)])
def test_an_interlaced_deep_png_is_read_whole_or_refused(size: tuple[int, int], passes: int) -> None:
    width, height = size
    if passes:
        data = png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 1, 2, 65535), interlace=1)
        np.testing.assert_array_equal(codes_of(data), [[[1, 2, 65535]]])
    else:
        with pytest.raises(SignalError, match="truncated"):
            media.read(png(width, height, 16, 2, b"\0" * 20, interlace=1))


@pytest.mark.parametrize("order", [np.dtype("<u2"), np.dtype(">u2")])
@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_deep_tiffs_keep_their_depth(order: np.dtype[np.uint16], compression: str | None, planar: str) -> None:
    codes = noise(11, 7, 3, 16)
    file = io.BytesIO()
    stored = codes if planar == "contig" else np.moveaxis(codes, -1, 0)
    tifffile.imwrite(file, stored.astype(order), photometric="rgb", planarconfig=planar, compression=compression)
    np.testing.assert_array_equal(codes_of(file.getvalue()), codes)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_deep_gray_tiffs_of_every_usual_compression_are_read(compression: str) -> None:
    codes = noise(40, 33, 1, 16)
    data = saved(Image.fromarray(codes[..., 0]), "TIFF", compression=compression)
    np.testing.assert_array_equal(codes_of(data), codes)


def test_a_tiff_whose_zero_is_white_is_turned_around() -> None:
    for dtype in (np.uint8, np.uint16):
        file = io.BytesIO()
        codes = noise(4, 5, 1, 8 * np.dtype(dtype).itemsize)
        tifffile.imwrite(file, codes[..., 0], photometric="miniswhite")
        np.testing.assert_array_equal(codes_of(file.getvalue()), np.iinfo(dtype).max - codes)


def test_premultiplied_alpha_is_made_straight() -> None:
    file = io.BytesIO()
    stored = np.array([[[10000, 0, 30000, 30000], [0, 0, 0, 0], [1, 2, 3, 65535]]], np.uint16)
    tifffile.imwrite(file, stored, photometric="rgb", extrasamples=["assocalpha"])
    np.testing.assert_array_equal(codes_of(file.getvalue()), [[[21845, 0, 65535, 30000], [0, 0, 0, 0], [1, 2, 3, 65535]]])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"P1\n# a comment\n3 1\n1 0\n1", [[[0], [255], [0]]]),
        (b"P1 3 1 101", [[[0], [255], [0]]]),
        (b"P2\n2 1 # two\n15\n0 15\n", [[[0], [255]]]),
        (b"P3 1 1 65535 1 2 65535", [[[1, 2, 65535]]]),
        (b"P4\n9 1\n\x80\x80", [[[0], *[[255]] * 7, [0]]]),
        (b"P5 2 1 1\n\0\1", [[[0], [255]]]),
        (b"P5 2 1 1023\n\0\0\3\xff", [[[0], [65535]]]),
        (b"P5 2 1 100\n\x32\xff", [[[128], [255]]]),
        (b"P6 1 1 65535\n\0\1\0\2\xff\xff", [[[1, 2, 65535]]]),
        (b"P7\n# c\nWIDTH 2\nHEIGHT 1\n\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n\1\2\3\4", [[[1, 2], [3, 4]]]),
        (b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 1\nTUPLTYPE BLACKANDWHITE\nENDHDR\n\0\1", [[[0], [255]]]),
    ],
)
def test_every_kind_of_pnm_is_read(data: bytes, expected: list[list[list[int]]]) -> None:
    np.testing.assert_array_equal(codes_of(data), expected)
