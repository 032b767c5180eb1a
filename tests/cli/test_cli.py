"""What the command line says and returns: usage, errors, help."""

import os
import signal
import time

import pytest
from cli_fakes import FakeMedium, Tool, packed, picture

from i2compress import errors
from i2compress.cli import ends_tidily, output
from i2compress.cli.errors import Terminated, exit_code, sentence
from i2compress.cli.options import parse_crop, parse_duration, parse_size
from i2compress.cli.output import duration, size
from i2compress.errors import UsageError

# Exit codes and sentences


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.I2Error("x"), 1),
        (errors.ConvergenceError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.OutputExistsError("x"), 3),
        (errors.SignalError("x"), 4),
        (errors.FormatError("x"), 5),
        (errors.BadMagicError("x"), 5),
        (errors.TruncatedError("x"), 5),
        (errors.TargetError("x"), 6),
        (errors.ResourceError("x"), 7),
        (MemoryError(), 7),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), 7),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
        (OSError(28, "No space left on device", "x.i2"), 7),
        (OSError(5, "Input/output error", "x.i2"), 1),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_every_error_has_its_exit_code_and_one_sentence(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
    assert sentence(error) and "\n" not in sentence(error)


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.I2Error)])
def test_an_error_during_the_work_sets_the_exit_code(kind: type[errors.I2Error], codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")

    def fail() -> None:
        raise kind("what was found")

    codec.during = fail
    assert i2c("encode", "a.png") == kind.exit_code
    assert i2c.err == "error: a.png: what was found\n"
    assert sorted(os.listdir()) == ["a.png"]


def test_an_internal_error_shows_its_traceback_only_with_debug(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")

    def fail() -> None:
        raise ZeroDivisionError("division by zero")

    codec.during = fail
    assert i2c("encode", "a.png") == 1
    assert "Traceback" not in i2c.err and "--debug" in i2c.err
    assert i2c("encode", "a.png", "--debug") == 1
    assert "Traceback" in i2c.err
    assert i2c("--debug", "encode", "--size") == 2
    assert "Traceback" in i2c.err


# Usage


def test_no_arguments_show_examples_and_help_shows_them_too(i2c: Tool) -> None:
    assert i2c() == 0
    assert b"i2c encode photo.png" in i2c.out and i2c.err == ""
    examples = [line for line in i2c.out.splitlines() if line.startswith(b"  i2c ")]
    assert i2c("-h") == 0 and all(line in i2c.out for line in examples)


@pytest.mark.parametrize("verb", ["encode", "decode", "info", "verify"])
def test_every_verb_has_help_of_both_spellings(verb: str, i2c: Tool) -> None:
    assert i2c(verb, "-h") == 0
    short = i2c.out
    assert short.startswith(b"Usage: i2c " + verb.encode())
    assert i2c(verb, "--help") == 0 and i2c.out == short


def test_the_version_goes_to_stdout(i2c: Tool) -> None:
    assert i2c("--version") == 0
    assert i2c.out.startswith(b"i2c ")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["compress", "a.png"], "No such command 'compress'"),
        (["encode"], "Missing argument"),
        (["encode", "--nope", "a.png"], "No such option"),
        (["encode", "a.png", "-q", "high"], "'--quality'"),
        (["encode", "a.png", "-q", "101"], "quality is 101; expected 0 to 100"),
        (["encode", "a.png", "-q", "50", "--lambda", "0.001"], "--quality, --lambda"),
        (["encode", "a.png", "-e", "10"], "effort is 10"),
        (["encode", "a.png", "--time-limit", "soon"], "time is 'soon'"),
        (["encode", "a.png", "b.png", "-o", "c.i2"], "--output-dir"),
        (["encode", "a.png", "-o", "c.i2", "-O", "d"], "exclude each other"),
        (["encode", "a.png", "-o", "-", "--json"], "standard output"),
        (["encode", "a.png", "-o", "a.png", "-f"], "same file"),
        (["encode", "a.png", "-o", "nowhere/a.i2"], "does not exist"),
        (["encode", "a.png", "-o", "."], "directory"),
        (["encode", "."], "directory"),
        (["encode", "-"], "--output"),
        (["encode", "-", "-", "-O", "d"], "more than once"),
        (["encode", "a.png", "x/a.png", "-O", "d"], "both be written to d"),
        (["encode", "a.png", "--flat"], "--output-dir"),
        (["encode", "a.png", "--include", "*.png"], "--recursive"),
        (["encode", "a.png", "-0"], "--files-from"),
        (["encode", "--files-from", "nothing.txt"], "cannot be read"),
        (["encode", "--files-from", "-", "-", "-O", "d"], "more than once"),
        (["encode", "a.png", "-f", "--existing", "skip"], "give one"),
        (["encode", "a.png", "--rm", "--no-verify"], "--no-verify"),
        (["encode", "a.png", "--rm", "-o", "-"], "standard output"),
        (["encode", "a.png", "-j", "0"], "jobs is '0'"),
        (["encode", "a.png", "-j", "many"], "jobs is 'many'"),
        (["encode", "a.png", "--shard", "0/4"], "shard is '0/4'"),
        (["encode", "a.png", "--shard", "5/4"], "shard is '5/4'"),
        (["encode", "a.png", "--cluster", "somewhere"], "cluster is 'somewhere'"),
        (["encode", "a.png", "--threads", "0"], "threads is 0"),
        (["decode", "a.i2", "--rm", "--scale", "2"], "--rm"),
        (["decode", "a.i2", "--scale", "2", "--max-size", "9"], "exclude each other"),
        (["decode", "a.i2", "--scale", "0"], "scale is 0"),
        (["decode", "a.i2", "--size", "9"], "size is '9'"),
        (["decode", "a.i2", "--crop", "1,2,3"], "crop is '1,2,3'"),
        (["decode", "a.i2", "--depth", "12"], "bit depth is 12"),
        (["decode", "a.i2", "-o", "a.i2", "-f"], "same file"),
        (["decode", "a.i2", "-o", "a.xyz"], "expected one of"),
        (["verify", "a.i2", "--min-psnr", "30"], "--against"),
        (["verify", "a.i2", "b.i2", "--against", "a.png"], "one by one"),
        (["info", "-", "-"], "more than once"),
    ],
)
def test_a_usage_error_is_one_sentence_and_exit_code_2(args: list[str], words: str, codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    packed("a.i2")
    assert i2c(*args) == 2
    assert words in i2c.err and i2c.err.startswith("error: ") and i2c.err.count("\n") == 1
    assert i2c.out == b"" and codec.settings == []


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("60s", 60), ("2m", 120), ("1h30m", 5400), ("0.5m", 30), ("1m5", 65)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-3", "2 m", "1e3", "5x"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


def test_sizes_and_crops_are_read() -> None:
    assert parse_size("1920x1080") == (1920, 1080)
    assert parse_crop("1,2,30,40") == (1, 2, 30, 40)


def test_numbers_are_shown_as_people_read_them() -> None:
    assert [size(812), size(13200), size(4_100_000)] == ["812 B", "13.2 kB", "4.1 MB"]
    assert [duration(3.21), duration(182.4), duration(3900), duration(float("inf"))] == ["3.2 s", "182 s", "1 h 05 min", "?"]


def test_one_bar_goes_through_all_phases_of_an_encode_and_never_back() -> None:
    now = [0.0]
    course = output.Course(lambda: now[0])
    shares = [course.at("fit", step, 10, 5.0) for step in range(11)]
    assert shares[0] == (0.0, 5.0) and shares[-1] == (pytest.approx(0.9), 5.0)
    found = []
    for step in range(5):
        now[0] += 2.0
        found.append(course.at("quantise", step, 4, 0.0))
    assert found[0][1] == 5.0  # as the fit said, which foresees what follows it
    assert [share for share, _ in found] == sorted(share for share, _ in found) and found[-1][0] == 1.0
    assert found[1][1] == pytest.approx(6.0)  # two seconds for the first quarter
    assert found[2][1] == pytest.approx(4.0)  # four seconds for the first half
    assert course.at("i2c photo.png", 1, 2, 7.0) == (0.5, 7.0)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_while_an_object_is_freed_is_not_lost(kind: signal.Signals) -> None:
    class Freed:
        def __del__(self) -> None:
            signal.raise_signal(kind)
            time.sleep(0)  # the handler runs here, and Python drops what it raises

    with pytest.raises(Terminated if kind is signal.SIGTERM else KeyboardInterrupt), ends_tidily():
        Freed()
        for _ in range(300):  # the timer cannot wake one long sleep everywhere
            time.sleep(0.1)
