"""Two independent computations at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

First = TypeVar("First")
Second = TypeVar("Second")

SMALL = 1 << 15  # samples of a signal up to which one thread is faster than two that hand each other Python's lock


class Pair:
    """Calls two functions, on a CPU with several threads at once and each with half of them, else one after the other.

    The two halves of a loss share nothing, so two threads are busy all the time, where two threads inside each small operation mostly
    wait for each other. And with two threads each half has one, so what it returns is that of one thread in all.

    Args:
        device: on which they work; torch's present number of CPU threads is divided.
        samples: of the signal that they work on.
    """

    def __init__(self, device: torch.device, samples: int) -> None:
        count = torch.get_num_threads()
        self._own = count - count // 2 if samples > SMALL else 1
        self._pool: ThreadPoolExecutor | None = None
        if device.type == "cpu" and samples > SMALL and count > 1:
            self._pool = ThreadPoolExecutor(1, initializer=_begin, initargs=(count // 2,))

    def __call__(self, first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
        """What both return; the second may run in another thread, in which gradients are enabled as in any new one."""
        before = torch.get_num_threads()
        other = None if self._pool is None else self._pool.submit(second)
        torch.set_num_threads(self._own)
        try:
            result = first()
            return result, second() if other is None else other.result()
        finally:
            if other is not None:
                wait([other])  # also where the first was interrupted: nothing is left running
            torch.set_num_threads(before)


def _begin(threads: int) -> None:
    """In a new thread, which takes over the number last set in any other when it is first asked for its own."""
    torch.get_num_threads()
    torch.set_num_threads(threads)
