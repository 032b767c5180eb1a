"""doctor, refine, presets, the environment, i2c alone, completion, and files that ask for too much; with the real codec."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cli_fakes
import numpy as np
import pictures
import pytest
import shapes
from PIL import Image

import i2compress
from i2compress import codec, config, efforts
from i2compress.cli import main
from i2compress.config import View
from i2compress.container import Container, Header, read, write
from i2compress.efforts import EFFORTS, Effort
from i2compress.errors import ResourceError
from i2compress.field import priors
from i2compress.media import MEDIA

ROOT = Path(__file__).parent.parent.parent
I2C = [sys.executable, "-m", "i2compress"]
CPU = ["--threads", "1", "--device", "cpu"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tool(i2c: cli_fakes.Tool) -> Run:
    """The command line: its exit code, and what it says on stdout and stderr."""

    def run(*args: str) -> tuple[int, str, str]:
        return i2c(*args), i2c.out.decode(), i2c.err

    return run


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """photo.png, 40x30."""
    with Image.open(ROOT / "tests" / "media" / "coffee.png") as coffee:
        coffee.convert("RGB").crop((60, 60, 100, 90)).save(tmp_path / "photo.png")
    return "photo.png"


def shell(words: list[str], folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([*I2C, *words], cwd=folder, env=given, capture_output=True, text=True, check=False, timeout=120)


def test_doctor_finds_all_well_says_what_there_is_and_tries_every_kind_of_media(tool: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text, _ = tool("doctor", "--device", "cpu")
    assert code == 0 and "all is well" in text and all(medium.noun in text for medium in MEDIA.values())
    code, text, _ = tool("doctor", "--device", "cpu", "--json")
    found = json.loads(text)
    assert code == 0 and (found["verb"], found["status"], found["device"]) == ("doctor", "ok", "cpu")
    assert {trial["kind"] for trial in found["trials"]} == {kind.name.lower() for kind in MEDIA} and all(trial["ok"] for trial in found["trials"])
    assert found["libraries"]["numpy"] == np.__version__ and found["memory"] > 0 and found["cores"] >= 1
    assert {device["name"] for device in found["devices"]} >= {"cpu"}


def test_doctor_says_what_fails_with_its_exit_code(tool: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ResourceError("not enough memory for the fit")

    monkeypatch.setattr(codec, "encode", broken)
    code, text, said = tool("doctor", "--device", "cpu")
    assert code == 7 and "something is wrong" in text and "image: not enough memory" in said and "Traceback" not in said
    assert tool("doctor", "--device", "cuda:99")[0] == 7 and tool("doctor", "--device", "tpu")[0] == 2
    doctor = sys.modules["i2compress.cli.doctor"]  # its name in the package is the verb's
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    assert set(doctor.versions().values()) <= {(None, use) for use in ("own", doctor.NEEDED, doctor.OPTIONAL)}


def test_refine_makes_a_file_better_or_leaves_it_and_never_worse(tool: Run, photo: str) -> None:
    path = Path("photo.i2")
    assert tool("encode", photo, "-q", "60", "--steps", "8", *CPU)[0] == 0
    poor = path.read_bytes()
    code, text, _ = tool("refine", "photo.i2", "--from", photo, "--steps", "120", "--json", *CPU)
    found, good = json.loads(text), path.read_bytes()
    assert code == 0 and found["refined"] and good != poor and found["bytes"] == len(good) and found["bytes_before"] == len(poor)
    assert read(good).header.lam_code == read(poor).header.lam_code
    lam = read(good).header.lam
    assert lam is not None
    loss = [10 ** (-found[psnr] / 10) + lam * 8 * count / 1200 for psnr, count in (("psnr", len(good)), ("psnr_before", len(poor)))]
    assert loss[0] < loss[1]
    code, _, said = tool("refine", "photo.i2", "--from", photo, "--steps", "3", *CPU)
    assert code == 0 and "stays as it is" in said and path.read_bytes() == good
    assert tool("refine", "photo.i2", "--from", photo, "--steps", "3", "-o", "other.i2", *CPU)[0] == 0
    assert Path("other.i2").read_bytes() == good


def test_refine_refuses_another_source_and_a_damaged_file_and_writes_nothing(tool: Run, photo: str) -> None:
    assert tool("encode", photo, "--steps", "3", *CPU)[0] == 0
    data = Path("photo.i2").read_bytes()
    Image.new("RGB", (9, 9)).save("other.png")
    code, _, said = tool("refine", "photo.i2", "--from", "other.png", *CPU)
    assert code == 4 and "the source is 9x9 RGB8; expected 40x30 RGB8" in said
    Path("broken.i2").write_bytes(data[:-5])
    assert tool("refine", "broken.i2", "--from", photo, *CPU)[0] == 5
    assert tool("refine", "missing.i2", "--from", photo, *CPU)[0] == 4
    assert Path("photo.i2").read_bytes() == data and not list(Path().glob(".*"))


def test_refine_takes_a_mesh_that_its_file_was_made_from_and_no_other(tool: Run) -> None:
    Path("ball.ply").write_bytes(shapes.ply(shapes.sphere(rings=8)))
    Path("far.ply").write_bytes(shapes.ply(shapes.box((5, 5, 5), (6, 6, 6))))
    assert tool("encode", "ball.ply", "--grid", "22", "--steps", "3", *CPU)[0] == 0
    poor = Path("ball.i2").read_bytes()
    code, text, _ = tool("refine", "ball.i2", "--from", "ball.ply", "--steps", "60", "--json", *CPU)
    found, good = json.loads(text), Path("ball.i2").read_bytes()
    assert code == 0 and found["refined"] and good != poor
    grids = [(of.grid, of.frame.corner, of.frame.spacing) for of in (codec.I2File.from_bytes(data).layout for data in (good, poor))]
    assert grids[0] == grids[1]
    code, _, said = tool("refine", "ball.i2", "--from", "ball.ply", "--steps", "3", *CPU)
    assert code == 0 and "stays as it is" in said and Path("ball.i2").read_bytes() == good
    Path("other.ply").write_bytes(shapes.ply(shapes.box((-0.9, -0.9, -0.9), (0.7, 0.9, 0.9))))  # inside the grid, and another one's
    code, _, said = tool("refine", "ball.i2", "--from", "other.ply", "--steps", "60", *CPU)
    assert code == 4 and "give the source that it was made from" in said and Path("ball.i2").read_bytes() == good
    for verb, option in (("refine", "--from"), ("verify", "--against")):
        code, _, said = tool(verb, "ball.i2", option, "far.ply", *CPU[:2])
        assert code == 4 and "the source reaches from (5.0, 5.0, 5.0)" in said and "give the source that it was made from" in said


def test_refine_weighs_errors_as_it_is_told(tool: Run, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tool("encode", photo, "--steps", "3", *CPU)[0] == 0
    seen: list[config.EncodeSettings] = []
    real = codec.encode
    monkeypatch.setattr(codec, "encode", lambda source, settings, **more: seen.append(settings) or real(source, settings, **more))
    assert tool("refine", "photo.i2", "--from", photo, "--tune", "psnr", "--steps", "3", *CPU)[0] == 0 and seen[-1].tune == "psnr"
    assert tool("refine", "photo.i2", "--from", photo, "--tune", "loud", "--steps", "3", *CPU)[0] == 2


def test_a_file_that_begins_at_a_start_is_refined_from_it_and_says_so(tool: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("large.png").write_bytes(pictures.written(pictures.noise(64, 72, 3), "png"))
    seen: list[config.EncodeSettings] = []
    real = codec.encode
    monkeypatch.setattr(codec, "encode", lambda source, settings, **more: seen.append(settings) or real(source, settings, **more))
    tables = {name: table.astype(float) for name, table in priors.shipped().tables.items()}  # type: ignore[union-attr]
    tables["b"] += 1
    own = tmp_path / "my starts" / "own.npz"
    own.parent.mkdir()
    priors.write_start(own, tables)
    monkeypatch.setenv(priors.VARIABLE, str(own))
    for start, again in (("none", "auto"), ("trained", "trained"), (str(own), str(own))):
        assert tool("encode", "large.png", "--start", start, "--steps", "3", "-f", *CPU)[0] == 0
        words = shlex.split(tool("info", "large.i2", "--as-args")[1])
        assert words[words.index("--start") + 1] == start
        assert tool("refine", "large.i2", "--from", "large.png", "--steps", "3", *CPU)[0] == 0 and seen[-1].start == again


def test_info_shows_the_command_that_makes_such_a_shape(tool: Run) -> None:
    Path("ball.ply").write_bytes(shapes.ply(shapes.sphere(rings=8)))
    points, normals = shapes.sphere(rings=8)[0], shapes.sphere(rings=8)[0]
    Path("cloud.ply").write_bytes(shapes.cloud(points, normals))
    siren = ["--field", "siren", "--width", "6", "--grid", "20"]
    asked = {"ball.ply": ["--grid", "24", "--lambda", "0.003"], "./ball.ply": [*siren, "--surface", "occupancy"], "cloud.ply": siren}
    for source, words in asked.items():
        assert tool("encode", source, "-o", "a.i2", *words, "--steps", "2", "-f", *CPU)[0] == 0
        found = tool("info", "a.i2", "--as-args")[1].split()
        assert tool("encode", source, *found[3:], "--steps", "2", "-o", "b.i2", "-f", *CPU)[0] == 0
        assert tool("info", "b.i2", "--as-args")[1].split() == found
        one, other = (codec.I2File.from_bytes(Path(name).read_bytes()).layout for name in ("a.i2", "b.i2"))
        assert one == other


def test_info_shows_the_command_that_makes_such_a_file(tool: Run, photo: str) -> None:
    assert tool("encode", photo, "-o", "a.i2", "--lambda", "0.002", "--explicit", "--width", "8", "--steps", "3", *CPU)[0] == 0
    assert tool("encode", photo, "-o", "b.i2", "--field", "siren", "--width", "6", "--layers", "2", "--no-contract", "--steps", "3", *CPU)[0] == 0
    for name in ("a.i2", "b.i2"):
        code, text, _ = tool("info", name, "--as-args")
        words = text.split()
        assert code == 0 and words[:3] == ["i2c", "encode", "INPUT"]
        assert tool("encode", photo, *words[3:], "--steps", "3", "-o", f"again-{name}", *CPU)[0] == 0
        assert read(Path(f"again-{name}").read_bytes()).header == read(Path(name).read_bytes()).header


def test_a_preset_gives_defaults_that_the_command_line_and_the_environment_go_before(tool: Run, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[config.EncodeSettings] = []
    real = codec.encode
    monkeypatch.setattr(codec, "encode", lambda source, settings, **more: seen.append(settings) or real(source, settings, **more))
    Path("web.toml").write_text(
        'quality = 60\nsteps = 3\ntime-limit = "2m"\nthreads = 1\ndevice = "cpu"\n[encode]\nstrip = true\n[decode]\ndepth = 16\n', encoding="utf-8"
    )
    assert tool("encode", photo, "--preset", "web.toml", "-q", "70", "-f")[0] == 0
    assert (seen[-1].quality, seen[-1].steps, seen[-1].time_limit is not None, seen[-1].strip) == (70, 3, True, True)
    monkeypatch.setenv("I2C_ENCODE_QUALITY", "33")
    assert tool("encode", photo, "--preset", "web.toml", "-f")[0] == 0 and seen[-1].quality == 33
    monkeypatch.setenv("I2C_ENCODE_PRESET", "web.toml")
    assert tool("encode", photo, "-f")[0] == 0 and seen[-1].steps == 3
    assert tool("decode", "photo.i2", "--preset", "web.toml", "-o", "deep.png")[0] == 0
    assert tool("verify", "deep.png")[0] == 5 and Path("deep.png").read_bytes()[24] == 16


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speed = 3", "'speed', which is no option"),
        ("[encode]\nscale = 2", "'scale' for encode"),
        ("quality = [", "is not a TOML file"),
        ("quality = 1979-05-27", "has a date"),
        ("quality = 101", "quality is 101"),
        ("effort = 'fast'", "effort"),
    ],
)
def test_a_preset_that_makes_no_sense_is_a_usage_error_in_one_sentence(tool: Run, photo: str, text: str, said: str) -> None:
    Path("p.toml").write_text(text, encoding="utf-8")
    code, _, message = tool("encode", photo, "--preset", "p.toml")
    assert code == 2 and said in message and "Traceback" not in message
    assert tool("encode", photo, "--preset", "missing.toml")[0] == 2


def test_i2c_alone_shows_eight_examples_and_their_verbs_exist(tool: Run) -> None:
    code, text, _ = tool()
    examples = [line.split() for line in text.splitlines() if line.startswith("  i2c ")]
    assert code == 0 and len(examples) == 8 and "i2c --help" in text
    assert all(tool(words[1], "--help")[0] == 0 for words in examples)


def test_shells_complete_verbs_and_options(tmp_path: Path) -> None:
    for words, wanted in (("i2c dec", "decode"), ("i2c encode --tim", "--time-limit"), ("i2c re", "refine")):
        done = shell([], tmp_path, _I2C_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
        assert done.returncode == 0 and wanted in done.stdout.split(), done


def bomb(height: int, width: int, iterations: int = 64) -> bytes:
    """A whole file of few bytes that asks for much."""
    params = (64, 6, 64, 13, 8, iterations, 64)
    header = Header(kind=0, grid=(height, width), channels=3, bit_depth=8, field=0, params=params, prior=0, streams=1)
    return write(Container(header=header, weights=b"", latents=(b"",)))


def test_a_small_file_that_asks_for_much_time_or_memory_is_refused_before_anything_is_done(tool: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bomb.i2").write_bytes(bomb(8192, 16384))
    assert Path("bomb.i2").stat().st_size < 120
    for verb in ("decode", "verify"):
        code, _, said = tool(verb, "bomb.i2", "--threads", "1")
        assert code == 7 and "would take about" in said and "--any-cost" in said
    monkeypatch.setattr(codec, "MOST_SECONDS", float("inf"))
    monkeypatch.setattr(codec, "MOST_MEMORY", 0.001)
    code, _, said = tool("decode", "bomb.i2")
    assert code == 7 and "GB of memory" in said
    code, _, said = tool("decode", "bomb.i2", "--any-cost")
    assert code == 5  # its weights are no weights, which shows that it was begun


def test_what_a_decode_takes_grows_with_what_is_asked_for_and_an_ordinary_one_is_far_from_the_limit(photo: str, tool: Run) -> None:
    assert tool("encode", photo, "--steps", "3", *CPU)[0] == 0
    data, medium = Path("photo.i2").read_bytes(), MEDIA[i2compress.Kind.IMAGE]
    whole, twice, large = (medium.cost(data, View(scale=scale)).seconds for scale in (None, 2, 60))
    assert 0 < whole < twice < large
    assert medium.cost(data, View(crop=(3, 3, 1, 1), scale=1000)).seconds < 300
    assert medium.cost(bomb(4000, 6000, iterations=12), View()).seconds < codec.MOST_SECONDS
    codec.check_cost(data)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every effort in a few steps."""
    for level in EFFORTS:
        monkeypatch.setitem(efforts.EFFORTS, level, Effort(3, 1))


def test_a_closed_environment_variable_of_another_version_is_not_an_option(tool: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("I2C_VERSION", "0.1.0")
    assert tool("help")[0] == 0 and main(["help"]) == 0
