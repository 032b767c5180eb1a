"""CPU threads, and two independent computations at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

from ..field.tiles import helped_by

First = TypeVar("First")
Second = TypeVar("Second")


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """torch's threads set for a while; left alone where None."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


class Pair:
    """Calls two functions, on a CPU with several threads at once and each with half of them, else one after the other.

    The two terms of a loss share nothing, so two threads are busy all the time, where two threads inside each small operation mostly
    wait for each other. And with two threads each term has one, so what it returns is that of one thread in all. A signal of up to
    `serial_up_to` samples gets one thread whatever there are: it is faster than two that hand each other Python's lock.

    Compiled loops (field.tiles) of the first also use threads that the second leaves idle.

    torch's number of threads changes meanwhile, and a thread that something else starts just then takes it over.

    Args:
        device: on which they work; torch's present number of CPU threads is divided.
        samples: of the signal that they work on.
        serial_up_to: of a small signal, at most.
    """

    def __init__(self, device: torch.device, samples: int, *, serial_up_to: int) -> None:
        count = torch.get_num_threads()
        self._own = count - count // 2 if samples > serial_up_to else 1
        self._pool: ThreadPoolExecutor | None = None
        if device.type == "cpu" and samples > serial_up_to and count > 1:
            self._pool = ThreadPoolExecutor(count - 1, initializer=_begin, initargs=(count // 2,))
        self._helpers = count - 1

    def __call__(self, first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
        """What both return; the second may run in another thread, in which gradients are enabled as in any new one."""
        with cpu_threads(self._own):
            if self._pool is None:
                return first(), second()
            other = self._pool.submit(second)
            try:
                with helped_by(self._pool, self._helpers):
                    return first(), other.result()
            finally:
                wait([other])  # also where the first was interrupted: nothing is left running


def _begin(threads: int) -> None:
    """In a new thread, which takes over the number last set in any other when it is first asked for its own."""
    torch.get_num_threads()
    torch.set_num_threads(threads)
