"""Pair: two functions at once, each with its share of the threads, and the same results as one after the other."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

from i2compress.config import EncodeSettings
from i2compress.field.spec import PyramidSpec
from i2compress.fit import cpu_threads, fit_signal, loop, parallel
from i2compress.fit.parallel import SMALL, Pair

CPU = torch.device("cpu")


def rendezvous() -> tuple[Callable[[], tuple[str, int]], Callable[[], tuple[str, int]]]:
    """Two functions that only return if they run at the same time; each gives its thread's name and torch's threads in it."""
    barrier = threading.Barrier(2, timeout=20)

    def half() -> tuple[str, int]:
        barrier.wait()
        return threading.current_thread().name, torch.get_num_threads()

    return half, half


def test_both_run_at_once_and_share_the_threads() -> None:
    with cpu_threads(5):
        (own, ours), (other, theirs) = Pair(CPU, SMALL + 1)(*rendezvous())
        assert torch.get_num_threads() == 5
    assert own == threading.current_thread().name != other
    assert (ours, theirs) == (3, 2)


@pytest.mark.parametrize(("threads", "samples"), [(1, SMALL + 1), (4, SMALL)])
def test_one_thread_or_a_small_signal_runs_them_one_after_the_other_on_one_thread(threads: int, samples: int) -> None:
    calls: list[tuple[str, str, int]] = []
    with cpu_threads(threads):
        Pair(CPU, samples)(*(lambda n=name: calls.append((n, threading.current_thread().name, torch.get_num_threads())) for name in "ab"))
        assert torch.get_num_threads() == threads
    here = threading.current_thread().name
    assert calls == [("a", here, 1), ("b", here, 1)]


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_either_comes_out_once_both_are_over(failing: int) -> None:
    over = threading.Event()

    def fails() -> None:
        raise ArithmeticError("half")

    halves = [over.set, over.set]
    halves[failing] = fails
    with cpu_threads(2), pytest.raises(ArithmeticError, match="half"):
        Pair(CPU, SMALL + 1)(*halves)
    assert over.is_set()


def test_two_threads_make_the_same_fit_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "SMALL", 1000)
    monkeypatch.setattr(loop, "COMPENSATED_STEPS", 30)
    values = np.random.default_rng(0).random((40, 44, 3), dtype=np.float32)
    spec = PyramidSpec(grid=(40, 44), channels=3, width=8, levels=4, hidden=8)
    one, two = (fit_signal(values, spec, EncodeSettings(steps=30, threads=threads)) for threads in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one.latents, two.latents, strict=True))
    assert all(np.array_equal(group.symbols, two.groups[name].symbols) for name, group in one.groups.items())
