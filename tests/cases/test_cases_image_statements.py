"""What a picture says about its values (orientation, colours) is applied, carried or warned of."""

import io
import re
import struct
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from pictures import GRAY, SRGB, exif_block, noise, png, saved, written
from PIL import Image, ImageCms

from i2compress.media.image.decoded import Decoded
from i2compress.media.image.files import decode_picture
from i2compress.media.image.metadata import icc_space
from i2compress.media.image.png_write import chunk
from i2compress.signal import Metadata

SIDE = noise(6, 9, 3)
P3_TO_SRGB = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])  # of linear light (CSS Color 4)


def read(data: bytes) -> Decoded:
    """The picture, called x."""
    return decode_picture(data, "x")


def srgb(codes: npt.ArrayLike, icc: bytes | None) -> npt.NDArray[np.int64]:
    """What LittleCMS makes of code values in a profile: those of sRGB."""
    assert icc is not None
    picture = Image.fromarray(np.asarray(codes, np.uint8))
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(picture, source, target, ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB")
    return np.asarray(shown).astype(np.int64)


def to_light(codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Light of sRGB's code values (IEC 61966-2-1)."""
    values = np.asarray(codes) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def from_light(light: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The way back, clipped to what a screen shows."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def turned(codes: npt.NDArray[np.generic], how: int) -> npt.NDArray[np.generic]:
    """Orientation by what Exif says of the first row and column, in another way than the reader's."""
    steps: dict[int, Callable[[npt.NDArray[np.generic]], npt.NDArray[np.generic]]] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.rot90(np.fliplr(a)),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(np.fliplr(a), -1),
        8: np.rot90,
    }
    return steps[how](codes)


@pytest.mark.parametrize("how", range(1, 9))
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_of_any_depth_is_turned_once(how: int, order: str, depth: int, big: bool) -> None:
    codes, file = noise(6, 9, 3, depth), io.BytesIO()
    tifffile.imwrite(file, codes, photometric="rgb", byteorder=order, bigtiff=big, extratags=[(274, 3, 1, how, True)])  # type: ignore[arg-type]
    found = read(file.getvalue())
    np.testing.assert_array_equal(found.codes, turned(codes, how))
    np.testing.assert_array_equal(read(written(found.codes, "tiff", found.metadata)).codes, found.codes)


@pytest.mark.parametrize("how", range(1, 9))
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("form", ["PNG", "deep PNG", "JPEG", "WEBP", "AVIF"])
def test_a_picture_with_exif_is_turned_once(form: str, order: str, how: int) -> None:
    block = exif_block(how, order=order)
    if form == "deep PNG":
        plain, data = noise(6, 9, 3, 16), written(noise(6, 9, 3, 16), "png", Metadata(exif=block))
    else:
        options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(form, {})
        data = saved(Image.fromarray(SIDE), form, exif=b"Exif\0\0" + block, **options)
        plain = np.asarray(Image.open(io.BytesIO(saved(Image.fromarray(SIDE), form, **options))).convert("RGB"))
    found = read(data)
    np.testing.assert_array_equal(found.codes, turned(plain, how))
    np.testing.assert_array_equal(read(written(found.codes, "png", found.metadata)).codes, found.codes)


def test_an_orientation_that_only_xmp_states_is_applied_once() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    found = read(written(SIDE, "png", Metadata(xmp=xmp)))
    np.testing.assert_array_equal(found.codes, turned(SIDE, 6))
    assert found.metadata.xmp == xmp.replace(b'"6"', b'"1"')


def test_the_exif_that_imagemagick_writes_as_text_is_found() -> None:
    block = b"Exif\0\0" + exif_block(6)
    text = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n")
    data = written(SIDE, "png")
    np.testing.assert_array_equal(read(data[:33] + chunk(b"zTXt", text) + data[33:]).codes, turned(SIDE, 6))


GAMA = {name: chunk(b"gAMA", struct.pack(">I", value)) for name, value in (("linear", 100000), ("usual", 45455), ("1.8", 55556), ("none", 0))}
CHRM_SRGB = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
CHRM_P3 = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
CICP_P3, CICP_709, CICP_SRGB, CICP_LINEAR = (chunk(b"cICP", bytes(code)) for code in ((12, 13, 0, 1), (1, 1, 0, 1), (1, 13, 0, 1), (1, 8, 0, 1)))
SRGB_CHUNK = chunk(b"sRGB", b"\0")
VALUES = [200, 100, 50]


def stated(*chunks: bytes, gray: bool = False) -> Decoded:
    """A PNG of one sample with these chunks."""
    return read(png(1, 1, 8, 0 if gray else 2, b"\0" + bytes(VALUES[:1] if gray else VALUES), *chunks))


LINEAR = from_light(np.array(VALUES) / 255)
FROM_P3 = from_light(P3_TO_SRGB @ to_light(VALUES))
FROM_P3_LINEAR = from_light(P3_TO_SRGB @ (np.array(VALUES) / 255))
FROM_709 = from_light(((np.array(VALUES) / 255 + 0.0993) / 1.0993) ** (1 / 0.45))
EXPECTED = [
    ((GAMA["linear"],), LINEAR),
    ((GAMA["linear"], CHRM_SRGB), LINEAR),
    ((GAMA["1.8"],), from_light((np.array(VALUES) / 255) ** 1.8)),
    ((GAMA["linear"], CHRM_P3), FROM_P3_LINEAR),
    ((CHRM_P3,), FROM_P3),
    ((CICP_P3,), FROM_P3),
    ((CICP_709,), FROM_709),
    ((CICP_LINEAR,), LINEAR),
    ((CICP_P3, SRGB_CHUNK, GAMA["usual"]), FROM_P3),
    ((CICP_P3, chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB))), FROM_P3),
]


@pytest.mark.parametrize(("chunks", "expected"), EXPECTED)
def test_colours_that_a_png_states_become_a_profile(chunks: tuple[bytes, ...], expected: npt.NDArray[np.float64]) -> None:
    found = stated(*chunks)
    assert found.notes == ()
    assert found.codes.tolist() == [[VALUES]]
    np.testing.assert_allclose(srgb(found.codes, found.metadata.icc)[0, 0], expected, atol=2)
    back = read(written(found.codes, "png", found.metadata))
    assert back.metadata.icc == found.metadata.icc


@pytest.mark.parametrize("chunks", [(GAMA["usual"],), (GAMA["usual"], CHRM_SRGB), (SRGB_CHUNK, GAMA["linear"], CHRM_P3), (CICP_SRGB, GAMA["linear"])])
def test_what_means_srgb_needs_no_profile(chunks: tuple[bytes, ...]) -> None:
    for gray in (False, True):
        found = stated(*chunks, gray=gray)
        assert (found.metadata.icc, found.notes) == (None, ())


@pytest.mark.parametrize("chunks", [(GAMA["linear"],), (CICP_LINEAR,), (GAMA["linear"], CHRM_P3)])
def test_a_gray_picture_gets_a_gray_profile(chunks: tuple[bytes, ...]) -> None:
    found = stated(*chunks, gray=True)
    assert icc_space(found.metadata.icc) == "GRAY"
    np.testing.assert_allclose(srgb(found.codes[..., 0], found.metadata.icc)[0, 0], LINEAR[:1].repeat(3), atol=2)


ADOBE = stated(GAMA["linear"], CHRM_P3).metadata.icc or b""
NOTED = [
    ((GAMA["none"],), False, "gAMA chunk makes no sense"),
    ((chunk(b"cHRM", bytes(32)),), False, "make no sense"),
    ((chunk(b"cICP", bytes((1, 9, 0, 1))),), False, "transfer 9 .* not applied"),
    ((chunk(b"cICP", bytes((1, 13, 0, 0))),), False, "narrow range"),
    ((chunk(b"iCCP", b"x\0\0" + zlib.compress(ADOBE)), SRGB_CHUNK), False, "the profile was kept"),
    ((chunk(b"iCCP", b"x\0\0damaged"),), False, "ICC profile is damaged"),
    ((chunk(b"iCCP", b"x\0\0" + zlib.compress(ADOBE)),), True, "is gray and its ICC profile is for RGB"),
    ((chunk(b"iCCP", b"x\0\0" + zlib.compress(GRAY)),), False, "is RGB and its ICC profile is for GRAY"),
]


@pytest.mark.parametrize(("chunks", "gray", "words"), NOTED)
def test_colours_that_cannot_be_kept_are_warned_of(chunks: tuple[bytes, ...], gray: bool, words: str) -> None:
    notes = stated(*chunks, gray=gray).notes
    assert len(notes) == 1
    assert re.search(words, notes[0])


def test_the_profile_of_a_png_has_precedence_over_srgb_and_gamma() -> None:
    packed = chunk(b"iCCP", b"x\0\0" + zlib.compress(ADOBE))
    assert stated(packed, SRGB_CHUNK, GAMA["usual"]).metadata.icc == ADOBE
    assert stated(packed, GAMA["usual"]).notes == ()
    assert stated(chunk(b"iCCP", b"x\0\0damaged"), CHRM_P3).metadata.icc is not None  # the next in the order counts


def test_a_tiff_that_states_its_colours_gets_a_profile() -> None:
    p3 = [(318, 5, 2, (3127, 10000, 329, 1000), True), (319, 5, 6, (68, 100, 32, 100, 265, 1000, 69, 100, 15, 100, 6, 100), True)]
    linear = (301, 3, 256, [i * 257 for i in range(256)], True)
    codes = np.array([[VALUES]], np.uint8)
    for tags, expected in (([*p3, linear], FROM_P3_LINEAR), ([linear], LINEAR), (p3, from_light(P3_TO_SRGB @ (np.array(VALUES) / 255) ** 2.2))):
        file = io.BytesIO()
        tifffile.imwrite(file, codes, photometric="rgb", extratags=tags)  # type: ignore[arg-type]
        np.testing.assert_allclose(srgb(codes, read(file.getvalue()).metadata.icc)[0, 0], expected, atol=2)


def bmp5(kind: bytes, *, gamma: float = 0, profile: bytes = b"") -> bytes:
    """A BMP of version 5 and one sample, whose colours are said in one way or another."""
    ends = [round(value * 2**30) for value in (0.64, 0.33, 0.03, 0.30, 0.60, 0.10, 0.15, 0.06, 0.79)]
    header = struct.pack("<IiiHHIIiiII", 124, 1, 1, 1, 24, 0, 4, 11811, 5906, 0, 0) + bytes(16) + kind[::-1]
    header += struct.pack("<9i3I", *ends, *[round(gamma * 65536)] * 3) + struct.pack("<4I", 4, 128, len(profile), 0)
    return b"BM" + struct.pack("<IHHI", 142 + len(profile), 0, 0, 138) + header + bytes([*VALUES[::-1], 0]) + profile


def test_a_bmp_that_states_its_colours_gets_a_profile() -> None:
    assert read(bmp5(b"MBED", profile=ADOBE)).metadata.icc == ADOBE
    assert read(bmp5(b"sRGB")).metadata.icc is None
    linear = read(bmp5(bytes(4), gamma=1))
    np.testing.assert_allclose(srgb(linear.codes, linear.metadata.icc)[0, 0], LINEAR, atol=2)
    assert read(bmp5(bytes(4), gamma=2.2)).metadata.icc is None
    assert "in another file" in read(bmp5(b"LINK")).notes[0]


def test_adobe_rgb_that_only_exif_states_becomes_a_profile() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    found = read(saved(Image.fromarray(np.full((8, 8, 3), 128, np.uint8)), "JPEG", exif=exif))
    green = srgb([[[0, 255, 0]]], found.metadata.icc)[0, 0]
    assert green.tolist() == [0, 255, 0]  # outside of sRGB, and so clipped
    assert srgb([[[200, 100, 50]]], found.metadata.icc)[0, 0, 0] > 212
