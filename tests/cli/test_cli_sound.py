"""Sound on the command line: names, formats, parts, rates, streams and refusals."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from cli_fakes import Tool
from sounds import RATE, chord, wav

FAST = ["--steps", "10", "--threads", "1"]


@dataclass
class Ran:
    """What a run of i2c said."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


Run = Callable[..., Ran]


@pytest.fixture
def tool(i2c: Tool, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The tool, with standard input where it is given."""

    def run(*args: str, stdin: bytes | None = None) -> Ran:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        code = i2c(*args)
        return Ran(code, i2c.out, i2c.err)

    return run


@pytest.fixture
def song(tool: Run) -> Run:
    """The tool in a folder with song.flac of 24 bits and its song.i2."""
    Path("song.flac").write_bytes(wav(chord(0.5, 2), format="FLAC", subtype="PCM_24"))
    assert tool("encode", "song.flac", *FAST).code == 0
    return tool


def test_a_sound_decodes_beside_its_source_in_its_format_and_depth(song: Run) -> None:
    assert song("decode", "song.i2").code == 0
    found = soundfile.info("song.i2.flac")
    assert (found.samplerate, found.channels, found.frames, found.subtype) == (RATE, 2, RATE // 2, "PCM_24")


def test_the_output_has_the_format_depth_rate_and_part_asked_for(song: Run) -> None:
    assert song("decode", "song.i2", "-o", "part.wav", "--depth", "16", "--rate", "16000", "--time", "0.1:0.3").code == 0
    found = soundfile.info("part.wav")
    assert (found.samplerate, found.frames, found.subtype) == (16000, 3200, "PCM_16")


def test_a_part_is_that_part_of_the_whole(song: Run) -> None:
    for name, more in (("whole.wav", []), ("part.wav", ["--time", "0.25:"])):
        assert song("decode", "song.i2", "-o", name, *more).code == 0
    assert np.array_equal(soundfile.read("part.wav")[0], soundfile.read("whole.wav")[0][RATE // 4 :])


def test_info_and_verify_know_sound(song: Run) -> None:
    shown = song("info", "song.i2")
    assert "I2 audio, 0.5 s, 8000 Hz, stereo, 24 bit" in shown.out
    fields = json.loads(song("info", "song.i2", "--json").out)
    assert (fields["kind"], fields["samples"], fields["rate"], fields["channels"]) == ("audio", 4000, RATE, 2)
    assert sum(chunk["bytes"] for chunk in fields["chunks"]) == fields["bytes"] == Path("song.i2").stat().st_size
    assert "dB SNR" in song("verify", "song.i2", "--against", "song.flac").out
    assert song("verify", "song.i2", "--against", "song.flac", "--min-psnr", "200").code == 6


def test_verify_refuses_another_sound(song: Run) -> None:
    Path("other.wav").write_bytes(wav(chord(0.4, 2)))
    assert song("verify", "song.i2", "--against", "other.wav").code == 4


def test_sound_goes_through_pipes(song: Run) -> None:
    encoded = song("encode", "-", "-o", "-", *FAST, stdin=wav(chord(0.2)))
    assert encoded.code == 0
    decoded = song("decode", "-", "-o", "-", stdin=encoded.raw)
    assert decoded.code == 0
    assert soundfile.info(io.BytesIO(decoded.raw)).frames == RATE // 5


def test_a_bitrate_is_read_in_thousands_and_met(tool: Run) -> None:
    Path("song.wav").write_bytes(wav(chord(2.0)))
    assert tool("encode", "song.wav", "--bitrate", "12k", "--steps", "50", "--threads", "1", "--tune", "snr").code == 0
    assert 8 * Path("song.i2").stat().st_size / 2 == pytest.approx(12000, rel=0.03)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["encode", "song.flac", "--bitrate", "12x", "-f"], 2),
        (["encode", "song.flac", "--bitrate", "12k", "-q", "30", "-f"], 2),
        (["encode", "silent.wav", "none.wav"], 1),
        (["encode", "none.wav"], 4),
        (["encode", "nan.wav"], 4),
        (["encode", "text.wav"], 4),
        (["decode", "song.i2", "--scale", "2"], 2),
        (["decode", "song.i2", "--rate", "0"], 2),
        (["decode", "song.i2", "--time", "3"], 2),
        (["decode", "song.i2", "--time", "3:4"], 2),
        (["decode", "song.i2", "--time", "0.3:0.2"], 2),
        (["decode", "song.i2", "-o", "x.png"], 2),
        (["decode", "song.i2", "--max-samples", "10"], 2),
        (["decode", "cut.i2"], 5),
        (["decode", "cut.i2", "--allow-partial"], 0),
        (["encode", "silent.wav"], 0),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_its_exit_code(song: Run, args: list[str], code: int) -> None:
    nan = chord(0.1)
    nan[5] = np.nan
    Path("nan.wav").write_bytes(wav(nan, subtype="FLOAT"))
    Path("text.wav").write_text("no sound")
    Path("silent.wav").write_bytes(wav(np.zeros((1, 1), np.float32)))
    Path("cut.i2").write_bytes(Path("song.i2").read_bytes()[:-20])
    run = song(*args)
    assert run.code == code
    assert "Traceback" not in run.err
    if code not in (0, 1):
        assert run.err.startswith("error: ") and run.err.count("\n") == 1


def test_a_picture_has_no_rate_and_no_bitrate(tool: Run) -> None:
    from PIL import Image

    Image.new("L", (8, 8), 100).save("photo.png")
    assert tool("encode", "photo.png", "--bitrate", "10k").code == 2
    assert tool("encode", "photo.png", "--steps", "3").code == 0
    assert tool("decode", "photo.i2", "--rate", "8000").code == 2


def test_sound_and_pictures_go_in_one_run(tool: Run) -> None:
    from PIL import Image

    Image.new("L", (8, 8), 100).save("photo.png")
    Path("song.wav").write_bytes(wav(chord(0.1)))
    assert tool("encode", "photo.png", "song.wav", "-O", "out", *FAST).code == 0
    assert tool("decode", "out/photo.i2", "out/song.i2").code == 0
    assert Path("out/photo.i2.png").exists() and Path("out/song.i2.wav").exists()
