"""How many processes there may be on this machine, and how those that work for this one are started."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def starting_workers(threads: int) -> Iterator[None]:
    """Processes that start inside have so many threads in each library, none of which looks at the cores of the others, and are deaf to Ctrl-C.

    A terminal sends that to all processes, and whoever started them decides what follows; they would hear it while they import what they need, and
    each would say so.
    """
    before = {name: os.environ.get(name) for name in LIBRARY_THREADS}
    os.environ.update(dict.fromkeys(LIBRARY_THREADS, str(threads)))
    blocked = None if sys.platform == "win32" else signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process takes it over
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
