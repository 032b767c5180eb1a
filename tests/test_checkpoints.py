"""A fit that is interrupted goes on where it was and gives the same file; states of anything else are not used, and none are left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from i2compress import EncodeSettings, Signal, checkpoints, codec
from i2compress.checkpoints import Place, kept, state_folder
from i2compress.config import AIM_ROOM, Aim, Target
from i2compress.kinds import Kind

ROOT = Path(__file__).parent.parent


class Stopped(Exception):
    """What an interrupted encode ends with here."""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return state_folder()


def source(kind: Kind) -> Signal:
    """A small picture, sound of several segments, or video of two groups."""
    chance = np.random.default_rng(0)
    if kind is Kind.VIDEO:
        scenes = [np.broadcast_to(chance.random((1, 12, 16, 3), np.float32), (3, 12, 16, 3)) * (1 - k) for k in (0, 0.9)]
        return Signal(values=np.concatenate(scenes), kind=kind, rate=25)
    if kind is Kind.IMAGE:
        return Signal.from_codes(chance.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    return Signal(values=chance.normal(0, 0.2, (3000, 1)).astype(np.float32), kind=kind, bit_depth=16, rate=8000)


def interrupted(signal: Signal, settings: EncodeSettings, after: int) -> None:
    """An encode with states of every step, which ends with an error."""
    made = []

    def on_step(info: object) -> None:
        made.append(info)
        if len(made) == after:
            raise Stopped

    with pytest.raises(Stopped), kept(b"origin", every=0):
        codec.encode(signal, settings, on_step=on_step)


@pytest.mark.parametrize(
    ("kind", "field", "effort"), [(Kind.IMAGE, "pyramid", 5), (Kind.AUDIO, "pyramid", 5), (Kind.IMAGE, "siren", 5), (Kind.AUDIO, "gabor", 5)]
)
def test_an_interrupted_fit_goes_on_and_gives_the_same_file(kind: Kind, field: str, effort: int, state: Path) -> None:
    width = None if field == "pyramid" else 8
    settings, signal = EncodeSettings(steps=24, threads=1, device="cpu", field=field, width=width, effort=effort), source(kind)
    whole = codec.encode(signal, settings).data
    for after in (9, 12):  # interrupted twice
        interrupted(signal, settings, after)
        assert list(state.glob("*/*.state"))
    steps = []
    with kept(b"origin", every=0):
        again = codec.encode(signal, settings, on_step=lambda info: steps.append(info.step))
    assert again.data == whole and steps[0] > 15
    assert not list(state.iterdir())  # nothing is left


def test_a_fit_that_comes_to_a_size_goes_on_with_the_lambda_that_it_had(state: Path) -> None:
    settings, signal = EncodeSettings(steps=24, threads=1, device="cpu", aim=Aim("size", 900.0)), source(Kind.IMAGE)
    whole = codec.encode(signal, settings)
    for after in (9, 9):  # before lambda is moved no more, and after the last part's beginning is kept
        interrupted(signal, settings, after)
    with kept(b"origin", every=0):
        again = codec.encode(signal, settings)
    assert again.data == whole.data and (again.coded.lam, again.coded.steps) == (whole.coded.lam, whole.coded.steps)


@pytest.mark.parametrize(("repeat", "into"), [(0, 3), (0, 7), (1, 4)])
def test_a_fit_that_is_interrupted_in_its_repeated_last_part_gives_the_same_file(
    repeat: int, into: int, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AIM_ROOM, "size", 1e-9)  # it always misses
    settings, signal = EncodeSettings(steps=24, threads=1, device="cpu", aim=Aim("size", 500.0), lam=1e-3, start="none"), source(Kind.IMAGE)
    told: list[tuple[str, int]] = []
    whole = codec.encode(signal, settings, on_step=lambda info: told.append((info.phase, info.step)))
    begins = [number for number, (phase, step) in enumerate(told) if phase == "fit" and told[number - 1][0] != "fit"][1:]
    assert whole.coded.steps == 56 and len(begins) == 4  # the last eight steps, four times
    interrupted(signal, settings, begins[repeat] + into)
    steps: list[int] = []
    with kept(b"origin", every=0):
        again = codec.encode(signal, settings, on_step=lambda info: steps.append(info.step) if info.phase == "fit" else None)
    assert again.data == whole.data and again.coded.steps == whole.coded.steps
    assert len(steps) == 8 * (4 - repeat) - into + 1  # the first run is not made again, nor what was of the repeated part


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_search_for_a_size_of_a_video_that_is_interrupted_gives_the_same_file(share: float, state: Path) -> None:
    settings, signal, made = EncodeSettings(steps=16, threads=1, device="cpu", target=Target(size=1300)), source(Kind.VIDEO), list[object]()
    whole = codec.encode(signal, settings, on_step=made.append)
    assert whole.coded.passes > 32
    for _ in range(2):
        interrupted(signal, settings, max(1, round(share * len(made)) // 2))
    again: list[object] = []
    with kept(b"origin", every=0):
        assert codec.encode(signal, settings, on_step=again.append).data == whole.data
    assert len(again) < len(made) and not list(state.iterdir())


def test_finished_groups_of_a_video_are_not_fitted_again_and_leave_no_states_of_their_fits(state: Path) -> None:
    settings, signal, phases = EncodeSettings(steps=8, threads=1, device="cpu"), source(Kind.VIDEO), list[str]()
    whole = codec.encode(signal, settings, on_step=lambda info: phases.append(info.phase))
    assert set(map(str, phases)) == {"group 1 of 2", "group 2 of 2"}
    interrupted(signal, settings, phases.index("group 2 of 2") + 4)
    assert sorted(path.name.count("-") for path in state.glob("*/*.state")) == [0, 1]  # a result, and the state of the fit under way
    again: list[str] = []
    with kept(b"origin", every=0):
        made = codec.encode(signal, settings, on_step=lambda info: again.append(info.phase))
    assert made.data == whole.data and (made.coded.steps, made.coded.passes) == (whole.coded.steps, whole.coded.passes)
    assert set(again) == {"group 2 of 2"} and len(again) < phases.count("group 2 of 2")
    interrupted(signal, settings, phases.index("group 2 of 2") + 4)
    for path in state.glob("*/00000.state"):
        path.write_bytes(path.read_bytes()[:-20])
    with kept(b"origin", every=0):
        assert codec.encode(signal, settings).data == whole.data  # a damaged result is made anew


def test_a_state_of_another_fit_is_not_used(state: Path) -> None:
    settings, signal = EncodeSettings(steps=20, threads=1, device="cpu"), source(Kind.IMAGE)
    interrupted(signal, settings, 12)
    (folder,) = state.iterdir()
    assert folder.name.startswith(b"origin".hex())
    steps = []
    with kept(b"other!", every=0):
        codec.encode(signal, settings, on_step=lambda info: steps.append(info.step))
    assert steps[0] == 1 and folder.exists()
    os.utime(folder, (0, 0))
    with kept(b"other!"):
        pass
    assert not folder.exists()  # nobody has gone on with it for long


def test_a_state_that_cannot_be_written_or_is_damaged_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    place = Place(blocked / "0.state", every=0)
    place.write(b"state")
    assert place.read() is None
    settings, signal = EncodeSettings(steps=12, threads=1, device="cpu"), source(Kind.IMAGE)
    interrupted(signal, settings, 8)
    for path in state_folder().glob("*/*.state"):
        path.write_bytes(path.read_bytes()[:-50])
    with kept(b"origin", every=0):
        assert codec.encode(signal, settings).data == codec.encode(signal, settings).data


def test_states_are_written_by_time_and_no_more_often_than_is_worth_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    place = Place(tmp_path / "0.state")
    assert not place.due
    now[0] += checkpoints.EVERY
    assert place.due
    place.write(b"a")
    assert not place.due and place.read() == b"a"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_the_command_goes_on_after_a_kill(tmp_path: Path, state: Path) -> None:
    from PIL import Image

    Image.fromarray((source(Kind.IMAGE).values * 255).astype(np.uint8)).save(tmp_path / "a.png")
    script = "import sys\nfrom i2compress import checkpoints\ncheckpoints.EVERY = 0.0\nfrom i2compress.cli import main\nsys.exit(main())\n"
    words = [sys.executable, "-c", script, "encode", "a.png", "--threads", "1", "--device", "cpu", "--steps", "4000", "--quiet"]
    process = subprocess.Popen(words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        for _ in range(600):
            if list(state.glob("*/*.state")):
                break
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(state.glob("*/*.state")) and not (tmp_path / "a.i2").exists()
