"""What the documentation says is so: its commands run, its tables are the code's, its links lead somewhere."""

import glob
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cli_reference
import numpy as np
import pytest
from shapes import ply, sphere
from sounds import chord, wav

from i2compress import efforts, media
from i2compress.cli import main
from i2compress.efforts import EFFORTS, Effort
from i2compress.kinds import Kind
from i2compress.signal import Layout, from_codes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
FIRST, SECOND, *EXAMPLES = BLOCKS
COMMANDS = [line.split(" #")[0].strip() for block in EXAMPLES for line in block.splitlines() if line.strip()]
SHELL = re.compile(r"[|<>;&]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like the README's reader has, with two small photographs."""
    from PIL import Image

    with Image.open(ROOT / "tests" / "media" / "coffee.png") as coffee:
        coffee.resize((192, 128)).save(tmp_path / "photo.png")
        coffee.crop((0, 0, 40, 30)).save(tmp_path / "other picture.png")
    (tmp_path / "song.wav").write_bytes(wav(chord(1.0)))
    moving = np.stack([np.roll(np.asarray(Image.open(tmp_path / "other picture.png").convert("RGB")), t, 1) for t in range(6)])
    with media.open_writer(tmp_path / "clip.mp4", Layout(kind=Kind.VIDEO, grid=moving.shape[:3], channels=3, rate=5)) as sink:
        sink.write(from_codes(moving))
    return tmp_path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every effort in a few steps."""
    for level in EFFORTS:
        monkeypatch.setitem(efforts.EFFORTS, level, Effort(3, 1))
        monkeypatch.setitem(efforts.STARTED_STEPS, level, 3)
        monkeypatch.setitem(efforts.COORDINATE_STEPS, level, 3)
        monkeypatch.setitem(efforts.VIDEO_STEPS, level, 3)


def test_the_examples_run_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    run = [line for line in COMMANDS if not SHELL.search(line)]
    assert len(run) > 12
    for line in run:
        if line.startswith("find "):
            continue
        if "bunny.ply" in line:  # not before, as the tree of all that is here would have it at its full size
            (folder / "bunny.ply").write_bytes(ply(sphere()))
        line = line.replace("--min-psnr 20", "--min-psnr 5")  # three steps do not make a good picture
        line = re.sub("encode bunny.ply( --grid 64)?", "encode bunny.ply --grid 20", line)
        words = [found for word in shlex.split(line)[1:] for found in (sorted(glob.glob(word)) if "*" in word else [word])]
        assert main(words) == 0, line
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {
        "photo.i2",
        "photo.i2.png",
        "photo.i2@4x.png",
        "large.png",
        "thumbnail.jpg",
        "part.png",
        "deep.tiff",
        "unpacked/photo.i2.png",
        "song.i2.wav",
        "phone.wav",
        "part.flac",
        "clip.i2.mp4",
        "smooth.mkv",
        "frame-0003.png",
    } <= names
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(code, "README.md", "exec"), {})


@pytest.mark.slow
def test_the_examples_with_pipes_and_loops_run_in_a_shell(folder: Path) -> None:
    tools = folder / "bin"
    tools.mkdir()
    script = (
        f"#!{sys.executable}\nimport sys\nfrom i2compress import efforts\n"
        "efforts.EFFORTS.update({level: efforts.Effort(3, 1) for level in efforts.EFFORTS})\n"
        "from i2compress.cli import main\nsys.exit(main())\n"
    )
    (tools / "i2c").write_text(script)
    (tools / "i2c").chmod(0o755)
    lines = [line for line in COMMANDS if SHELL.search(line) or line.startswith("find ")]
    assert len(lines) == 4
    environment = {"OMP_NUM_THREADS": "1", "PATH": f"{tools}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-euc", "\n".join(lines)], cwd=folder, env=environment, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"P6\n192 128\n255\n")
    assert (folder / "found" / "other picture.i2").exists() and (folder / "loop" / "photo.i2").exists()


def test_the_first_two_commands_set_everything_up_and_are_what_continuous_integration_does() -> None:
    setup = "python3 -m venv .venv && .venv/bin/pip install -q -e "
    assert FIRST.startswith(setup) and "tests/media/coffee.png" in FIRST and "--scale 4" in FIRST
    assert (ROOT / "tests" / "media" / "coffee.png").exists()
    assert SECOND.startswith(setup) and SECOND.strip().endswith("python -m pytest")
    extras = SECOND.split("pip ")[1].split(" &&")[0]
    assert extras in (ROOT / ".ci" / "run").read_text().replace('/pip"', "/pip")


def test_the_first_command_is_one_that_the_parser_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests" / "media", tmp_path / "tests" / "media")
    for part in FIRST.strip().split(" && ")[2:]:
        assert main(shlex.split(part)[1:]) == 0
    assert Path("build/coffee.i2@4x.png").exists()


def test_the_table_of_efforts_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \|$", README, re.MULTILINE)
    assert len(rows) == len(EFFORTS)
    assert {int(level): Effort(int(steps), int(candidates)) for level, steps, candidates in rows} == written_efforts()


def written_efforts() -> dict[int, Effort]:
    """EFFORTS as in the source, whatever a fixture has made of it."""
    source = (ROOT / "i2compress" / "efforts.py").read_text(encoding="utf-8")
    return {int(a): Effort(int(b), int(c)) for a, b, c in re.findall(r"^    (\d): Effort\((\d+), (\d+)\),$", source, re.MULTILINE)}


def test_the_page_of_options_is_the_parser_s() -> None:
    assert cli_reference.PAGE.read_text(encoding="utf-8") == cli_reference.reference(), "run: python tests/cli_reference.py"


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))])
def test_links_and_named_files_of_the_documentation_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("https://") or ((ROOT / page).parent / target).exists(), target
    for name in re.findall(r"`((?:tests|docs|i2compress)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name
