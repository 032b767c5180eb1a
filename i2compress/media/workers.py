"""Parts of one source that are fitted at the same time, each in a process of its own; what comes of them does not depend on how many there are."""

import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, current_process, get_context, parent_process
from multiprocessing.context import SpawnContext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .. import checkpoints
from ..errors import ResourceError
from ..memory import keep_freed_memory
from ..processes import starting_workers
from .protocol import Hooks

if TYPE_CHECKING:
    from ..fit import StepInfo

POLL = 0.2  # seconds between two looks at whether to stop, and between two reports of a worker's steps

Outcome = TypeVar("Outcome", covariant=True)


class Part(Protocol[Outcome]):
    """Work that a process can be given: it can be pickled, as what comes of it can."""

    def __call__(self, hooks: Hooks) -> Outcome:
        """Does it."""


OnStep = Callable[[int], "Callable[[StepInfo], None] | None"]
"""What is to be called after every step of the part of a number."""


def most_workers(asked: int) -> int:
    """How many of the processes that were asked for there can be: one where this process may have none of its own."""
    return 1 if current_process().daemon else asked


def in_order(
    parts: Iterable[Part[Outcome]], *, at_once: int, threads: int, on_step: OnStep, stop: Callable[[], bool] | None
) -> Generator[Outcome, None, None]:
    """What comes of each part, one after the other; close it where not all is taken, and what is under way is given up.

    Args:
        parts: each is made just before its work begins.
        at_once: processes, and parts that are under way at most; with 1 it is all done in this process.
        threads: CPU threads that the libraries of each process take.
        on_step: see OnStep.
        stop: asked before every step; True ends the fits with the best state so far.

    Raises:
        ResourceError: a process was killed.
    """
    if at_once <= 1:
        for number, part in enumerate(parts):
            yield part(Hooks(on_step=on_step(number), stop=stop))
        return
    context = get_context("spawn")  # so that torch's threads are never forked
    stopping = context.Event()
    with starting_workers(threads):
        workers = [_Worker(context, stopping) for _ in range(at_once)]
    idle, busy = deque(workers), deque[_Worker]()

    def first() -> Any:
        """The outcome of the part that has been under way for longest."""
        while busy[0].message is None:
            _hear(busy, on_step)
            if stop is not None and stop():
                stopping.set()
        idle.append(busy.popleft())
        return idle[-1].outcome()

    try:
        for number, part in enumerate(parts):
            worker = idle.popleft()
            worker.begin(part, number, told=on_step(number) is not None)
            busy.append(worker)
            if not idle:
                yield first()
        while busy:
            yield first()
    finally:
        for worker in workers:
            worker.end()


def _hear(workers: Sequence["_Worker"], on_step: OnStep) -> None:
    """Passes on what those that are at work have to say; waits for it, but not for long."""
    waiting = {worker.pipe: worker for worker in workers if worker.message is None}
    for pipe in connection.wait(list(waiting), timeout=POLL):
        worker = waiting[pipe]  # type: ignore[index]  # only pipes are waited for
        message = worker.heard()
        if isinstance(message, (_Done, _Failed)):
            worker.message = message
        elif (tell := on_step(worker.number)) is not None:
            tell(message)


@dataclass(frozen=True)
class _Task:
    part: Part[Any]
    told: bool  # of its steps
    place: checkpoints.Checkpoints | None


@dataclass(frozen=True)
class _Done:
    outcome: Any


@dataclass(frozen=True)
class _Failed:
    error: Exception
    trace: str


class _Worker:
    """A process, on the side of the one that it works for. `message`: how the part of that `number` has ended."""

    def __init__(self, context: SpawnContext, stopping: Any) -> None:
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, stopping), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.number, self.message = 0, None  # type: int, _Done | _Failed | None

    def begin(self, part: Part[Any], number: int, *, told: bool) -> None:
        """Has a part done."""
        self.number, self.message = number, None
        try:
            self.pipe.send(_Task(part, told, checkpoints.reserved()))
        except OSError as error:
            raise self._killed() from error

    def heard(self) -> Any:
        """What it has sent."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._killed() from error

    def outcome(self) -> Any:
        """What came of the part."""
        if isinstance(self.message, _Failed):
            raise self.message.error from RuntimeError(self.message.trace)
        assert self.message is not None
        return self.message.outcome

    def end(self) -> None:
        """The process is gone. What it is at is not finished: nobody waits for it."""
        self.pipe.close()
        self._process.terminate()
        self._process.join()

    def _killed(self) -> ResourceError:
        return ResourceError("a process that fitted a part of it was killed, perhaps for want of memory; try a smaller -j")


def _serve(pipe: connection.Connection, stopping: Any) -> None:
    """The worker's side: part after part, until it is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the driver decides
    threading.Thread(target=_follow_parent, daemon=True).start()
    keep_freed_memory()
    while True:
        try:
            task: _Task = pipe.recv()
        except (EOFError, OSError):
            return
        last = 0.0

        def on_step(info: "StepInfo") -> None:
            nonlocal last
            if time.monotonic() - last >= POLL:
                last = time.monotonic()
                pipe.send(info)

        try:
            with checkpoints.taken_up(task.place):
                found: _Done | _Failed = _Done(task.part(Hooks(on_step=on_step if task.told else None, stop=stopping.is_set)))
        except Exception as error:
            found = _Failed(error, traceback.format_exc())
        pipe.send(found)


def _follow_parent() -> None:
    """Ends this process when the driver is gone, however that was ended."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
