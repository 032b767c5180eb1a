"""Time and memory of one encode and one decode, each in a fresh process.

A fresh process makes the peak memory the codec's own, and a codec that crashes takes no other point with it.
"""

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ..errors import I2Error, ResourceError
from .modalities import MODALITIES
from .parts import Coded, Modality, Samples, Work

REPEATS = 3
REPEAT_BELOW = 0.3  # seconds of all runs so far: short runs are repeated, and the fastest counts

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


def encode(modality: Modality, codec: str, samples: Samples, work: Work) -> tuple[Coded, Cost]:
    """Encode in a fresh process.

    Raises:
        I2Error: what the codec reported, or that its process died.
    """
    return _in_process(_encode, modality.name, codec, samples, work)


def decode(modality: Modality, codec: str, data: bytes, work: Work) -> tuple[Samples, Cost]:
    """Decode in a fresh process; raises as `encode`."""
    return _in_process(_decode, modality.name, codec, data, work)


def _encode(modality: str, name: str, samples: Samples, work: Work) -> tuple[Coded, Cost]:
    codec = MODALITIES[modality].codecs[name]
    codec.prepare()
    return _timed(lambda: codec.encode(samples, work))


def _decode(modality: str, name: str, data: bytes, work: Work) -> tuple[Samples, Cost]:
    codec = MODALITIES[modality].codecs[name]
    codec.prepare()
    return _timed(lambda: codec.decode(data, work.threads))


def _timed(run: Callable[[], T]) -> tuple[T, Cost]:
    before = _peak_memory()
    runs: list[tuple[float, float]] = []
    result = None
    memory: int | None = None
    while not runs or (len(runs) < REPEATS and sum(seconds for seconds, _ in runs) < REPEAT_BELOW):
        began, busy = time.perf_counter(), time.process_time()
        result = run()
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
    context = workers()
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


def workers() -> Any:  # the contexts of different start methods share no public base with Process
    """Forks of a small server that has the quick codecs loaded where that exists: they start in 20 ms and hold nothing of ours."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(
            ["i2compress.bench.warm", "i2compress.cli"]
        )  # every child imports the main module again, which is the command's
    return context


def _child(sender: Connection, work: Callable[..., object], *args: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    try:
        sender.send(work(*args))
    except I2Error as error:
        sender.send(error)
    except MemoryError:
        sender.send(ResourceError("not enough memory; use a smaller picture or leave the codec out"))
    except Exception as error:
        sender.send(I2Error(f"the codec failed with {type(error).__name__}: {error}; leave it out, or choose another quality"))
