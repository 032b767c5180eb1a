"""Pair: two functions at once, each with its share of the threads, and the same results as one after the other."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from i2compress.config import EncodeSettings
from i2compress.field.spec import PyramidSpec
from i2compress.fit import Result, Schedule, compensate, cpu_threads, fit_signal
from i2compress.fit.loss_terms import LossTerm
from i2compress.fit.parallel import Pair
from i2compress.fit.schedule import Compensation

CPU = torch.device("cpu")
SMALL = 1000
BEFORE = torch.get_num_threads()


def rendezvous() -> tuple[Callable[[], tuple[str, int]], Callable[[], tuple[str, int]]]:
    """Two functions that only return if they run at the same time; each gives its thread's name and torch's threads in it."""
    barrier = threading.Barrier(2, timeout=20)

    def half() -> tuple[str, int]:
        barrier.wait()
        return threading.current_thread().name, torch.get_num_threads()

    return half, half


def test_both_run_at_once_and_share_the_threads() -> None:
    with cpu_threads(5):
        (own, ours), (other, theirs) = Pair(CPU, SMALL + 1, serial_up_to=SMALL)(*rendezvous())
        assert torch.get_num_threads() == 5
    assert own == threading.current_thread().name != other
    assert (ours, theirs) == (3, 2)


@pytest.mark.parametrize(("threads", "samples"), [(1, SMALL + 1), (4, SMALL)])
def test_one_thread_or_a_small_signal_runs_them_one_after_the_other_on_one_thread(threads: int, samples: int) -> None:
    calls: list[tuple[str, str, int]] = []
    with cpu_threads(threads):
        Pair(CPU, samples, serial_up_to=SMALL)(
            *(lambda n=name: calls.append((n, threading.current_thread().name, torch.get_num_threads())) for name in "ab")
        )
        assert torch.get_num_threads() == threads
    here = threading.current_thread().name
    assert calls == [("a", here, 1), ("b", here, 1)]


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_either_comes_out_once_both_are_over(failing: int, error: type[BaseException]) -> None:
    over = []

    def fails() -> None:
        raise error("half")

    def slow() -> None:
        time.sleep(0.2)
        over.append("slow")

    halves = [slow, slow]
    halves[failing] = fails
    with cpu_threads(2), pytest.raises(error, match="half"):
        Pair(CPU, SMALL + 1, serial_up_to=SMALL)(*halves)
    assert over == ["slow"]


def fitted(threads: int, width: int) -> Result:
    values = np.random.default_rng(0).random((40, 44, 3), dtype=np.float32)
    spec = PyramidSpec(grid=(40, 44), channels=3, width=width, levels=4, hidden=8)
    schedule = Schedule(steps=30, serial_up_to=SMALL, compensation=Compensation(steps=30))
    return fit_signal(values, spec, EncodeSettings(threads=threads, device="cpu"), schedule=schedule)


@pytest.mark.parametrize("width", [8, 40])  # QR of 33 rows and more has other last bits on two threads
def test_two_threads_make_the_same_fit_as_one(width: int) -> None:
    one, two = (fitted(threads, width) for threads in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one.latents, two.latents, strict=True))
    assert all(np.array_equal(group.symbols, two.groups[name].symbols) for name, group in one.groups.items())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("failing", ["DistortionTerm", "RateTerm"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, None])
def test_compensation_ends_where_one_term_does(
    error: type[BaseException] | None, failing: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error comes out, and where a term finds nothing the plain search takes over; the other term does not work on in vain."""
    begun = threading.Event()
    hessian, stages = LossTerm.hessian, []

    def fails(term: LossTerm, *args: Any) -> tuple[Any, Any] | None:
        if type(term).__name__ == failing:
            begun.wait(20 if threads == 2 else 0)
            if error is not None:
                raise error
            return None
        begun.set()
        stages.append(failing)
        return stage(term, *args)

    def slow(term: LossTerm, *args: Any) -> Any:
        time.sleep(0.3)
        return hessian(term, *args)

    stage = compensate._stage
    monkeypatch.setattr(compensate, "_stage", fails)
    monkeypatch.setattr(LossTerm, "hessian", slow)
    if error is None:
        assert fitted(threads, 8).groups.keys() >= {"A", "w1"}
    else:
        with pytest.raises(error):
            fitted(threads, 8)
    assert len(stages) < 3 or (threads, failing) == (1, "RateTerm")
    assert torch.get_num_threads() == BEFORE
