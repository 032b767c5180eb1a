"""Atomic writes, output names and the guard against writing over the input."""

import errno
import os
import stat
from pathlib import Path

import pytest

from i2compress.errors import ExitCode, I2Error, OutputExistsError, ResourceError, UsageError
from i2compress.files import atomic_writer, default_output, refuse_same_file, same_file


def test_a_finished_file_has_its_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    with atomic_writer(tmp_path / "a.i2") as file:
        file.write(b"abc")
        assert not (tmp_path / "a.i2").exists()
    assert (tmp_path / "a.i2").read_bytes() == b"abc"
    assert os.listdir(tmp_path) == ["a.i2"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, BrokenPipeError])
def test_any_exception_removes_the_temporary_file(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), atomic_writer(tmp_path / "a.i2") as file:
        file.write(b"half")
        raise error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_folders_that_are_made_for_a_file_go_with_it(tmp_path: Path, error: type[BaseException]) -> None:
    with atomic_writer(tmp_path / "x" / "y" / "a.i2", folders=True) as file:
        file.write(b"abc")
    assert (tmp_path / "x" / "y" / "a.i2").read_bytes() == b"abc"
    (tmp_path / "empty").mkdir()
    for place in ("x/z/b.i2", "empty/b.i2", "empty/y/b.i2", "new/y/b.i2"):
        with pytest.raises(error), atomic_writer(tmp_path / place, folders=True) as file:
            raise error
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["empty", "x", "x/y", "x/y/a.i2"]
    with pytest.raises(error), atomic_writer(tmp_path / "new" / "b.i2", folders=True):
        (tmp_path / "new" / "theirs").write_bytes(b"")
        raise error
    assert os.listdir(tmp_path / "new") == ["theirs"]


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "a.i2"
    target.write_bytes(b"old")
    target.chmod(0o640)
    with pytest.raises(OutputExistsError, match=r"a\.i2 exists already; add --force") as caught, atomic_writer(target) as file:
        file.write(b"new")
    assert caught.value.exit_code == ExitCode.EXISTS
    assert target.read_bytes() == b"old"
    with atomic_writer(target, force=True) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640 or os.name == "nt"


def test_an_old_file_survives_a_failed_forced_write(tmp_path: Path) -> None:
    target = tmp_path / "a.i2"
    target.write_bytes(b"old")
    with pytest.raises(ValueError), atomic_writer(target, force=True) as file:
        file.write(b"new")
        raise ValueError
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    target = tmp_path / "a.i2"
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    with pytest.raises(OutputExistsError), atomic_writer(target) as file:
        file.write(b"mine")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["a.i2"]


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _no_links)
    with atomic_writer(tmp_path / "a.i2") as file:
        file.write(b"abc")
    assert (tmp_path / "a.i2").read_bytes() == b"abc"
    assert os.listdir(tmp_path) == ["a.i2"]


def _no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "no hard links")


def test_the_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    with atomic_writer(tmp_path / "a.i2"):
        pass
    (tmp_path / "b").touch()
    assert (tmp_path / "a.i2").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory; give the name of a file"), atomic_writer(tmp_path, force=True):
        pass


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(I2Error, match=r"the folder .*nowhere does not exist; create it first"), atomic_writer(tmp_path / "nowhere" / "a.i2"):
        pass


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(I2Error, match="cannot be written to: permission denied"), atomic_writer(tmp_path / "a.i2"):
        pass


@pytest.mark.parametrize(("number", "kind", "words"), [(errno.ENOSPC, ResourceError, "the disk is full"), (errno.EIO, I2Error, "cannot be written")])
def test_a_full_or_broken_disk_is_a_sentence(tmp_path: Path, number: int, kind: type[I2Error], words: str) -> None:
    with pytest.raises(kind, match=words), atomic_writer(tmp_path / "a.i2"):
        raise OSError(number, os.strerror(number))
    assert os.listdir(tmp_path) == []


def test_an_error_of_another_file_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_writer(tmp_path / "a.i2"):
        (tmp_path / "input").read_bytes()


def test_a_name_that_is_too_long_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(I2Error, match="the name is too long"), atomic_writer(tmp_path / ("a" * 300)):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="no links without rights, no /dev/null")
def test_links_are_followed_and_devices_written_directly(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a.i2")
    with atomic_writer(tmp_path / "link") as file:
        file.write(b"abc")
    assert (tmp_path / "real" / "a.i2").read_bytes() == b"abc"
    assert (tmp_path / "link").is_symlink()
    with atomic_writer("/dev/null", force=True) as file:
        file.write(b"abc")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["mit leerzeichen.i2", "zeile\nzwei.i2", "фото.i2", "-.i2"])
def test_any_name_can_be_written(tmp_path: Path, name: str) -> None:
    with atomic_writer(tmp_path / name) as file:
        file.write(b"abc")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    ("source", "expected"),
    [("photo.png", "photo.i2"), ("a/b.c.jpg", "a/b.c.i2"), ("photo", "photo.i2"), ("photo.i2", "photo.i2.i2"), (".png", ".png.i2")],
)
def test_encoding_replaces_the_extension_and_never_hits_the_input(source: str, expected: str) -> None:
    assert default_output(source, "encode") == Path(expected)


def test_decoding_adds_the_extension_and_the_scale() -> None:
    assert default_output("photo.i2", "decode") == Path("photo.i2.png")
    assert default_output("d/photo.i2", "decode", scale=4) == Path("d/photo.i2@4x.png")
    assert default_output("photo.i2", "decode", scale=0.5, extension=".tiff") == Path("photo.i2@0.5x.tiff")
    assert default_output("photo.i2", "decode", scale=1.0, extension="wav") == Path("photo.i2.wav")


def test_standard_input_has_no_default_output() -> None:
    with pytest.raises(UsageError, match="standard input has no name"):
        default_output("-", "encode")


def test_one_file_under_two_names_is_one_file(tmp_path: Path) -> None:
    source, other = tmp_path / "a.png", tmp_path / "b.png"
    source.write_bytes(b"x")
    other.write_bytes(b"x")
    os.link(source, tmp_path / "c.png")
    assert same_file(source, tmp_path / "." / "a.png")
    assert same_file(source, tmp_path / "c.png")
    assert same_file(tmp_path / "new", tmp_path / ".." / tmp_path.name / "new")
    assert not same_file(source, other)
    assert not same_file("-", "-")
    refuse_same_file(source, other)
    with pytest.raises(UsageError, match="input and output are the same file"):
        refuse_same_file(source, tmp_path / "c.png")
