"""Many files in one run: which they are, where their outputs go, what is there already, what fails, and what follows."""

import json
import os
import stat
import time
from pathlib import Path

import pytest
from cli_fakes import FakeMedium, Tool, packed, picture

from i2compress import files
from i2compress.cli.inputs import Input, in_shard
from i2compress.cli.progress import Pace
from i2compress.cli.run import cores, share_out
from i2compress.container import chunk_sizes, insert_origin, read, read_origin
from i2compress.errors import MalformedError


def tree(folder: str) -> list[str]:
    """Every file below a folder, sorted."""
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


@pytest.fixture
def photos(i2c: Tool) -> None:
    """A folder with pictures, one of them two levels down, a hidden one, and a text."""
    for name in ("photos/a.png", "photos/b.jpg", "photos/x/y/c.png", "photos/x/raw.png", "photos/.hidden.png", "photos/.git/d.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        picture(name)
    Path("photos/notes.txt").write_text("not a picture")


# Which files


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["a.i2", "b.i2", "x/raw.i2", "x/y/c.i2"]),
        (["--include", "*.png"], ["a.i2", "x/raw.i2", "x/y/c.i2"]),
        (["--include", "*.png", "--exclude", "raw*"], ["a.i2", "x/y/c.i2"]),
        (["--exclude", "x"], ["a.i2", "b.i2"]),
        (["--exclude", "x/y/*"], ["a.i2", "b.i2", "x/raw.i2"]),
        (["--include", "*.png", "--include", "*.jpg", "--exclude", "y"], ["a.i2", "b.i2", "x/raw.i2"]),
    ],
)
def test_a_folder_gives_its_media_and_the_output_mirrors_it(options: list[str], found: list[str], photos: None, codec: FakeMedium, i2c: Tool) -> None:
    assert i2c("encode", "photos", "-r", "-O", "out", *options) == 0
    assert tree("out") == found


def test_a_pattern_that_names_other_files_is_obeyed(photos: None, codec: FakeMedium, i2c: Tool) -> None:
    assert i2c("encode", "photos", "-r", "--include", "*.txt", "-O", "out") == 4
    assert "notes.txt" in i2c.err


def test_without_a_folder_for_outputs_they_lie_beside_their_inputs(photos: None, codec: FakeMedium, i2c: Tool) -> None:
    assert i2c("encode", "photos", "-r", "--include", "c.png") == 0
    assert Path("photos/x/y/c.i2").exists()


def test_one_of_several_folders_keeps_its_name(photos: None, codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    assert i2c("encode", "a.png", "photos/", "-r", "-O", "out") == 0
    assert tree("out") == ["a.i2", "photos/a.i2", "photos/b.i2", "photos/x/raw.i2", "photos/x/y/c.i2"]
    assert i2c("decode", "out", "-r", "-O", "back", "--format", "ppm") == 0
    assert tree("back") == ["a.i2.ppm", "photos/a.i2.ppm", "photos/b.i2.ppm", "photos/x/raw.i2.ppm", "photos/x/y/c.i2.ppm"]
    assert i2c("verify", "out", "-r") == 0
    assert i2c.out.count(b": OK, ") == 5


def test_flat_puts_all_into_one_folder_and_says_what_clashes(photos: None, codec: FakeMedium, i2c: Tool) -> None:
    assert i2c("encode", "photos", "-r", "-O", "out", "--flat") == 0
    assert tree("out") == ["a.i2", "b.i2", "c.i2", "raw.i2"]
    picture("photos/x/a.png")
    assert i2c("encode", "photos", "-r", "-O", "other", "--flat") == 2
    assert "photos/a.png and photos/x/a.png would both be written to other/a.i2" in i2c.err
    assert not Path("other").exists()


@pytest.mark.parametrize(("options", "end"), [([], b"\n"), ([], b"\r\n"), (["-0"], b"\0")])
def test_a_list_names_inputs_and_its_paths_are_kept(options: list[str], end: bytes, photos: None, codec: FakeMedium, i2c: Tool) -> None:
    entries = [b"./photos/a.png", b"", b"photos/x/y/c.png", os.fsencode(os.path.abspath("photos/b.jpg"))]
    Path("list").write_bytes(end.join(entries) + end)
    assert i2c("encode", "--files-from", "list", "-O", "out", *options) == 0
    assert tree("out") == sorted(["photos/a.i2", "photos/x/y/c.i2", os.path.abspath("photos/b.i2").lstrip("/")])


def test_a_list_that_says_nothing_is_no_error_and_nul_bytes_ask_for_their_option(codec: FakeMedium, i2c: Tool) -> None:
    Path("list").write_bytes(b"")
    assert i2c("encode", "--files-from", "list") == 0
    assert "no files to do" in i2c.err
    Path("list").write_bytes(b"a.png\0b.png\0")
    assert i2c("encode", "--files-from", "list") == 2
    assert "add -0" in i2c.err


def test_a_file_that_is_named_twice_is_one(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    os.symlink("a.png", "same.png")
    assert i2c("encode", "a.png", "./a.png", "same.png", "-O", "out") == 0
    assert tree("out") == ["a.i2"] and len(codec.settings) == 1


def test_a_link_in_a_circle_is_not_followed(photos: None, codec: FakeMedium, i2c: Tool) -> None:
    os.symlink("..", "photos/x/up")
    assert i2c("encode", "photos", "-r", "-O", "out") == 0
    assert len(tree("out")) == 4


# Names


@pytest.mark.parametrize(
    ("names", "outputs"),
    [
        (["a.png", "a.jpg"], ["a.jpg.i2", "a.png.i2"]),
        (["a.png", "a.jpg", "b.png"], ["a.jpg.i2", "a.png.i2", "b.i2"]),
        (["frame.0001", "frame.0002"], ["frame.0001.i2", "frame.0002.i2"]),
    ],
)
def test_inputs_that_differ_in_their_extension_keep_it(names: list[str], outputs: list[str], codec: FakeMedium, i2c: Tool) -> None:
    data = picture("source.png")
    for name in names:
        Path(name).write_bytes(data)
    assert i2c("encode", *names, "-O", "out") == 0
    assert tree("out") == outputs


def test_strange_names_are_names(codec: FakeMedium, i2c: Tool) -> None:
    names = [" a b .png", "a\nb.png", "-rf.png", "a'\"$x;.png", "\u00fc\u4e2d\U0001f600.png", "[bold]x.png"]
    data = picture("source.png")
    for name in names:
        Path(name).write_bytes(data)
    assert i2c("encode", "-O", "out", "--", *names) == 0
    assert sorted(os.listdir("out")) == sorted(name.replace(".png", ".i2") for name in names)
    Path("list").write_bytes(b"\0".join(map(os.fsencode, names)))
    assert i2c("encode", "--files-from", "list", "-0", "-O", "out", "--existing", "skip", "--json") == 0
    records = [json.loads(line) for line in i2c.out.splitlines()]
    assert [record["input"] for record in records] == names and {record["status"] for record in records} == {"skipped"}


# What is there already


def test_existing_outputs_are_an_error_left_or_replaced(codec: FakeMedium, i2c: Tool) -> None:
    for name in ("a.png", "b.png"):
        picture(name)
    Path("a.i2").write_bytes(b"precious")
    assert i2c("encode", "a.png", "b.png") == 1
    assert "1 of 2 files done, 1 failed" in i2c.err and Path("a.i2").read_bytes() == b"precious" and Path("b.i2").exists()
    assert i2c("encode", "a.png", "b.png", "--existing", "skip") == 0
    assert "0 of 2 files done, 2 left as they are" in i2c.err and Path("a.i2").read_bytes() == b"precious"
    assert i2c("encode", "a.png", "b.png", "--existing", "overwrite") == 0
    assert Path("a.i2").read_bytes() != b"precious"


def test_update_makes_what_another_source_or_other_settings_would_change(codec: FakeMedium, i2c: Tool) -> None:
    for name in ("a.png", "b.png"):
        picture(name)
    packed("b.i2")  # does not say what it was made from
    again = ("encode", "a.png", "b.png", "--existing", "update")

    def made(*options: str) -> int:
        before = len(codec.settings)
        assert i2c(*again, *options) == 0, i2c.err
        return len(codec.settings) - before

    assert made() == 2
    assert made() == 0 and "2 left as they are" in i2c.err
    assert made("--threads", "1", "--device", "cpu") == 0
    assert made("-q", "60") == 2
    os.remove("a.png")
    picture("a.png", 21, 30)
    assert made("-q", "60") == 1
    os.utime("a.png", (0, 0))
    assert made("-q", "60") == 0
    whole = Path("b.i2").read_bytes()
    flipped = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
    for damaged in (whole[:10], whole[:-1], whole[: -chunk_sizes(whole)[-1].size], flipped):
        Path("b.i2").write_bytes(damaged)
        assert made("-q", "60") == 1


def test_only_update_tells_what_a_file_was_made_from(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    assert i2c("encode", "a.png", "-o", "plain.i2") == 0
    assert i2c("encode", "a.png", "-o", "told.i2", "--strip", "--existing", "update") == 0
    plain, told = Path("plain.i2").read_bytes(), Path("told.i2").read_bytes()
    assert read_origin(plain) is None and len(read_origin(told) or b"") == 16
    assert len(told) - len(plain) == 22
    assert read(told) == read(plain)
    with pytest.raises(MalformedError, match="second origin"):
        read(insert_origin(told, bytes(16)))
    with pytest.raises(MalformedError, match="has 3 bytes; expected 16"):
        read(insert_origin(plain, b"abc"))


def test_update_of_decoded_files_goes_by_their_time(codec: FakeMedium, i2c: Tool) -> None:
    packed("a.i2")
    assert i2c("decode", "a.i2", "--existing", "update") == 0
    assert i2c("decode", "a.i2", "--existing", "update") == 0 and "left as it is" in i2c.err
    os.utime("a.i2.png", (0, 0))
    assert i2c("decode", "a.i2", "--existing", "update") == 0 and "left as it is" not in i2c.err


# What fails


def test_failures_are_listed_at_the_end_and_the_rest_goes_on(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    picture("c.png")
    Path("b.png").write_bytes(b"not a picture")
    assert i2c("encode", "a.png", "b.png", "c.png", "-O", "out") == 1
    assert tree("out") == ["a.i2", "c.i2"]
    assert i2c.err.rstrip().splitlines()[-2:][0] == "failed:" and i2c.err.rstrip().splitlines()[-1].startswith("  b.png: ")
    assert "files" in i2c.err and "ratio" in i2c.err


def test_fail_fast_starts_nothing_more(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    picture("c.png")
    assert i2c("encode", "a.png", "missing.png", "c.png", "-O", "out", "--fail-fast") == 1
    assert tree("out") == ["a.i2"] and "1 failed, 1 not begun" in i2c.err


# What follows


def test_rm_removes_sources_whose_files_were_read_back_and_no_others(codec: FakeMedium, i2c: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("a.png")
    Path("b.png").write_bytes(b"not a picture")
    assert i2c("encode", "a.png", "b.png", "--rm") == 1
    assert sorted(os.listdir()) == ["a.i2", "b.png"]
    assert i2c("decode", "a.i2", "--rm") == 0
    assert sorted(os.listdir()) == ["a.i2.png", "b.png"]
    real = files.os.replace

    def spoil(source: str, target: str) -> None:
        Path(source).write_bytes(b"the disk lies")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", spoil)
    assert i2c("encode", "a.i2.png", "--rm", "-f") == 1
    assert "reads back differently" in i2c.err and Path("a.i2.png").exists()


def test_a_picture_that_does_not_read_back_keeps_its_source(codec: FakeMedium, i2c: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    packed("a.i2")
    monkeypatch.setattr(files.shutil, "copymode", lambda source, target: picture(str(target) + ".png", 2, 2) and os.replace(f"{target}.png", target))
    Path("a.i2.png").write_bytes(b"before")
    assert i2c("decode", "a.i2", "--rm", "-f") == 1
    assert "reads back differently" in i2c.err and Path("a.i2").exists()


def test_what_is_left_as_it_is_keeps_its_source(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    packed("a.i2")
    assert i2c("encode", "a.png", "--rm", "--existing", "skip") == 0
    assert Path("a.png").exists()


def test_preserve_keeps_times_and_permissions(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    os.utime("a.png", ns=(10**18, 10**18 + 123456789))
    os.chmod("a.png", 0o640)
    assert i2c("encode", "a.png", "--preserve") == 0
    assert i2c("decode", "a.i2", "--preserve") == 0
    for name in ("a.i2", "a.i2.png"):
        found = os.stat(name)
        assert found.st_mtime_ns == 10**18 + 123456789 and stat.S_IMODE(found.st_mode) == 0o640


def test_what_a_killed_process_left_is_swept_and_what_is_being_written_is_not(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    old, fresh, strange = Path(".0123456789abcdef.i2tmp"), Path(".fedcba9876543210.i2tmp"), Path("a.i2tmp")
    for path in (old, fresh, strange):
        path.write_bytes(b"half")
    for path in (old, strange):
        os.utime(path, (time.time() - 60,) * 2)
    with files.atomic_writer("slow.bin") as writing:
        held = next(path for path in Path().glob(".*.i2tmp") if path not in (old, fresh))
        os.utime(held, (0, 0))
        assert i2c("encode", "a.png") == 0
        writing.write(b"whole")
    assert Path("slow.bin").read_bytes() == b"whole"
    assert (old.exists(), fresh.exists(), strange.exists()) == (False, True, True)


# How many at once, and which part


def test_processes_times_threads_never_pass_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2compress.cli.run.cores", lambda: 8)
    assert share_out(None, None, 100) == (1, None)
    assert share_out("auto", None, 100) == (8, 1)
    assert share_out("auto", None, 3) == (3, 2)
    assert share_out("4", None, 100) == (4, 2)
    assert share_out("99", None, 100) == (8, 1)
    assert share_out("8", 4, 100) == (2, 4)
    assert share_out("auto", 16, 100) == (1, 16)
    assert share_out("auto", None, 100, workers=2) == (2, 4)
    assert share_out("auto", None, 1) == (1, None)


def test_shards_share_all_files_out_and_do_not_depend_on_the_others() -> None:
    found = [Input(path=f"photos/{number}.png", place="") for number in range(200)]
    parts = [{entry.path for entry in found if in_shard(entry, (part, 4))} for part in (1, 2, 3, 4)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(found) and min(map(len, parts)) > 30
    assert {entry.path for entry in found[::2] if in_shard(entry, (1, 4))} <= parts[0]


def test_two_shards_do_all_of_a_folder(photos: None, codec: FakeMedium, i2c: Tool) -> None:
    for number in range(8):
        picture(f"photos/{number}.png")
    counts = []
    for shard in ("1/2", "2/2"):
        assert i2c("encode", "photos", "-r", "-O", "out", "--shard", shard) == 0
        counts.append(len(tree("out")))
    assert 0 < counts[0] < counts[1] == 12


def test_the_time_left_is_right_in_hindsight() -> None:
    now = [0.0]
    sizes = [100, 300, 200, 400]
    pace = Pace(sizes, lambda: now[0])
    assert not pace.left >= 0
    for number, size in enumerate(sizes):  # a second for 10 bytes
        for share in (0.25, 0.5, 1.0):
            pace.set(number, share)
            now[0] = (sum(sizes[:number]) + share * size) / 10
            assert pace.left == pytest.approx(100 - now[0])
    assert pace.share == 1.0 and pace.left == 0


def test_a_file_that_takes_no_time_does_not_count() -> None:
    now = [0.0]
    pace = Pace([100, 100], lambda: now[0])
    pace.leave_out(0)
    now[0] = 5.0
    pace.set(1, 0.5)
    assert pace.left == pytest.approx(5.0)
    assert Pace([0, 100], lambda: 0.0).share == 0 and cores() >= 1
