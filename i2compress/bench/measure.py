"""Work in other processes: one encode or decode timed in a fresh one, and scoring by several.

A fresh process makes the peak memory the codec's own, and a codec that crashes takes no other point with it.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ..errors import I2Error, ResourceError
from .codec import Codec, Coded, Samples, Work

REPEATS = 3
REPEAT_BELOW = 0.3  # seconds of all runs so far: short runs are repeated, and the fastest counts

A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the fastest run took, and by how much the process grew.

    Args:
        seconds: by the clock.
        cpu: seconds of the processor, user and system, of all threads: other work on the machine hardly changes them.
        memory: bytes by which the process grew in its first run; None where the system does not tell.
    """

    seconds: float
    cpu: float
    memory: int | None


def encode(codec: Codec, samples: Samples, work: Work) -> tuple[Coded, Cost]:
    """Encode in a fresh process.

    Raises:
        I2Error: what the codec reported, or that its process died.
    """
    return _in_process(_timed, codec.prepare, codec.encode, samples, work)


def decode(codec: Codec, data: bytes, threads: int | None) -> tuple[Samples, Cost]:
    """Decode in a fresh process; raises as `encode`."""
    return _in_process(_timed, codec.prepare, codec.decode, data, threads)


def call(prepare: Callable[[], None], run: Callable[..., T], *args: object) -> tuple[T, Cost]:
    """What a function of a module gives, in a fresh process after `prepare`; raises as `encode`."""
    return _in_process(_timed, prepare, run, *args)


def _timed(prepare: Callable[[], None], run: Callable[..., T], *args: object) -> tuple[T, Cost]:
    prepare()
    before = _peak_memory()
    runs: list[tuple[float, float]] = []
    result = None
    memory: int | None = None
    while not runs or (len(runs) < REPEATS and sum(seconds for seconds, _ in runs) < REPEAT_BELOW):
        began, busy = time.perf_counter(), time.process_time()
        result = run(*args)
        runs.append((time.perf_counter() - began, time.process_time() - busy))
        if memory is None and before is not None:
            memory = (_peak_memory() or before) - before
    assert result is not None  # the loop runs at least once
    seconds, cpu = min(runs)
    return result, Cost(seconds=seconds, cpu=cpu, memory=memory)


def _peak_memory() -> int | None:
    """Bytes of the largest resident set so far; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _in_process(work: Callable[..., T], *args: object) -> T:
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(sender, work, *args), daemon=True)
    child.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError as error:
        child.join()
        what = f"the codec's process died (exit code {child.exitcode})"
        raise ResourceError(f"{what}; expected a result: check the free memory, or leave the codec out") from error
    finally:
        receiver.close()
        child.terminate()
        child.join()
    if isinstance(result, Exception):
        raise result
    return result  # type: ignore[no-any-return]  # pickled by _child


def _child(sender: Connection, work: Callable[..., object], *args: object) -> None:
    _ignore_interrupts()
    try:
        sender.send(work(*args))
    except I2Error as error:
        sender.send(error)
    except MemoryError:
        sender.send(ResourceError("not enough memory; use a smaller picture or leave the codec out"))
    except Exception as error:
        sender.send(I2Error(f"the codec failed with {type(error).__name__}: {error}; leave it out, or choose another quality"))


def each(work: Callable[[A], T], items: Sequence[A], *, jobs: int) -> Iterator[T]:
    """`work(item)` of every item, in order, untimed, by up to `jobs` processes; by this one where that is 1 or there is one item.

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
    pool = ProcessPoolExecutor(min(jobs, len(items)), mp_context=_context(), initializer=_begin_scoring)
    try:
        yield from pool.map(work, items)
    except BrokenProcessPool as error:
        raise ResourceError("a process that scores pictures died; expected a result: check the free memory, or use --jobs 1") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_scoring() -> None:
    _ignore_interrupts()
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when a measure imports it: there is a process for each core already


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides


def _context() -> Any:  # the contexts of different start methods share no public base with Process
    """Forks of a small server that has the quick codecs loaded where that exists: they start in 20 ms and hold nothing of ours."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        # Every child imports the main module again, which is the command's.
        context.set_forkserver_preload([f"{__package__}.preload", f"{__package__.rpartition('.')[0]}.cli"])
    return context
