"""The rules of the writer: formats, rows, and no half files."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import GRAY, SRGB, layout_of, noise, written

from i2compress import media
from i2compress.errors import OutputExistsError, SignalError, UsageError
from i2compress.kinds import Kind
from i2compress.media import Codes
from i2compress.signal import Metadata


@pytest.mark.parametrize("form", ["jpeg", "bmp", "pnm", "ppm"])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_not_dropped_silently(form: str, channels: int) -> None:
    with pytest.raises(UsageError, match=f"{form} cannot hold .* with alpha; choose png or webp"):
        written(noise(2, 2, channels), form)


def test_pgm_is_gray_and_ppm_is_colour() -> None:
    with pytest.raises(UsageError, match="pgm cannot hold RGB; choose png"):
        written(noise(2, 2, 3), "pgm")
    with pytest.raises(UsageError, match="ppm cannot hold gray; choose png"):
        written(noise(2, 2, 1), "ppm")
    assert written(noise(2, 2, 1), "pgm").startswith(b"P5\n2 2\n255\n")


@pytest.mark.parametrize(
    ("target", "form", "words"),
    [
        ("a.xyz", None, "extension '.xyz' says no known output format; expected one of png, jpeg"),
        ("a", None, "without an extension"),
        ("a.png", "xyz", "format 'xyz'"),
        ("a.gif", None, "gif can be read but not written"),
    ],
)
def test_an_unknown_output_format_lists_the_known_ones(tmp_path: Path, target: str, form: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words), media.open_writer(tmp_path / target, layout_of(noise(1, 1, 1)), format=form):
        pass
    assert not list(tmp_path.iterdir())


def test_standard_output_needs_a_format() -> None:
    with (
        pytest.raises(UsageError, match="standard output has no extension; give --format"),
        media.open_writer(io.BytesIO(), layout_of(noise(1, 1, 1))),
    ):
        pass


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.jpg", "a.JPEG", "a.tif", "a.webp", "a.bmp", "a.pam"])
def test_the_extension_says_the_format(tmp_path: Path, name: str) -> None:
    with media.open_writer(tmp_path / name, layout_of(noise(2, 3, 3))) as writer:
        writer.write(noise(2, 3, 3))
    assert media.read(tmp_path / name).grid == (2, 3)


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    with pytest.raises(UsageError, match="1 rows were written; expected 2"), media.open_writer(target, layout_of(noise(2, 3, 3))) as writer:
        writer.write(noise(1, 3, 3))
    assert not list(tmp_path.iterdir())
    target.write_bytes(b"old")
    with pytest.raises(OutputExistsError), media.open_writer(target, layout_of(noise(2, 3, 3))):
        pass
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("rows", [noise(3, 3, 3), noise(2, 4, 3), noise(2, 3, 4), noise(2, 3, 3, 16)])
def test_rows_that_do_not_fit_are_refused(rows: Codes) -> None:
    with pytest.raises(UsageError, match="expected"), media.open_writer(io.BytesIO(), layout_of(noise(2, 3, 3)), format="png") as writer:
        writer.write(rows)


def test_metadata_too_large_for_jpeg_are_not_dropped_silently() -> None:
    with pytest.raises(SignalError, match="JPEG carries at most"):
        written(noise(2, 2, 3), "jpeg", Metadata(xmp=bytes(70000)))


@pytest.mark.parametrize(
    ("form", "channels", "lost"), [("png", 3, False), ("jpeg", 1, False), ("webp", 3, False), ("webp", 1, True), ("bmp", 3, True), ("ppm", 3, True)]
)
def test_a_profile_that_the_format_cannot_carry_is_warned_of(form: str, channels: int, lost: bool) -> None:
    codes = noise(4, 4, channels)
    for icc in (None, SRGB if channels == 3 else GRAY):
        with media.open_writer(io.BytesIO(), layout_of(codes), format=form, metadata=Metadata(icc=icc)) as sink:
            sink.write(codes)
        assert bool(sink.notes) == (lost and icc is not None)


def test_a_side_too_long_for_webp_is_refused() -> None:
    with pytest.raises(UsageError, match="webp holds at most 16383 a side, choose png"):
        written(noise(1, 16384, 1), "webp")


def test_formats_are_listed_once_and_found_by_name_and_extension() -> None:
    for medium in media.MEDIA.values():
        listed = [form for form in media.formats() if form.kind == medium.kind]
        names = [name for form in listed for name in (form.name, *form.extensions)]
        assert len(names) == len(set(names))
        for form in listed:
            assert media.find_format(form.name.upper(), listed) == form
            assert all(media.find_format(extension, listed) == form for extension in form.extensions)
    gif = media.find_format("gif")
    assert gif is not None and gif.kind == Kind.IMAGE  # of a name that several kinds have, the first


def test_the_libraries_are_loaded_only_when_a_picture_is() -> None:
    script = "import sys, i2compress.media; print(*({'PIL', 'av', 'tifffile', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == ""
