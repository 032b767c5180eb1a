"""The installed command under rough treatment: signals, odd names, pipes, hostile headers, large outputs.

Every test runs `python -m i2compress` in a process of its own, as a shell would.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2compress.codec import I2File
from i2compress.coding.latents import encode_latents
from i2compress.coding.weights import decode_weights
from i2compress.container import read, write
from i2compress.field.spec import prior
from i2compress.field.weights import context_weights
from i2compress.files import SUFFIX

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"
I2C = [sys.executable, "-m", "i2compress"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def i2c(*args: str, folder: Path, stdin: bytes | None = None, limit: Callable[[], None] | None = None) -> "subprocess.CompletedProcess[bytes]":
    """The command, run to its end; nothing on stdin unless given."""
    feed = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    done = subprocess.run(
        [*I2C, *args],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        timeout=300,
        preexec_fn=limit,
        **feed,  # type: ignore[call-overload]
    )
    assert b"Traceback" not in done.stderr, done.stderr
    return done


def picture(path: Path, height: int = 20, width: int = 30) -> None:
    y, x = np.mgrid[:height, :width]
    path.write_bytes(b"P6 %d %d 255\n" % (width, height) + np.stack([x * 7, y * 9, x + y], -1).astype(np.uint8).tobytes())


def address_space(limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def started(folder: Path, *args: str) -> "subprocess.Popen[bytes]":
    picture(folder / "a.ppm", 128, 192)
    return subprocess.Popen([*I2C, "encode", "a.ppm", "--steps", "100000", *args], cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE)


def wait_for_fit(process: "subprocess.Popen[bytes]") -> None:
    """Until the process has used so much CPU time that it must be fitting."""
    ticks = os.sysconf("SC_CLK_TCK")
    for _ in range(600):
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        if (int(fields[11]) + int(fields[12])) / ticks > 8:
            return
        time.sleep(0.1)
    raise AssertionError("the encode did not start")


# Signals


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_any_time_leaves_no_file_and_no_litter(kind: signal.Signals, code: int, seed: int, tmp_path: Path) -> None:
    process = started(tmp_path)
    time.sleep(0.7 + random.Random(seed).uniform(0, 6))
    process.send_signal(kind)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in said) == (code, False), said
    assert os.listdir(tmp_path) == ["a.ppm"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_finalize_writes_a_valid_file_on_a_signal(tmp_path: Path) -> None:
    process = started(tmp_path, "--on-interrupt", "finalize")
    wait_for_fit(process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, sorted(os.listdir(tmp_path))) == (0, ["a.i2", "a.ppm"]), said
    assert b"stopped early" in said
    assert i2c("verify", "a.i2", "--against", "a.ppm", folder=tmp_path).returncode == 0


def test_a_killed_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    picture(tmp_path / "a.ppm")
    (tmp_path / "a.i2").write_bytes(b"precious")
    process = started(tmp_path, "-f")
    time.sleep(1.5)
    process.kill()
    process.communicate(timeout=60)
    assert (tmp_path / "a.i2").read_bytes() == b"precious"


# Names


@pytest.mark.parametrize("name", ["with space", "new\nline", "ünï🌻", "-dash", "--force", "a'b\"c$d", "two.dots.", ".hidden", "*", "x" * 240])
def test_any_name_is_decoded(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}{SUFFIX}").write_bytes((GOLDEN / "gray.i2").read_bytes())
    done = i2c("decode", "--json", "--quiet", "--", f"{name}{SUFFIX}", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == f"{name}{SUFFIX}.png"
    assert (tmp_path / f"{name}{SUFFIX}.png").exists()


def test_odd_names_are_encoded_in_one_run(tmp_path: Path) -> None:
    names = ["with space", "new\nline", "ünï", "-dash"]
    for name in names:
        picture(tmp_path / f"{name}.ppm")
    done = i2c("encode", "--steps", "2", "--", *(f"{name}.ppm" for name in names), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {f"{name}.i2" for name in names} < set(os.listdir(tmp_path))


def test_a_name_that_is_not_text_is_decoded(tmp_path: Path) -> None:
    name = b"\xff\xfe.i2"
    with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
        file.write((GOLDEN / "gray.i2").read_bytes())
    done = i2c("decode", "--json", os.fsdecode(name), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"\xff\xfe.i2.png" in os.listdir(os.fsencode(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    picture(tmp_path / "a.ppm")
    tmp_path.chmod(0o555)
    try:
        done = i2c("encode", "a.ppm", "--steps", "100000", folder=tmp_path)
    finally:
        tmp_path.chmod(0o755)
    assert done.returncode == 1 and b"cannot be written to" in done.stderr
    assert os.listdir(tmp_path) == ["a.ppm"]


# Pipes and loops


def test_a_picture_goes_through_two_pipes(tmp_path: Path) -> None:
    picture(tmp_path / "a.ppm")
    command = f"cat a.ppm | '{sys.executable}' -m i2compress encode - -o - --steps 2 | '{sys.executable}' -m i2compress decode - -o - --format ppm"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=False, timeout=120)
    assert done.stdout.startswith(b"P6\n30 20\n255\n") and len(done.stdout) == 13 + 1800, done.stderr


def test_the_body_of_a_while_read_loop_does_not_eat_its_input(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.i2").write_bytes((GOLDEN / "gray.i2").read_bytes())
    loop = f"printf 'a.i2\\nb.i2\\nc.i2\\n' | while read f; do '{sys.executable}' -m i2compress decode \"$f\" --quiet; done"
    subprocess.run(["sh", "-c", loop], cwd=tmp_path, env=ENVIRONMENT, check=True, timeout=120)
    assert {"a.i2.png", "b.i2.png", "c.i2.png"} < set(os.listdir(tmp_path))


def test_find_and_xargs_run_several_at_a_time(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"n {number}.i2").write_bytes((GOLDEN / "gray.i2").read_bytes())
    command = f"find . -name '*.i2' -print0 | xargs -0 -P2 -n1 '{sys.executable}' -m i2compress decode -O out --quiet"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=ENVIRONMENT, check=True, timeout=120)
    assert sorted(os.listdir(tmp_path / "out")) == [f"n {number}.i2.png" for number in range(4)]


def test_a_reader_that_stops_early_is_no_error_message(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m i2compress decode '{GOLDEN / 'rgb.i2'}' --scale 40 -o - --format ppm --quiet | head -c 100"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=False, timeout=120)
    assert (len(done.stdout), done.stderr) == (100, b"")


def test_decoding_does_not_load_torch(tmp_path: Path) -> None:
    decode = f"main(['decode', {str(GOLDEN / 'rgb.i2')!r}, '-o', 'a.png'])"
    script = f"import sys; from i2compress.cli import main; code = {decode}; sys.exit(code or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=ENVIRONMENT, check=False, timeout=60).returncode == 0


# Hostile and large


@pytest.mark.parametrize("grid", [(1 << 15, 1 << 15), (1 << 20, 1 << 10), (1 << 13, 1 << 13)])
@pytest.mark.parametrize("verb", ["decode", "verify", "info"])
def test_a_header_that_claims_a_huge_picture_fails_in_a_sentence_without_the_memory(verb: str, grid: tuple[int, int], tmp_path: Path) -> None:
    """2**26 points are within what this version decodes; there the first, small grid shows that its stream is nothing but zeros."""
    content = read((GOLDEN / "rgb.i2").read_bytes())
    (tmp_path / "huge.i2").write_bytes(write(replace(content, header=replace(content.header, grid=grid), latents=(b"\0",))))
    trusted = [] if verb == "info" else ["--any-cost"]
    done = i2c(verb, "huge.i2", *trusted, folder=tmp_path, limit=address_space(1 << 30))
    assert done.returncode == (0 if verb == "info" else 5), done.stderr
    if verb != "info":
        sentence = b"this version decodes up to" if grid[0] * grid[1] > 1 << 27 else b"latents are in"
        assert sentence in done.stderr and done.stderr.count(b"\n") == 1
    assert os.listdir(tmp_path) == ["huge.i2"]


def test_a_huge_output_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    command = ["decode", str(GOLDEN / "rgb.i2"), "--scale", "2000", "-o", "a.png"]
    done = i2c(*command, folder=tmp_path, limit=address_space(1 << 30))
    assert done.returncode == 7 and b"--any-cost" in done.stderr
    done = i2c(*command, "--any-cost", folder=tmp_path, limit=address_space(1 << 30))
    assert done.returncode == 2 and b"--max-pixels" in done.stderr
    assert os.listdir(tmp_path) == []


def enlarged(path: Path, grid: tuple[int, int]) -> None:
    """The golden picture's weights with random latents on another grid."""
    file = I2File.from_bytes((GOLDEN / "rgb.i2").read_bytes())
    content = read((GOLDEN / "rgb.i2").read_bytes())
    spec = replace(file.content.plane.spec, grid=grid)
    groups = dict(zip(spec.weight_shapes, decode_weights(content.weights, list(spec.weight_shapes.values())), strict=True))
    latents = [np.random.default_rng(0).integers(-2, 3, shape, np.int32) for shape in spec.latent_shapes]
    stream = encode_latents(latents, context_weights(spec, groups, prior(0, spec)), tile=spec.tile)
    path.write_bytes(write(replace(content, header=replace(content.header, grid=grid), latents=(stream,))))


@pytest.mark.slow
def test_a_picture_of_16k_by_16k_is_decoded_under_a_limit_of_memory(tmp_path: Path) -> None:
    enlarged(tmp_path / "a.i2", (512, 512))
    command = ["decode", "a.i2", "--size", "16384x16384", "-o", "a.ppm", "--threads", "1"]
    done = i2c(*command, folder=tmp_path, limit=address_space(1 << 30))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.ppm").stat().st_size == 3 * 16384**2 + len(b"P6\n16384 16384\n255\n")


@pytest.mark.slow
def test_every_flipped_byte_and_every_prefix_is_refused_by_the_command(tmp_path: Path) -> None:
    data = (GOLDEN / "gray.i2").read_bytes()
    for position in range(0, len(data), 29):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        for name, content in {"flip.i2": bytes(damaged), "cut.i2": data[:position]}.items():
            (tmp_path / name).write_bytes(content)
            assert i2c("decode", name, folder=tmp_path).returncode == 5
    assert sorted(os.listdir(tmp_path)) == ["cut.i2", "flip.i2"]
