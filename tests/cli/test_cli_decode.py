"""i2c decode, info and verify."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cli_fakes import FakeMedium, Tool, packed, picture

from i2compress import media
from i2compress.kinds import Kind
from i2compress.signal import Layout, to_codes


def codes(path: str) -> np.ndarray:
    """The picture's samples, 8 bit."""
    return to_codes(media.read(path).values, 8)


def test_a_decoded_file_never_lands_on_its_source(codec: FakeMedium, i2c: Tool) -> None:
    source = picture("a.png")
    assert i2c("encode", "a.png") == 0
    assert i2c("decode", "a.i2") == 0
    assert Path("a.png").read_bytes() == source
    assert np.array_equal(codes("a.i2.png"), codes("a.png"))
    assert i2c.out == b"" and i2c.err.startswith("a.i2.png: 30x20 RGB8, ")


@pytest.mark.parametrize(
    ("args", "name", "shape"),
    [
        (["--scale", "4"], "a.i2@4x.png", (16, 24, 3)),
        (["--scale", "0.5"], "a.i2@0.5x.png", (2, 3, 3)),
        (["--size", "10x7"], "a.i2.png", (7, 10, 3)),
        (["--format", "ppm"], "a.i2.ppm", (4, 6, 3)),
        (["-o", "b.ppm"], "b.ppm", (4, 6, 3)),
        (["-O", "out"], "out/a.i2.png", (4, 6, 3)),
    ],
)
def test_the_output_is_named_by_what_it_is(args: list[str], name: str, shape: tuple[int, ...], codec: FakeMedium, i2c: Tool) -> None:
    packed("a.i2")
    assert i2c("decode", "a.i2", *args) == 0
    assert codes(name).shape == shape


def test_sixteen_bits_can_be_asked_for(codec: FakeMedium, i2c: Tool) -> None:
    packed("a.i2")
    assert i2c("decode", "a.i2", "--depth", "16") == 0
    assert media.read("a.i2.png").bit_depth == 16


def test_an_existing_picture_is_refused(codec: FakeMedium, i2c: Tool) -> None:
    packed("a.i2")
    Path("a.i2.png").write_bytes(b"precious")
    assert i2c("decode", "a.i2") == 3
    assert Path("a.i2.png").read_bytes() == b"precious"
    assert i2c("decode", "a.i2", "--force") == 0


def test_outputs_beyond_the_pixel_limit_are_refused(codec: FakeMedium, i2c: Tool) -> None:
    packed("a.i2")
    assert i2c("decode", "a.i2", "--scale", "1e5") == 2
    assert "600000x400000 pixels" in i2c.err and "--max-pixels" in i2c.err
    assert i2c("decode", "a.i2", "--max-pixels", "23") == 2
    assert i2c("decode", "a.i2", "--max-pixels", "24") == 0


def test_a_truncated_file_decodes_only_on_request(codec: FakeMedium, i2c: Tool) -> None:
    data = packed("a.i2")
    Path("a.i2").write_bytes(data[:-1])
    assert i2c("decode", "a.i2") == 5
    assert "--allow-partial" in i2c.err and os.listdir() == ["a.i2"]
    assert i2c("decode", "a.i2", "--allow-partial", "--json") == 0
    assert "warning: a.i2 was cut short" in i2c.err
    assert json.loads(i2c.out)["complete"] is False


def test_a_picture_streams_to_stdout(codec: FakeMedium, i2c: Tool) -> None:
    packed("a.i2")
    assert i2c("decode", "a.i2", "-o", "-", "--format", "ppm") == 0
    assert media.read(i2c.out).values.shape == (4, 6, 3)
    assert i2c("decode", "a.i2", "-o", "-") == 0
    assert i2c.out.startswith(b"\x89PNG")


def test_an_error_in_the_middle_leaves_no_picture(codec: FakeMedium, i2c: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocks(self: object, view: object) -> object:
        yield np.zeros((2, 6, 3), np.float32)
        raise MemoryError

    packed("a.i2")
    monkeypatch.setattr(codec.Content, "blocks", blocks)
    assert i2c("decode", "a.i2") == 7
    assert os.listdir() == ["a.i2"] and "not enough memory" in i2c.err


def test_info_shows_a_line_and_the_chunks(i2c: Tool) -> None:
    data = packed("a.i2")
    assert i2c("info", "a.i2") == 0
    first, *rest = i2c.out.decode().splitlines()
    assert first == f"a.i2: I2 image, 6x4 RGB8, {len(data)} B, {8 * len(data) / 24:.3f} bpp, lambda 0.00098, implicit pyramid"
    assert [line.split()[-5] for line in rest] == ["signature", "header", "icc", "weights", "latents"]
    assert sum(int(line.split()[-4]) for line in rest) == len(data)


def test_info_as_json_adds_up(i2c: Tool) -> None:
    data = packed("a.i2")
    assert i2c("info", "a.i2", "--json") == 0
    record = json.loads(i2c.out)
    assert (record["kind"], record["grid"], record["channels"], record["params"]) == ("image", [4, 6], 3, [16, 6])
    assert sum(chunk["bytes"] for chunk in record["chunks"]) == record["bytes"] == len(data)


def test_info_needs_no_codec(i2c: Tool) -> None:
    packed("a.i2")
    Path("b.i2").write_bytes(b"\x89PNG")
    assert i2c("info", "b.i2") == 5
    assert "not an .i2 file" in i2c.err
    assert i2c("info", "missing.i2") == 4
    assert i2c("info", "a.i2", "b.i2") == 1


def test_verify_measures_against_the_source(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    assert i2c("encode", "a.png") == 0
    assert i2c("verify", "a.i2") == 0
    assert i2c.out.startswith(b"a.i2: OK, 30x20 RGB8, decoded in ")
    assert i2c("verify", "a.i2", "--against", "a.png", "--json") == 0
    assert json.loads(i2c.out)["lossless"] is True
    packed("dark.i2")
    with media.open_writer("gray.png", Layout(kind=Kind.IMAGE, grid=(4, 6), channels=3)) as writer:
        writer.write(np.full((4, 6, 3), 51, np.uint8))
    assert i2c("verify", "dark.i2", "--against", "gray.png", "--min-psnr", "13.9") == 0
    assert b"13.98 dB PSNR" in i2c.out
    assert i2c("verify", "dark.i2", "--against", "gray.png", "--min-psnr", "14") == 6
    assert "expected at least 14 dB" in i2c.err


def test_verify_refuses_what_is_damaged_or_another_picture(codec: FakeMedium, i2c: Tool) -> None:
    picture("a.png")
    data = bytearray(packed("a.i2"))
    assert i2c("verify", "a.i2", "--against", "a.png") == 4
    assert "a.png is 30x20 RGB8; expected 6x4 RGB8" in i2c.err
    data[-6] ^= 1
    Path("a.i2").write_bytes(data)
    assert i2c("verify", "a.i2") == 5
    assert "CRC-32" in i2c.err
