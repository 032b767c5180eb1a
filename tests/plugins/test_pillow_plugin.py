"""What people do with Pillow, with .i2 files."""

import copy
import gc
import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError
from plugin_pictures import QUICK, picture

import i2compress
import i2compress.pillow
from i2compress import View, codec
from i2compress.container import chunk_sizes
from i2compress.signal import to_codes

ROOT = Path(__file__).parent.parent.parent


def codes(data: bytes, depth: int = 8, view: View | None = None) -> np.ndarray:
    return to_codes(codec.I2File.from_bytes(data).render(view).values, depth)


@pytest.mark.parametrize(("channels", "depth", "mode"), [(1, 8, "L"), (1, 16, "I;16"), (2, 8, "LA"), (3, 8, "RGB"), (3, 16, "RGB"), (4, 8, "RGBA")])
def test_every_picture_opens_in_its_mode_with_the_codec_s_own_samples(channels: int, depth: int, mode: str) -> None:
    data = picture(channels, depth)
    with Image.open(io.BytesIO(data)) as opened:
        assert (opened.format, opened.mode, opened.size, opened.get_format_mimetype()) == ("I2", mode, (52, 36), "image/x-i2")
        found = np.asarray(opened)
    expected = codes(data, 16 if mode == "I;16" else 8)
    assert np.array_equal(found.reshape(expected.shape), expected)


def test_size_mode_and_metadata_come_from_the_start_and_nothing_is_decoded_before_pixels_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture(3, 8, exif=b"II*\0" + bytes(8))
    rest = sum(chunk.size for chunk in chunk_sizes(data) if chunk.name in ("weights", "latents"))
    opened = Image.open(io.BytesIO(data[:-rest]))  # what follows is not even there
    assert (opened.size, opened.mode, opened.info["exif"]) == ((52, 36), "RGB", b"II*\0" + bytes(8))
    with pytest.raises(OSError, match="ends early"):
        opened.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    cut = Image.open(io.BytesIO(data[:-3]))
    assert cut.load() is not None


def test_a_thumbnail_is_decoded_at_reduced_size_and_looks_like_the_whole_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = picture(3, 8), []
    render = codec.I2File.render
    monkeypatch.setattr(codec.I2File, "render", lambda file, view: asked.append(view.size) or render(file, view))
    with Image.open(io.BytesIO(data)) as small, Image.open(io.BytesIO(data)) as whole:
        small.thumbnail((13, 13))
        assert small.size == (13, 9) and asked == [(38, 26)]
        reduced = whole.resize((13, 9), Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(small, int) - np.asarray(reduced, int)).mean() < 3
    with Image.open(io.BytesIO(data)) as same:
        assert same.draft(None, (500, 500)) is None and same.draft("L", None) is None
        assert same.draft(None, (20, 30)) == ("RGB", (0, 0, 44, 30)) and same.size == (44, 30)
        assert np.array_equal(np.asarray(same), codes(data, view=View(size=(44, 30))))


def test_save_takes_the_settings_carries_profile_and_exif_and_applies_the_orientation(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(ROOT / "tests" / "media" / "coffee.png") as coffee:
        source = coffee.convert("RGB").crop((100, 100, 160, 140))
    exif = source.getexif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    target = tmp_path / "turned.i2"
    source.save(target, quality=40, icc_profile=profile, exif=exif, **QUICK)
    with Image.open(target) as back:
        assert (back.size, back.info["icc_profile"]) == ((40, 60), profile)
        assert (back.getexif()[0x0112], back.getexif()[0x010F]) == (1, "maker")
        back.save(tmp_path / "again.i2", **QUICK)
        back.save(tmp_path / "bare.i2", strip=True, **QUICK)
        back.save(tmp_path / "back.png")
    with Image.open(tmp_path / "again.i2") as again, Image.open(tmp_path / "bare.i2") as bare, Image.open(tmp_path / "back.png") as png:
        assert again.info["icc_profile"] == png.info["icc_profile"] == profile and again.getexif()[0x010F] == "maker"
        assert "icc_profile" not in bare.info and "exif" not in bare.info
    small, large = io.BytesIO(), io.BytesIO()
    source.save(small, "I2", quality=5, **QUICK)
    source.save(large, format="I2", quality=95, **QUICK)
    assert len(small.getvalue()) < len(large.getvalue())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_that_has_a_sure_way_to_gray_or_rgb_is_saved(mode: str) -> None:
    source, file = Image.linear_gradient("L").resize((24, 16)), io.BytesIO()
    (Image.fromarray(np.asarray(source).astype(np.uint16) * 257) if mode == "I;16" else source.convert(mode)).save(file, "I2", **QUICK)
    assert Image.open(file).mode == {"1": "L", "P": "RGB"}.get(mode, mode)


def test_what_cannot_be_saved_is_said_as_pillow_says_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quality is 300; expected 0 to 100"):
        Image.new("L", (8, 8)).save(tmp_path / "a.i2", quality=300)
    with pytest.raises(OSError, match="CMYK inks without a CMYK profile"):
        Image.new("CMYK", (8, 8)).save(tmp_path / "b.i2")
    with pytest.raises(OSError, match="holds F samples"):
        Image.new("F", (8, 8)).save(tmp_path / "c.i2")
    assert not list(tmp_path.iterdir())


def test_damage_newer_versions_and_sound_are_no_pictures(song: Path) -> None:
    data = picture(3, 8)
    with pytest.raises(UnidentifiedImageError, match="cannot identify image file"):
        Image.open(song)
    with pytest.raises(UnidentifiedImageError, match=r"format version is 9.*update i2compress"):
        Image.open(io.BytesIO(data[:3] + b"\x09" + data[4:]))
    with pytest.raises(UnidentifiedImageError, match="CRC-32"):
        Image.open(io.BytesIO(data[:7] + bytes([data[7] ^ 1]) + data[8:]))
    broken = io.BytesIO(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    with pytest.raises(OSError, match="CRC-32"):
        Image.open(broken).verify()
    Image.open(io.BytesIO(data)).verify()


def test_files_are_closed_once_decoded_and_by_with(photo: Path) -> None:
    opened = Image.open(photo)
    file = opened.fp
    opened.load()
    assert file is not None and file.closed
    with Image.open(photo) as other:
        held = other.fp
    assert held is not None and held.closed
    with pytest.raises(ValueError, match="closed"):
        other.load()
    stream = io.BytesIO(photo.read_bytes())
    with Image.open(stream) as streamed:
        streamed.load()
    assert not stream.closed  # it is the caller's
    del opened, other
    gc.collect()  # an open file would be a ResourceWarning, which is an error here


def test_many_threads_may_load_one_picture_or_many(photo: Path) -> None:
    expected = codes(photo.read_bytes())
    with Image.open(photo) as shared, ThreadPoolExecutor(8) as pool:
        same = list(pool.map(lambda _: np.asarray(shared), range(16)))
        each = list(pool.map(lambda _: np.asarray(Image.open(photo)), range(8)))
    assert all(np.array_equal(found, expected) for found in same + each)


def test_pictures_are_copied_pickled_converted_and_cropped_like_others(photo: Path) -> None:
    expected = codes(photo.read_bytes())
    with Image.open(photo) as opened:
        assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(opened))), expected)
        assert np.array_equal(np.asarray(opened.crop((4, 6, 20, 30))), expected[6:30, 4:20])
        assert np.array_equal(np.asarray(copy.copy(opened)), expected) and opened.convert("L").mode == "L"
        assert opened.copy().resize((5, 4)).size == (5, 4)


def test_opening_and_decoding_in_a_fresh_process_loads_no_torch_and_notebooks_show_a_picture(photo: Path) -> None:
    script = (
        "import sys, i2compress, i2compress.pillow\nfrom PIL import Image\n"
        f"Image.open({str(photo)!r}).load()\nfile = i2compress.open({str(photo)!r})\n"
        "assert file._repr_png_().startswith(b'\\x89PNG')\nassert repr(file) == '<I2File: 52x36 RGB8>'\nsys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, check=True)


def test_a_notebook_shows_no_picture_of_sound_and_a_small_one_of_a_large_picture(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert i2compress.open(song)._repr_png_() is None
    monkeypatch.setattr(codec, "SHOWN", 20)
    shown = codec.I2File.from_bytes(picture(3, 16))._repr_png_()
    assert shown is not None and Image.open(io.BytesIO(shown)).size == (20, 14)
