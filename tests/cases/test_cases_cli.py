"""What people do to the command line and to the Python API: pipes by their path, signals, odd options, odd objects."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sounds import chord, wav

import i2compress
from i2compress import EncodeSettings, View
from i2compress.cli import main
from i2compress.cli.options import parse_scale, parse_size
from i2compress.errors import SignalError, UsageError

ROOT = Path(__file__).parent.parent.parent
FAST = ["--steps", "2", "--threads", "1"]
FIT = EncodeSettings(steps=2, threads=1, device="cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with photo.png, song.wav and their files."""
    monkeypatch.chdir(tmp_path)
    codes = np.arange(16 * 20 * 3).reshape(16, 20, 3) % 256
    Image.fromarray(codes.astype(np.uint8)).save("photo.png")
    Path("song.wav").write_bytes(wav(chord(0.1)))


@pytest.fixture
def packed() -> None:
    """photo.i2 and song.i2."""
    assert main(["encode", "photo.png", "song.wav", *FAST]) == 0


def fed(name: str, data: bytes) -> threading.Thread:
    """A named pipe that gets these bytes once."""
    os.mkfifo(name)
    thread = threading.Thread(target=lambda: Path(name).write_bytes(data), daemon=True)
    thread.start()
    return thread


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("source", ["photo.png", "song.wav"])
def test_a_pipe_by_its_path_is_read_once_by_every_verb(source: str) -> None:
    data = Path(source).read_bytes()
    fed("in", data)
    assert main(["encode", "in", "-o", "out.i2", *FAST]) == 0
    fed("packed", Path("out.i2").read_bytes())
    assert main(["decode", "packed", "-O", "decoded"]) == 0
    assert len(os.listdir("decoded")) == 1
    fed("again", Path("out.i2").read_bytes())
    fed("source", data)
    assert main(["verify", "again", "--against", "source"]) == 0
    fed("info", Path("out.i2").read_bytes())
    assert main(["info", "info"]) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
@pytest.mark.parametrize("kind", ["SIGHUP", "SIGTERM"])
def test_a_terminal_that_is_closed_leaves_no_temporary_file(kind: str, packed: None) -> None:
    command = [sys.executable, "-m", "i2compress", "decode", "photo.i2", "--size", "9000x7200", "-o", "o.png"]
    heeded = partial(signal.signal, getattr(signal, kind), signal.SIG_DFL)  # also where these tests run under nohup
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL, preexec_fn=heeded) as running:
        try:
            for _ in range(400):
                if any(name.endswith(".i2tmp") for name in os.listdir()):
                    break
                time.sleep(0.05)
            else:
                pytest.fail("no file was begun")
            running.send_signal(getattr(signal, kind))
            assert running.wait(20) == 143
        finally:
            running.kill()
    assert not [name for name in os.listdir() if name.endswith(".i2tmp") or name == "o.png"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["encode", "photo.png", "--seed", "-1"], "seed is -1; expected 0 to"),
        (["encode", "photo.png", "-o", "x.jpg"], "the name of a jpeg file"),
        (["decode", "photo.i2", "-o", "x.png", "--format", "jpg"], "--format is jpeg and --output ends in .png"),
        (["decode", "photo.i2", "-o", "x.jpg", "--depth", "16"], "x.jpg would hold 8 bits"),
        (["decode", "photo.i2", "--scale", "2y"], "scale is '2y'; expected a positive number"),
        (["decode", "photo.i2", "--size", "x"], "size is 'x'; expected WIDTHxHEIGHT"),
        (["decode", "photo.i2", "--time", "0:1"], "--time is for sound and a video, and this is a picture, which takes --crop"),
        (["decode", "song.i2", "--scale", "2"], "--scale is for a picture and a video, and this is sound, which takes --rate and --time"),
        (["decode", "song.i2", "-o", "x.png"], "png holds a picture, and this is sound"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_that_says_what_to_do(
    args: list[str], said: str, packed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(args) == 2
    shown = capsys.readouterr().err
    assert said in shown and shown.count("\n") == 1
    assert not Path("x.jpg").exists() and not Path("x.png").exists()


def test_a_name_lies_more_often_than_its_content(capsys: pytest.CaptureFixture[str]) -> None:
    Image.open("photo.png").save("photo.jpg")
    os.rename("photo.jpg", "photo.wav")
    os.rename("song.wav", "song.png")
    assert main(["encode", "photo.wav", "song.png", "-O", "out", "--json", *FAST]) == 0
    assert [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()] == ["image", "audio"]


def test_a_format_in_capitals_gives_the_usual_extension(packed: None) -> None:
    assert main(["decode", "photo.i2", "--format", "JPEG"]) == 0
    assert Path("photo.i2.jpg").exists()


def test_a_flat_picture_is_equal_to_its_source_or_has_a_sensible_figure(capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (16, 16), 0).save("flat.png")
    assert main(["encode", "flat.png", "--steps", "30", "--threads", "1"]) == 0
    shown = capsys.readouterr().err
    assert "equal to its source" in shown or float(shown.split(" dB")[0].split()[-1]) < 60


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_lack_of_resources_wherever_the_output_goes(packed: None) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for verb in ("decode", "encode"):
        source = ["photo.i2"] if verb == "decode" else ["photo.png", *FAST]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "i2compress", verb, *source, "-o", "-"], env=environment, stdout=full, stderr=subprocess.PIPE
            )
        assert done.returncode == 7, done.stderr
        assert b"disk is full" in done.stderr and b"Traceback" not in done.stderr


def test_standard_output_that_is_closed_is_named(packed: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["decode", "photo.i2", "-o", "-"]) == 2
    assert "standard output is closed" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "scale"), [("2", 2), ("2x", 2), ("200%", 2), ("0.5X", 0.5), (".5", 0.5), ("1e2", 100)])
def test_scales_as_people_write_them(text: str, scale: float) -> None:
    assert parse_scale(text) == scale


@pytest.mark.parametrize(("text", "grid"), [("40x8", (8, 40)), ("40x", (32, 40)), ("x8", (8, 10)), ("1x", (1, 1))])
def test_a_size_of_one_side_keeps_the_proportions(text: str, grid: tuple[int, int], packed: None) -> None:
    assert i2compress.open("photo.i2").output(View(size=parse_size(text))).grid == grid


@pytest.mark.parametrize("seconds", ["1s", "3s"])
def test_a_time_limit_counts_what_is_loaded_too(seconds: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "i2compress", "encode", "photo.png", "-e", "9", "--time-limit", seconds, "--threads", "1", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    record = json.loads(done.stdout)
    assert record["steps"] < 15000
    assert b"the time limit left" in done.stderr or record["steps"] >= 40


@pytest.mark.parametrize(
    "source",
    [lambda: "photo.png", lambda: Path("photo.png"), lambda: Image.open("photo.png"), lambda: np.asarray(Image.open("photo.png"))[::-1, ::-1]],
    ids=["name", "path", "Pillow", "strides"],
)
def test_the_api_takes_what_people_have(source: Callable[[], object]) -> None:
    data = i2compress.encode(source(), FIT)  # type: ignore[arg-type]
    Path("api.i2").write_bytes(data)
    assert i2compress.decode(data).values.shape == i2compress.decode("api.i2").values.shape == (16, 20, 3)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"bytes", "source is bytes; expected a path"),
        ([[1, 2], [3]], "array"),
        ([[1, 2], [3, 4]], "array is int64; expected uint8"),
        (np.zeros((0, 4), np.uint8), "at least one sample"),
        (np.zeros((4, 4), bool), "array is bool"),
        (np.full((4, 4), None), "array is object"),
        (np.full((4, 4), np.inf), "NaN or infinite"),
        (np.zeros(5), r"shape \(5,\)"),
        ("missing.png", "no such file"),
    ],
)
def test_the_api_says_what_it_expected(source: object, said: str) -> None:
    with pytest.raises(SignalError, match=said):
        i2compress.encode(source, FIT)  # type: ignore[arg-type]


def test_a_sound_by_its_path_and_a_setting_that_it_does_not_have() -> None:
    assert i2compress.decode(i2compress.encode("song.wav", FIT)).rate == 8000
    with pytest.raises(UsageError, match="--bitrate is for sound, and this is a picture"):
        i2compress.encode("photo.png", EncodeSettings(bitrate=24000))
