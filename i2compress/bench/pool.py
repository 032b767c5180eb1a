"""Work that is not timed, by several processes."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ..errors import ResourceError
from .measure import workers

A = TypeVar("A")
B = TypeVar("B")


def each(work: Callable[[A], B], items: Sequence[A], *, jobs: int) -> Iterator[B]:
    """`work(item)` of every item, in order, by up to `jobs` processes; by this one where that is 1 or there is one item.

    Args:
        work: a function of a module, so that other processes find it.
        items: whatever can be pickled.
        jobs: processes.

    Raises:
        ResourceError: a process died.
    """
    if min(jobs, len(items)) < 2:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(min(jobs, len(items)), mp_context=workers(), initializer=_begin)
    try:
        yield from pool.map(work, items)
    except BrokenProcessPool as error:
        raise ResourceError("a process that scores pictures died; expected a result: check the free memory, or use --jobs 1") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when a measure imports it: there is a process for each core already
