"""How many samples there are to an inch is kept, in the place that each format has for it."""

import io
import struct

import pytest
from pictures import exif_block, noise, png, saved, written
from PIL import Image

from i2compress.media.image.density import density_of, density_per_metre, set_density
from i2compress.media.image.files import decode_picture
from i2compress.media.image.png_write import chunk
from i2compress.signal import Metadata

SIDE = noise(6, 9, 3)


def metre(x: int, y: int) -> bytes:
    """An Exif block with that many samples a metre."""
    value = density_per_metre(x, y)
    assert value is not None
    return set_density(None, value)


@pytest.mark.parametrize(("x", "y"), [(11811, 11811), (2835, 5669), (4001, 3999)])
@pytest.mark.parametrize("form", ["png", "tiff", "bmp"])
def test_a_density_goes_to_the_place_of_the_format_and_comes_back(form: str, x: int, y: int) -> None:
    data = written(SIDE, form, Metadata(exif=metre(x, y)))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info["dpi"] == pytest.approx((x * 0.0254, y * 0.0254), rel=2e-4)
    value = density_of(decode_picture(data, "x").metadata.exif)
    assert value is not None
    assert value.per_metre == (x, y)


def test_a_density_of_jpeg_is_a_whole_number_and_exif_keeps_the_rest() -> None:
    data = written(SIDE, "jpeg", Metadata(exif=metre(11811, 5906)))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info["jfif_density"] == (300, 150)
    found = decode_picture(data, "x")
    assert found.notes == ()
    assert found.metadata.exif == metre(11811, 5906)
    back = density_of(decode_picture(saved(Image.fromarray(SIDE), "JPEG", dpi=(72, 72)), "x").metadata.exif)
    assert back is not None
    assert back.per_inch == (72, 72)


def test_a_density_that_is_only_a_ratio_stays_one() -> None:
    ratio = chunk(b"pHYs", struct.pack(">IIB", 2, 1, 0))
    found = decode_picture(png(1, 1, 8, 0, b"\0\7", ratio), "x")
    block = Image.Exif()
    block.load(found.metadata.exif or b"")
    assert (block[282], block[283], block[296]) == (2, 1, 1)
    assert ratio in written(found.codes, "png", found.metadata)


def test_a_density_turns_with_the_picture() -> None:
    data = written(SIDE, "png", Metadata(exif=set_density(exif_block(6), density_per_metre(1000, 2000))))  # type: ignore[arg-type]
    value = density_of(decode_picture(data, "x").metadata.exif)
    assert value is not None
    assert value.per_metre == (2000, 1000)


def test_two_densities_that_disagree_are_warned_of_and_the_format_wins() -> None:
    data = written(SIDE, "png", Metadata(exif=metre(11811, 11811)))
    at = data.find(b"pHYs")
    found = decode_picture(data[: at - 4] + chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)) + data[at + 17 :], "x")
    assert found.notes == ("The picture states two densities, 72 by 72 an inch (pHYs) and 300 by 300 an inch (Exif); the first was kept.",)


def test_a_picture_that_states_nothing_gets_no_exif() -> None:
    for form in ("png", "jpeg", "webp", "tiff", "bmp"):
        assert decode_picture(written(SIDE, form), "x").metadata == Metadata()
