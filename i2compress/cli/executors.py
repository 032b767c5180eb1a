"""Where the files of a run are worked on: one after the other in this process, or several at once in others. cluster.py has a third place."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnContext
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from ..memory import keep_freed_memory
from ..processes import starting_workers
from .errors import Terminated
from .work import Desk, Job, Result, Work, perform, read_input, readable_once

if TYPE_CHECKING:
    from ..fit import StepInfo

POLL = 0.2  # seconds between two looks at whether to stop
STEPS_APART = 0.2  # seconds between two reports of a worker's steps, at least
PATIENCE = 20.0  # seconds that a worker has to remove its temporary file and end

Queue = deque[int]
"""Numbers of the jobs that are to be started; an executor takes from its left, and whoever watches may add to it or empty it."""


Take = Callable[[int], Job]
"""The job of a number, made ready: called once, in the driver, just before its work."""


class Watcher(Protocol):
    """Is told what happens to the jobs, in the driver's main thread."""

    def started(self, number: int) -> None:
        """Its work begins."""

    def stepped(self, number: int, info: "StepInfo") -> None:
        """A fit's step."""

    def done(self, number: int, result: Result) -> None:
        """Its work has ended, well or not."""

    def died(self, number: int, how: str) -> None:
        """The process that worked on it is gone."""


class Executor(Protocol):
    """A place where jobs are worked on."""

    def run(self, queue: Queue, take: Take, work: Work, watcher: Watcher) -> None:
        """Works until the queue is empty and nothing is under way. What is under way when an exception passes is ended, without a file."""


class Serial:
    """In this process, one after the other.

    Args:
        stop: whether to end with the best state so far, and start nothing more.
        threads: CPU threads; None for all.
        steps: whether anybody looks at the steps.
    """

    def __init__(self, *, stop: Callable[[], bool], threads: int | None, steps: bool) -> None:
        self._stop, self._threads, self._steps = stop, threads, steps

    def run(self, queue: Queue, take: Take, work: Work, watcher: Watcher) -> None:
        """See Executor."""
        while queue:
            if self._stop():
                raise KeyboardInterrupt
            number = queue.popleft()

            def on_step(info: "StepInfo", number: int = number) -> None:
                watcher.stepped(number, info)

            watcher.started(number)
            desk = Desk(on_step=on_step if self._steps else None, stop=self._stop, threads=self._threads)
            watcher.done(number, perform(work, take(number), desk))


class Processes:
    """In other processes of this machine, which are started anew, so that torch's threads are never forked.

    Args:
        count: of processes.
        stop: as above; files under way are finished.
        threads: CPU threads of each.
        steps: whether anybody looks at the steps.
    """

    def __init__(self, count: int, *, stop: Callable[[], bool], threads: int, steps: bool) -> None:
        self._count, self._stop, self._threads, self._steps = count, stop, threads, steps

    def run(self, queue: Queue, take: Take, work: Work, watcher: Watcher) -> None:
        """See Executor."""
        context, stopping = get_context("spawn"), False
        event = context.Event()
        workers = [_Worker(context, work, slot, self._threads, event, steps=self._steps) for slot in range(self._count)]
        try:
            while queue or any(worker.number is not None for worker in workers):
                if self._stop() and not stopping:
                    stopping = True
                    event.set()
                for place, worker in enumerate(workers):
                    if worker.number is not None or not queue or stopping:
                        continue
                    if not worker.process.is_alive():
                        workers[place] = worker = _Worker(context, work, place, self._threads, event, steps=self._steps)
                    number = queue.popleft()
                    worker.give(number, take(number))
                    watcher.started(number)
                busy = [worker for worker in workers if worker.number is not None]
                if not busy:
                    break
                ready = connection.wait([worker.pipe for worker in busy], timeout=POLL)
                for worker in busy:
                    if worker.pipe in ready:
                        worker.hear(watcher, queue)
            if stopping and queue:
                raise KeyboardInterrupt
        finally:
            _end(workers)


class _Worker:
    """A process, the driver's side."""

    def __init__(self, context: SpawnContext, work: Work, slot: int, threads: int, stop: Any, *, steps: bool) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, slot, threads, stop, steps), daemon=True)
        with starting_workers(threads):
            self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.number: int | None = None

    def give(self, number: int, job: Job) -> None:
        """A job; a pipe that only this process can read is read here."""
        self.number = number
        if job.data is None and not job.refused and not job.skipped and readable_once(job.source):
            with suppress(Exception):  # said by the worker, which fails in the same way
                job = replace(job, data=read_input(job.source))
        with suppress(OSError):  # a worker that has just died is heard of when its pipe is read
            self.pipe.send(job)

    def hear(self, watcher: Watcher, queue: Queue) -> None:
        """What it has sent, or that it is gone. A job that it was told to stop before it began goes back."""
        assert self.number is not None
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            number, self.number = self.number, None
            self.process.join(PATIENCE)
            watcher.died(number, _how(self.process.exitcode))
            return
        if message is None:
            number, self.number = self.number, None
            queue.appendleft(number)
        elif isinstance(message, Result):
            number, self.number = self.number, None
            watcher.done(number, message)
        else:
            watcher.stepped(self.number, message)


def _how(code: int | None) -> str:
    """An exit code in words."""
    if code is not None and code < 0:
        name = next((entry.name for entry in signal.Signals if entry == -code), f"signal {-code}")
        return f"was killed by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    return f"ended with exit code {code}"


def _end(workers: Sequence[_Worker]) -> None:
    """No process is left: the idle ones end as their pipes do, busy ones by a signal upon which they remove what they have begun."""
    for worker in workers:
        if worker.number is not None:
            worker.process.terminate()
        worker.pipe.close()
    until = time.monotonic() + PATIENCE
    for worker in workers:
        worker.process.join(max(0.1, until - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _serve(pipe: connection.Connection, work: Work, slot: int, threads: int, stop: Any, steps: bool) -> None:
    """The worker's side: job after job until the pipe ends."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the driver decides
    signal.signal(signal.SIGTERM, terminate)
    threading.Thread(target=_follow_parent, daemon=True).start()
    keep_freed_memory()
    with suppress(EOFError, OSError, Terminated):
        while True:
            job, last = pipe.recv(), 0.0

            def on_step(info: "StepInfo") -> None:
                nonlocal last
                if time.monotonic() - last >= STEPS_APART:
                    last = time.monotonic()
                    pipe.send(info)

            desk = Desk(on_step=on_step if steps else None, stop=stop.is_set, slot=slot, threads=threads)
            try:
                pipe.send(perform(work, job, desk))
            except KeyboardInterrupt:  # told to stop, with nothing to finish yet
                pipe.send(None)


def _follow_parent() -> None:
    """Ends this process, in the orderly way, when the driver is gone, however that was ended."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
