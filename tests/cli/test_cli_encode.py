"""i2c encode: names, refusals before any work, batches, JSON, interrupts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cli_fakes import FakeMedium, Tool, packed, picture

from i2compress.container import read

ROOT = Path(__file__).parent.parent.parent


def raise_once(kind: signal.Signals) -> Callable[[], None]:
    """Sends the signal at the first call only."""
    left = [kind]

    def during() -> None:
        if left:
            signal.raise_signal(left.pop())

    return during


def test_the_output_lies_beside_its_input_and_the_summary_on_stderr(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    assert i2c("encode", "a.png") == 0
    assert read(Path("a.i2").read_bytes()).header.grid == (20, 30)
    assert i2c.out == b""
    assert i2c.err.startswith("a.i2: 30x20 RGB8, ") and "equal to its source" in i2c.err


def test_every_positional_argument_is_an_input(codec: FakeMedium, i2c: Tool) -> None:
    first, second = picture("a.png"), picture("b.png")
    assert i2c("encode", "a.png", "b.png") == 0
    assert (Path("a.png").read_bytes(), Path("b.png").read_bytes()) == (first, second)
    assert {"a.i2", "b.i2"} < set(os.listdir())
    assert "2 of 2 files done" in i2c.err


def test_options_reach_the_settings(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    options = "-q 90 -e 7 --steps 11 --time-limit 2m --device cpu --threads 2 --seed 5 --explicit --width 12 --strip -f"
    assert i2c("encode", "a.png", *options.split()) == 0
    used = codec.settings[0]
    assert (used.quality, used.effort, used.steps, used.device) == (90, 7, 11, "cpu")
    assert used.time_limit is not None and 100 < used.time_limit <= 120  # loading counts
    assert (used.threads, used.seed, used.explicit, used.width, used.strip) == (2, 5, True, 12, True)


def test_a_target_that_is_missed_is_exit_code_6_and_no_file(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    assert i2c("encode", "a.png", "--target-size", "100") == 6
    assert "bytes, " in i2c.err and "% over 100" in i2c.err and os.listdir() == ["a.png"]
    assert i2c("encode", "a.png", "--target-size", "1M") == 0
    assert "% under 1000000" in i2c.err
    assert i2c("encode", "a.png", "--target-psnr", "30", "-q", "50", "-f") == 2
    assert i2c("encode", "a.png", "--target-size", "lots", "-f") == 2


def test_what_the_encoder_notes_is_a_warning(codec: FakeMedium, i2c: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("a.png")
    real = codec.encode
    monkeypatch.setattr(codec, "encode", lambda *given: replace(real(*given), notes=("it was hurried",), converged=False))
    assert i2c("encode", "a.png") == 0
    assert "warning: a.i2: it was hurried\n" in i2c.err and "the fixed point is not reached" in i2c.err


def test_an_existing_output_is_refused_before_any_work(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    Path("a.i2").write_bytes(b"precious")
    assert i2c("encode", "a.png") == 3
    assert codec.settings == [] and Path("a.i2").read_bytes() == b"precious"
    assert i2c.err == "error: a.png: a.i2 exists already; add --force to replace it or choose another name\n"
    assert i2c("encode", "a.png", "-f") == 0
    assert Path("a.i2").read_bytes() != b"precious"


def test_one_bad_file_does_not_stop_the_others(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    picture("c.png")
    Path("b.png").write_bytes(b"not a picture")
    assert i2c("encode", "a.png", "b.png", "missing.png", "c.png") == 1
    assert {"a.i2", "c.i2"} < set(os.listdir()) and "b.i2" not in os.listdir()
    assert "2 of 4 files done, 2 failed" in i2c.err
    assert i2c("encode", "missing.png") == 4


def test_a_folder_for_outputs_is_made(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    assert i2c("encode", "a.png", "-O", "x/y") == 0
    assert os.listdir("x/y") == ["a.i2"]


def test_an_output_that_is_another_input_is_refused(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    packed("a.i2")
    assert i2c("encode", "a.png", "a.i2", "-f") == 2
    assert "would replace the input a.i2" in i2c.err


def test_stdin_and_stdout_are_binary(codec: FakeMedium, i2c: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("a.png")
    with open("a.png", encoding="latin-1") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert i2c("encode", "-", "-o", "-") == 0
    assert read(i2c.out).header.grid == (20, 30)


def test_binary_data_to_a_terminal_is_refused(codec: FakeMedium, i2c: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("a.png")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert i2c("encode", "a.png", "-o", "-") == 2
    assert "terminal" in i2c.err and codec.settings == []


def test_json_is_one_object_a_file(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    assert i2c("encode", "a.png", "missing.png", "--json", "--quiet") == 1
    good, bad = (json.loads(line) for line in i2c.out.splitlines())
    assert (good["schema"], good["verb"], good["input"], good["output"], good["status"]) == (1, "encode", "a.png", "a.i2", "ok")
    assert good["bytes"] == os.path.getsize("a.i2") and good["grid"] == [20, 30]
    assert good["psnr"] is None  # a lossless fake: infinite, which JSON cannot hold
    assert (bad["status"], bad["exit_code"]) == ("error", 4) and "missing.png" in bad["error"]


def test_quiet_leaves_stderr_empty(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png", 200, 200)
    assert i2c("encode", "a.png", "--quiet") == 0
    assert i2c.err == ""


def test_a_file_larger_than_its_source_is_a_warning(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png", 1, 1)
    Path("tiny.ppm").write_bytes(b"P6 1 1 255\n\1\2\3")
    assert i2c("encode", "tiny.ppm") == 0
    assert "warning: tiny.i2 is larger than its source" in i2c.err


def test_progress_shows_on_a_terminal_only(codec: FakeMedium, i2c: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("a.png")
    codec.during = lambda: time.sleep(0.05)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert i2c("encode", "a.png") == 0
    assert "30.00 dB" in i2c.err
    monkeypatch.undo()


def test_ctrl_c_leaves_nothing_behind(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    codec.during = lambda: signal.raise_signal(signal.SIGINT)
    assert i2c("encode", "a.png") == 130
    assert os.listdir() == ["a.png"] and i2c.err == "error: interrupted\n"


def test_sigterm_leaves_nothing_behind(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    codec.during = lambda: signal.raise_signal(signal.SIGTERM)
    assert i2c("encode", "a.png", "-O", ".") == 143
    assert os.listdir() == ["a.png"] and i2c.err == "error: terminated\n"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_finalize_writes_the_best_so_far_and_starts_nothing_more(kind: signal.Signals, codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    picture("b.png")
    codec.during = raise_once(kind)
    before = signal.getsignal(signal.SIGINT)
    assert i2c("encode", "a.png", "b.png", "--on-interrupt", "finalize") == 130
    assert sorted(os.listdir()) == ["a.i2", "a.png", "b.png"] and "stopped early" in i2c.err
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finalised_single_file_is_a_success_and_a_second_ctrl_c_is_not(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    codec.during = raise_once(signal.SIGINT)
    assert i2c("encode", "a.png", "--on-interrupt", "finalize") == 0
    codec.during = lambda: signal.raise_signal(signal.SIGINT)
    assert i2c("encode", "a.png", "-f", "--on-interrupt", "finalize") == 130


def test_a_reader_that_goes_away_is_no_error_message(tmp_path: Path) -> None:
    packed(str(tmp_path / "a.i2"))
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "i2compress", "info", "a.i2"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
