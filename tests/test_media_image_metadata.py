"""Orientation is applied once; profiles, Exif and XMP come back."""

import io
import zlib

import numpy as np
import pytest
from pictures import COFFEE, GRAY, SRGB, XMP, codes_of, exif_block, noise, saved, written
from PIL import Image

from i2compress import media
from i2compress.media.image.png_write import chunk
from i2compress.signal import Metadata, to_codes


@pytest.mark.parametrize("how", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_orientation_is_applied_and_then_set_to_one(how: int, order: str) -> None:
    codes = codes_of(COFFEE)[:40, :56]
    names = [None, None, "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"]
    block = exif_block(how, order=order)
    for form in ("PNG", "JPEG", "WEBP"):
        data = saved(Image.fromarray(codes), form, exif=b"Exif\0\0" + block, xmp=XMP, **({"lossless": True} if form == "WEBP" else {}))
        plain = Image.open(io.BytesIO(data)).convert("RGB")
        name = names[how]
        upright = plain if name is None else plain.transpose(Image.Transpose[name])
        signal = media.read(data)
        np.testing.assert_array_equal(to_codes(signal.values, 8), np.asarray(upright))
        assert signal.metadata.exif == exif_block(1, order=order)


def test_a_turned_picture_does_not_keep_the_old_orientation_in_its_xmp() -> None:
    data = saved(Image.fromarray(noise(4, 6, 3)), "JPEG", exif=b"Exif\0\0" + exif_block(6), xmp=XMP)
    assert media.read(data).metadata.xmp == XMP.replace(b'"6"', b'"1"')


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_metadata_come_back_byte_for_byte(form: str) -> None:
    metadata = Metadata(icc=SRGB, exif=exif_block(1), xmp=XMP)
    assert media.read(written(noise(5, 5, 3), form, metadata)).metadata == metadata


def test_a_tiff_carries_profile_xmp_and_the_tags_of_exif() -> None:
    metadata = Metadata(icc=SRGB, exif=exif_block(1), xmp=XMP)
    for size in (4, 300):
        data = written(noise(size, 5, 3, 16), "tiff", metadata)
        back = media.read(data).metadata
        assert (back.icc, back.xmp) == (SRGB, XMP)
        found = Image.Exif()
        found.load(back.exif or b"")
        assert found[271] == "Maker"
        assert found.get_ifd(0x8769)[33434] == pytest.approx(0.01)


@pytest.mark.parametrize(("channels", "profile", "kept"), [(1, SRGB, None), (1, GRAY, GRAY), (3, GRAY, None), (4, SRGB, SRGB), (3, b"junk", None)])
def test_a_profile_of_the_wrong_colour_space_is_left_out(channels: int, profile: bytes, kept: bytes | None) -> None:
    packed = chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))
    data = written(noise(3, 3, channels), "png")
    assert media.read(data[:33] + packed + data[33:]).metadata.icc == kept
    assert media.read(written(noise(3, 3, channels), "png", Metadata(icc=profile))).metadata.icc == kept


@pytest.mark.parametrize("junk", [b"", b"junk", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x09\x01\x12"])
def test_a_broken_exif_block_turns_nothing(junk: bytes) -> None:
    data = written(noise(3, 4, 3), "png")
    np.testing.assert_array_equal(codes_of(data[:33] + chunk(b"eXIf", junk) + data[33:]), noise(3, 4, 3))
