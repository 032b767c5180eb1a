"""Parts that are fitted at the same time: their order, what a killed or a failing process is to the one it works for, and that none is left."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path

import pytest

from i2compress import checkpoints
from i2compress.errors import ExitCode, ResourceError, SignalError
from i2compress.media.protocol import Hooks
from i2compress.media.workers import in_order
from i2compress.processes import cores, starting_workers

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Doing:
    """A part whose outcome says its number and what its process was; `how` it does: slow, killed, failing, until it is told to stop, or at once."""

    number: int
    how: str = ""

    def __call__(self, hooks: Hooks) -> tuple[int, str | None, str]:
        """Does it."""
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "failing":
            raise SignalError("this is no part")
        until = time.monotonic() + {"slow": 60.0, "stopped": 30.0}.get(self.how, 0.0)
        while time.monotonic() < until and not (self.how == "stopped" and hooks.stopped):
            time.sleep(0.02)
        place = checkpoints.next_place()
        return self.number, os.environ.get("OMP_NUM_THREADS"), "" if place is None else place.path.name


def done(*hows: str, stop: bool = False) -> Iterator[tuple[int, str | None, str]]:
    parts = (Doing(number, how) for number, how in enumerate(hows))
    return in_order(parts, at_once=2, threads=1, on_step=lambda number: None, stop=lambda: stop)


def test_outcomes_come_in_order_from_processes_of_few_threads_and_their_states_where_one_process_would_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "state_folder", lambda: tmp_path)
    with checkpoints.kept(b"origin"):
        assert checkpoints.reserved() is not None  # the first part of all, which this process has made
        found = list(done("", "", ""))
    assert found == [(number, "1", f"{number + 1:05}.state") for number in range(3)]
    assert not active_children()


def test_a_stop_reaches_those_under_way() -> None:
    assert [number for number, _, _ in done("stopped", "stopped", stop=True)] == [0, 1]


@pytest.mark.parametrize(
    ("how", "error", "code", "says"),
    [("killed", ResourceError, ExitCode.RESOURCE, "was killed, .* try a smaller -j"), ("failing", SignalError, ExitCode.INPUT, "this is no part")],
)
def test_what_goes_wrong_in_a_process_is_an_error_here_and_the_others_end(how: str, error: type[Exception], code: ExitCode, says: str) -> None:
    began = time.monotonic()
    with pytest.raises(error, match=says) as caught:
        list(done(how, "slow"))
    assert getattr(caught.value, "exit_code", None) == code
    assert not active_children() and time.monotonic() - began < 40


def test_what_is_not_wanted_any_more_is_given_up() -> None:
    began = time.monotonic()
    with contextlib.closing(done("", "slow", "slow")) as outcomes:  # type: ignore[type-var]  # it is a generator
        next(outcomes)
    assert not active_children() and time.monotonic() - began < 40


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_worker_does_not_hear_of_ctrl_c_from_its_first_moment_on_and_this_process_does() -> None:
    before_this = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background are deaf to it
    script = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('alive', os.environ['OMP_NUM_THREADS'])"
    before = os.environ.get("OMP_NUM_THREADS")
    with starting_workers(3):
        worker = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (worker.stdout, worker.stderr) == ("alive 3\n", "") and os.environ.get("OMP_NUM_THREADS") == before
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    signal.signal(signal.SIGINT, before_this)
    assert cores() >= 1


DRIVER = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
from test_workers import Doing
from i2compress.media.workers import in_order
if __name__ == "__main__":
    for outcome in in_order((Doing(n, how) for n, how in enumerate(("", "slow", "slow"))), at_once=2, threads=1, on_step=lambda n: None, stop=None):
        print(outcome[0], flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_no_process_outlives_one_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER.format(root=str(ROOT), tests=str(ROOT / "tests")))
    with subprocess.Popen([sys.executable, str(tmp_path / "driver.py")], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == "0\n"
        time.sleep(0.3)
        workers = children(driver.pid)
        assert len(workers) >= 2
        driver.kill()
    until = time.monotonic() + 10
    while any(alive(worker) for worker in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(worker) for worker in workers)


def children(pid: int) -> list[int]:
    """Of all threads of a process."""
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
