"""The executable as shells, make and cron run it: patterns of scripts, several processes, signals, kills and full disks."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_fakes import picture
from PIL import Image

from i2compress.container import read

ROOT = Path(__file__).parent.parent.parent
FAKE = Path(__file__).parent / "fake_i2c.py"

Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A folder, and an i2c on the PATH whose pictures take no time."""
    monkeypatch.chdir(tmp_path)
    tools = tmp_path / ".tools"
    tools.mkdir()
    (tools / "i2c").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    (tools / "i2c").chmod(0o755)
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tools}:{os.environ['PATH']}"}


@pytest.fixture
def shell(environment: dict[str, str]) -> Shell:
    """Runs a line of shell."""

    def run(script: str, *, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(["bash", "-c", script], env=environment, input=given, capture_output=True, timeout=60, check=False)

    return run


def i2tmp() -> list[str]:
    """Temporary files that are there."""
    return [str(path) for path in Path().rglob(".*.i2tmp")]


def outputs() -> set[str]:
    """Finished files below out, each of which is whole."""
    found = set()
    for path in Path("out").rglob("*.i2"):
        read(path.read_bytes())
        found.add(str(path.relative_to("out")))
    return found


# Patterns of scripts


@pytest.mark.parametrize(
    ("script", "made"),
    [
        ('for f in *.png; do i2c encode "$f" --quiet; done', ["a b.i2", "c.i2"]),
        ("find . -name '*.png' -print0 | i2c encode --files-from - -0 -O out -j4", ["out/a b.i2", "out/c.i2", "out/sub/d.i2"]),
        ("find . -name '*.png' -exec i2c encode -O out --flat {} +", ["out/a b.i2", "out/c.i2", "out/d.i2"]),
        ("i2c encode *.png -O out && ls out/*.i2 | xargs -d '\\n' -P4 -n1 i2c decode", ["out/a b.i2.png", "out/c.i2.png"]),
        ('ls *.png > list; while read -r f; do i2c encode "$f"; done < list', ["a b.i2", "c.i2"]),
        ("cat c.png | i2c encode - -o - | i2c decode - -o - --format ppm > c.ppm", ["c.ppm"]),
        ("cat c.png | i2c encode - -o piped.i2 && i2c decode piped.i2 -o - --format png | cat > p.png", ["piped.i2", "p.png"]),
        ("i2c encode <(cat c.png) <(cat 'a b.png') -O out -j2", []),
        ("printf '%%.i2: %%.png\\n\\ti2c encode $< -o $@\\n' > Makefile && make -s -j2 c.i2 sub/d.i2", ["c.i2", "sub/d.i2"]),
        ("i2c encode . -r -O out --json -j2 | python3 -c 'import json,sys; [json.loads(l) for l in sys.stdin]'", ["out/a b.i2", "out/sub/d.i2"]),
        ("i2c encode -O out -- -dash.png && i2c decode -O out -- out/-dash.i2", ["out/-dash.i2.png"]),
    ],
)
def test_a_pattern_of_shell_scripts_works(script: str, made: list[str], shell: Shell) -> None:
    os.mkdir("sub")
    for name in ("a b.png", "c.png", "sub/d.png"):
        picture(name)
    if "-dash" in script:
        picture("./-dash.png")
    done = shell(f"set -o pipefail; {script}")
    assert done.returncode == 0, done.stderr.decode()
    for name in made:
        assert Path(name).stat().st_size > 0, name
    assert i2tmp() == [] and b"Traceback" not in done.stderr


def test_stdin_is_read_only_where_it_is_asked_for(shell: Shell) -> None:
    picture("c.png")
    done = shell(
        "(i2c encode c.png --quiet; i2c decode c.i2 --quiet; i2c verify c.i2 --quiet >/dev/null; i2c info c.i2 >/dev/null); cat", given=b"rest"
    )
    assert done.stdout == b"rest"


# Several processes


def test_processes_make_what_one_makes_and_each_file_is_one_object(shell: Shell) -> None:
    for number in range(6):
        picture(f"{number}.png", height=20 + number)
    Path("bad.png").write_bytes(b"no picture")
    one, several = shell("i2c encode *.png -O one --json"), shell("i2c encode *.png -O several --json -j2")
    assert one.returncode == several.returncode == 1
    assert {path.name: path.read_bytes() for path in Path("one").iterdir()} == {path.name: path.read_bytes() for path in Path("several").iterdir()}
    first, second = ({record["input"]: record for record in map(json.loads, done.stdout.splitlines())} for done in (one, several))
    assert first.keys() == second.keys() and len(first) == 7 and all(record["schema"] == 1 for record in second.values())
    assert second["bad.png"]["exit_code"] == 4
    assert b"6 of 7 files done, 1 failed" in several.stderr


@pytest.mark.parametrize(("most", "code"), [(1, 0), (9, 1)])
def test_a_worker_that_dies_is_reported_and_its_file_tried_once_more(most: int, code: int, shell: Shell, environment: dict[str, str]) -> None:
    for name, width in (("a.png", 30), ("b.png", 13), ("c.png", 30), ("d.png", 30)):
        picture(name, width=width)
    os.mkdir("deaths")
    environment.update(FAKE_DEATHS="deaths", FAKE_DEATHS_MOST=str(most))
    done = shell("i2c encode *.png -O out -j2")
    assert done.returncode == code, done.stderr
    assert len(os.listdir("deaths")) == min(most, 2)
    assert b"the process working on b.png was killed by SIGKILL" in done.stderr and b"tried once more" in done.stderr
    assert outputs() == {"a.i2", "c.i2", "d.i2"} | ({"b.i2"} if code == 0 else set())


# Signals and kills


@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_signal_ends_a_batch_cleanly(kind: signal.Signals, code: int, jobs: str, environment: dict[str, str]) -> None:
    for number in range(4):
        picture(f"{number}.png")
    environment["FAKE_SECONDS"] = "0.5"
    with _batch(environment, jobs) as running:
        _wait(lambda: Path("out/0.i2").exists())
        running.send_signal(kind)
        stderr = running.communicate(timeout=20)[1]
    assert running.returncode == code, stderr
    assert b"Traceback" not in stderr and b"not begun" in stderr
    assert i2tmp() == [] and outputs() and len(outputs()) < 4


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_signal_leaves_no_empty_folder_that_the_batch_made(kind: signal.Signals, jobs: str, environment: dict[str, str]) -> None:
    for name in "abcd":
        os.mkdir(name)
        picture(f"{name}/0.png")
    os.makedirs("out/kept")
    environment["FAKE_SECONDS"] = "0.5"
    with _batch(environment, jobs, *"abcd", "-r") as running:
        _wait(lambda: Path("out/a/0.i2").exists())
        running.send_signal(kind)
        stderr = running.communicate(timeout=20)[1]
    assert b"not begun" in stderr, stderr
    folders = [path for path in Path("out").iterdir() if not any(path.iterdir())]
    assert folders == [Path("out/kept")]


def test_files_that_fail_leave_no_folder_that_the_batch_made_for_them(shell: Shell) -> None:
    os.makedirs("in/good")
    os.makedirs("in/bad/below")
    picture("in/good/a.png")
    picture("in/bad/large.png", 300, 300)
    Path("in/bad/below/b.png").write_bytes(b"no picture")
    done = shell("ulimit -f 64; i2c encode in -r -O out -j2")
    assert done.returncode == 1 and b"1 of 3 files done, 2 failed" in done.stderr, done.stderr
    assert sorted(str(path) for path in Path("out").rglob("*")) == ["out/good", "out/good/a.i2"]
    assert shell("i2c decode out/good/a.i2 -O there --format jxl").returncode != 0
    assert not Path("there").exists()


def test_finalize_ends_what_is_under_way_and_begins_nothing(environment: dict[str, str]) -> None:
    for number in range(5):
        picture(f"{number}.png")
    environment["FAKE_SECONDS"] = "0.4"
    with _batch(environment, "2", "--on-interrupt", "finalize") as running:
        _wait(lambda: Path("out/0.i2").exists())
        running.send_signal(signal.SIGINT)
        stderr = running.communicate(timeout=20)[1]
    assert running.returncode == 130, stderr
    assert b"stopped early" in stderr and i2tmp() == [] and 2 <= len(outputs()) < 5


def _kills(count: int, environment: dict[str, str]) -> None:
    """Kills batches at random moments, their workers left to themselves, and looks at what is there; then runs the rest."""
    chance = random.Random(count)
    for number in range(8):
        picture(f"{number}.png", height=200, width=200)
    environment["FAKE_SECONDS"] = "0.05"
    seen: set[str] = set()
    for _ in range(count):
        with _batch(environment, "2", "--existing", "update") as running:
            time.sleep(chance.uniform(0.4, 1.6))
            running.kill()
            running.communicate()
        found = outputs()
        assert found >= seen
        seen = found if len(found) < 8 else set()
        if len(found) == 8:
            shutil.rmtree("out")
    time.sleep(1)  # workers that have lost their driver end by themselves
    for name in i2tmp():
        os.utime(name, (0, 0))
    stamps = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("*.i2")}
    with _batch(environment, "2", "--existing", "update", "--json") as running:
        stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 0, stderr
    status = {record["output"].split("/")[-1]: record["status"] for record in map(json.loads, stdout.splitlines())}
    assert outputs() == {f"{number}.i2" for number in range(8)} and i2tmp() == []
    assert {name for name, found in status.items() if found == "skipped"} == stamps.keys()
    assert all(Path("out", name).stat().st_mtime_ns == stamp for name, stamp in stamps.items())


def test_three_kills_leave_only_whole_files_and_the_next_run_does_the_rest(environment: dict[str, str]) -> None:
    _kills(3, environment)


@pytest.mark.slow
def test_twenty_kills_leave_only_whole_files_and_the_next_run_does_the_rest(environment: dict[str, str]) -> None:
    _kills(20, environment)


def test_workers_end_with_their_driver(environment: dict[str, str]) -> None:
    for number in range(4):
        picture(f"{number}.png")
    environment["FAKE_SECONDS"] = "20"
    with _batch(environment, "2") as running:
        _wait(lambda: len(_children(running.pid)) >= 2)
        children = _children(running.pid)
        time.sleep(1)
        running.kill()
        running.communicate()
    _wait(lambda: not any(Path(f"/proc/{child}/exe").exists() and _state(child) != "Z" for child in children))


# Disks


def test_a_file_that_does_not_fit_on_the_disk_fails_alone(shell: Shell) -> None:
    picture("large.png", 300, 300)
    picture("small.png")
    done = shell("ulimit -f 64; i2c encode large.png small.png -O out")
    assert done.returncode == 1 and b"out/large.i2 cannot be written" in done.stderr
    assert os.listdir("out") == ["small.i2"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_named(shell: Shell) -> None:
    picture("a.png")
    os.mkdir("out", 0o555)
    done = shell("i2c encode a.png -O out")
    assert done.returncode == 1 and b"cannot be written to" in done.stderr


def test_a_folder_that_cannot_be_made_is_a_usage_error(shell: Shell) -> None:
    picture("a.png")
    Path("file").write_bytes(b"")
    done = shell("i2c encode a.png -O file/below")
    assert done.returncode == 2 and b"cannot be made" in done.stderr


def test_a_thousand_tiny_files(shell: Shell) -> None:
    os.mkdir("tiny")
    for number in range(1000):
        Path(f"tiny/{number}.pgm").write_bytes(b"P5 2 2 255\n" + bytes([number % 256] * 4))
    began = time.monotonic()
    assert shell("i2c encode tiny -r -O out --existing update 2>/dev/null").returncode == 0
    first, began = time.monotonic() - began, time.monotonic()
    again = shell("i2c encode tiny -r -O out --existing update")
    assert b"0 of 1000 files done, 1000 left as they are" in again.stderr
    assert len(outputs()) == 1000 and first < 60 and time.monotonic() - began < 60


# Clusters


@pytest.mark.slow
def test_a_cluster_of_two_workers_of_which_one_is_killed_makes_all_files(environment: dict[str, str]) -> None:
    pytest.importorskip("ray")
    for number in range(6):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(f"{number}.png")
    command = [sys.executable, "-m", "i2compress", "encode", *sorted(map(str, Path().glob("*.png"))), "-O", "out", "--steps", "60"]
    with subprocess.Popen([*command, "--cluster", "local", "-j", "2", "--json"], env=environment, stdout=-1, stderr=-1) as running:
        _wait(lambda: Path("out/0.i2").exists() or Path("out/1.i2").exists(), 120)
        busy = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _title(path).startswith("ray::_elsewhere")]
        os.kill(busy[0], signal.SIGKILL)
        stdout, stderr = running.communicate(timeout=200)
    assert running.returncode == 0, stderr
    assert b"tried once more" in stderr
    assert outputs() == {f"{number}.i2" for number in range(6)}
    assert {json.loads(line)["status"] for line in stdout.splitlines()} == {"ok"}


def _batch(environment: dict[str, str], jobs: str, *options: str) -> "subprocess.Popen[bytes]":
    names = sorted(str(path) for path in Path().glob("*.png"))
    command = [sys.executable, str(FAKE), "encode", *names, "-O", "out", "-j", jobs, *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_interruptible)


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it, and so would its children


def _wait(there: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def _title(path: Path) -> str:
    try:
        return (path / "cmdline").read_text()
    except OSError:
        return ""
