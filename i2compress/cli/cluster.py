"""The files of a run as tasks of a Ray cluster: bytes go out with each task and come back from it, so no file system need be shared."""

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO, cast

from ..errors import ResourceError, SignalError, UsageError
from ..files import STDIO
from .executors import POLL, Queue, Take, Watcher
from .work import Desk, Job, Result, Work, perform

AHEAD = 2  # tasks given to the cluster for each that can run at once, so that none waits for the driver


class Cluster:
    """A cluster that is there, or one of this machine's cores that is made for the run.

    Args:
        address: "local" for one of this machine, else what ray.init takes: "auto", "ray://host:10001".
        jobs: tasks at once at most; None for as many as the cluster has room for.
        threads: CPU threads of each.
        stop: whether to start nothing more; what is under way is finished.
        gpu: each task asks for a GPU, where the cluster has any.
    """

    def __init__(self, address: str, *, jobs: int | None, threads: int, stop: Callable[[], bool], gpu: bool) -> None:
        if address not in ("local", "auto") and "://" not in address and ":" not in address:
            raise UsageError(f"cluster is {address!r}; expected local, auto, or an address such as ray://host:10001")
        self._address, self._jobs, self._threads, self._stop, self._gpu = address, jobs, threads, stop, gpu

    def run(self, queue: Queue, take: Take, work: Work, watcher: Watcher) -> None:
        """See Executor."""
        with _connected(self._address, self._jobs and self._jobs * self._threads) as ray:
            there = ray.cluster_resources()
            gpus = 1 if self._gpu and there.get("GPU", 0) >= 1 else 0
            # A task that is lost comes back to the watcher, which knows what it has told of it; Ray's own retries would be silent.
            task = ray.remote(num_cpus=self._threads, num_gpus=gpus, max_retries=0)(_elsewhere)
            room = int(there.get("GPU", 0)) if gpus else max(1, int(there.get("CPU", 1)) // self._threads)
            most = AHEAD * room if self._jobs is None else min(self._jobs, AHEAD * room)
            pending: dict[Any, int] = {}
            while pending or (queue and not self._stop()):
                while queue and len(pending) < most and not self._stop():
                    number = queue.popleft()
                    pending[task.remote(work, _filled(take(number)), self._threads)] = number
                    watcher.started(number)
                ready, _ = ray.wait(list(pending), num_returns=1, timeout=POLL)
                for reference in ready:
                    _hear(ray, reference, pending.pop(reference), watcher)
            if queue:
                raise KeyboardInterrupt


def _hear(ray: Any, reference: Any, number: int, watcher: Watcher) -> None:
    try:
        result = ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        watcher.died(number, f"is gone ({type(error).__name__})")
        return
    watcher.done(number, result)


class _OfThisThread:
    """Standard output for the thread that made it; what others print, as Ray does when a worker dies, goes to standard error."""

    def __init__(self, own: TextIO) -> None:
        self._own, self._thread = own, threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own if threading.get_ident() == self._thread else sys.stderr, name)


@contextmanager
def _connected(address: str, cpus: int | None) -> Iterator[Any]:
    """Ray's module, connected."""
    try:
        import ray
    except ImportError as error:
        raise ResourceError("--cluster needs Ray, which is not installed; install it with: pip install 'i2compress[ray]'") from error
    stdout = sys.stdout
    handlers = [(kind, signal.getsignal(kind)) for kind in (signal.SIGINT, signal.SIGTERM)]
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a task without GPUs leaves the variables of CUDA alone
    try:
        if address == "local":
            ray.init("local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        else:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ResourceError(f"no Ray cluster answers at {address} ({error}); check the address, or use --cluster local") from error
    for kind, handler in handlers:  # Ray puts its own there
        signal.signal(kind, handler)
    sys.stdout = cast(TextIO, _OfThisThread(stdout))  # it has every attribute
    try:
        yield ray
    finally:
        ray.shutdown()
        sys.stdout = stdout


def _filled(job: Job) -> Job:
    """The job with its source's bytes; with the reason, where they cannot be read."""
    if job.refused or job.skipped or job.data is not None:
        return job
    try:
        return replace(job, data=job.read())
    except SignalError as error:
        return replace(job, refused=error)


def _elsewhere(work: Work, job: Job, threads: int) -> Result:
    """Does a job whose source is in `data`, in a folder of its own, and returns the output too; what is said names the driver's paths."""
    with tempfile.TemporaryDirectory(prefix="i2c-") as folder:
        places = {name: os.path.join(folder, name, os.path.basename(path)) for name, path in (("in", job.source), ("out", job.target))}
        for place in places.values():
            os.mkdir(os.path.dirname(place))
        here = job
        if job.data is not None:
            Path(places["in"]).write_bytes(job.data)
            target = STDIO if job.target == STDIO else places["out"]
            here = replace(job, source=places["in"], target=target if job.target != job.source else places["in"], data=None)
        result = perform(work, here, Desk(threads=threads))
        made = Path(places["out"]).read_bytes() if os.path.exists(places["out"]) else None
        said = result.transcript.renamed(places["in"], job.source).renamed(places["out"], job.target)
        failure = result.failure
        if failure is not None:
            failure = replace(failure, text=failure.text.replace(places["in"], job.source).replace(places["out"], job.target))
        return replace(result, transcript=said, failure=failure, data=made)
