"""A run over several files: which executor, what is said, what follows a failure, and the exit code."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ExitCode, I2Error, ResourceError, UsageError
from ..memory import used
from ..processes import cores
from .batch import finish, write_output
from .executors import Executor, Processes, Queue, Serial
from .options import Placing, Running, parse_bytes, parse_jobs
from .output import Output, about, duration, size
from .progress import Display
from .work import Failure, Job, Result, Work
from .works import size as size_of

if TYPE_CHECKING:
    from ..fit import StepInfo

TRIES = 2  # of a file whose worker died


def run_jobs(
    jobs: Sequence[Job],
    work: Work,
    running: Running,
    out: Output,
    *,
    placing: Placing | None = None,
    prepare: Callable[[Job], Job] = lambda job: job,
    weigh: Callable[[Sequence[Job]], Sequence[float]] = lambda jobs: list(map(size_of, jobs)),
    stop: Callable[[], bool] = lambda: False,
    workers: int | None = None,
    gpu: bool = False,
) -> ExitCode:
    """Do all jobs. One that fails does not stop the others, but for --fail-fast.

    Args:
        jobs: what is to be done.
        work: does one of them, here or elsewhere.
        running: where, and how many at once.
        out: where it is said.
        placing: what follows each file that is written; None: nothing.
        prepare: a look at each job just before its work, in this process.
        weigh: what the jobs take, in any unit; asked where a bar is shown.
        stop: whether to finish what is under way with the best state so far, and start nothing more.
        workers: most processes whatever is asked for, such as one for each GPU; None for any number.
        gpu: tasks of a cluster may use GPUs.

    Returns:
        The error's own exit code where there is a single job, else FAILED where any failed, else OK.

    Raises:
        KeyboardInterrupt: `stop`, and jobs are left.
    """
    if not jobs:
        out.line("no files to do")
        return ExitCode.OK
    with Display([job.shown for job in jobs], lambda: weigh(jobs), quiet=out.quiet) as display:
        executor = _executor(running, len(jobs), stop=stop, workers=workers, steps=display.shows, gpu=gpu)
        queue: Queue = deque(range(len(jobs)))
        log = _Log(list(jobs), queue, out, display, placing=placing, fail_fast=running.fail_fast)

        def take(number: int) -> Job:
            log.jobs[number] = _prepared(jobs[number], prepare)
            return log.jobs[number]

        try:
            executor.run(queue, take, work, log)
        finally:
            if len(jobs) > 1:
                with display.aside():
                    log.summarise()
    return log.code()


def _prepared(job: Job, prepare: Callable[[Job], Job]) -> Job:
    """A job that is ready; one that cannot be fails as if its work had."""
    if job.refused is not None or job.skipped:
        return job
    try:
        return prepare(job)
    except I2Error as error:
        return replace(job, refused=error)


def share_out(jobs: str | None, threads: int | None, files: int, *, workers: int | None = None) -> tuple[int, int | None]:
    """(processes, threads of each; None for all): never more than the cores together, never more processes than files or `workers`."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}; expected at least 1")
    asked = parse_jobs(jobs)
    most = max(1, cores() // (threads or 1))
    processes = max(1, min(most if asked is None else asked, most, files, *([] if workers is None else [workers])))
    return processes, threads if processes == 1 or threads is not None else max(1, cores() // processes)


def parts_at_once(running: Running, files: int) -> int:
    """Parts of a file that may be worked on at the same time: as many as files were asked for, where there is one file on this machine."""
    return 1 if files != 1 or running.cluster is not None else share_out(running.jobs, running.threads, cores())[0]


def share_memory(running: Running, files: int, *, least: int, workers: int | None = None) -> tuple[int | None, int | None]:
    """(bytes that each process may have; None for any, most processes; None for any number), which together keep within --max-memory.

    Args:
        running: how many processes are asked for.
        files: how many there are.
        least: bytes that a process takes that does next to nothing; there are no more processes than have so many each.
        workers: most processes whatever is asked for.
    """
    if running.max_memory is None:
        return None, workers
    limit = parse_bytes(running.max_memory, "max memory")
    if running.cluster is not None:  # each task by itself, wherever it is
        return limit, workers
    most = max(1, (limit - used()) // least)
    processes, _ = share_out(running.jobs, running.threads, files, workers=most if workers is None else min(workers, most))
    return (limit if processes == 1 else (limit - used()) // processes), processes


def _executor(running: Running, files: int, *, stop: Callable[[], bool], workers: int | None, steps: bool, gpu: bool) -> Executor:
    if running.cluster is not None:
        from .cluster import Cluster

        asked = None if running.jobs is None else parse_jobs(running.jobs)
        return Cluster(running.cluster, jobs=asked, threads=running.threads or 1, stop=stop, gpu=gpu)
    processes, threads = share_out(running.jobs, running.threads, files, workers=workers)
    if processes == 1:
        return Serial(stop=stop, threads=running.threads, steps=steps)
    return Processes(processes, stop=stop, threads=threads or 1, steps=steps)


class _Log:
    """The Watcher: says what came of each job, and keeps count."""

    def __init__(self, jobs: list[Job], queue: Queue, out: Output, display: Display, *, placing: Placing | None, fail_fast: bool) -> None:
        self.jobs, self.queue, self.out, self.display, self.placing, self.fail_fast = jobs, queue, out, display, placing, fail_fast
        self.results: dict[int, Result] = {}
        self.deaths: dict[int, int] = {}
        self.began = time.monotonic()

    def started(self, number: int) -> None:
        """See Watcher."""
        self.display.start(number)

    def stepped(self, number: int, info: "StepInfo") -> None:
        """See Watcher."""
        self.display.step(number, info)

    def done(self, number: int, result: Result) -> None:
        """See Watcher."""
        job, result = self.jobs[number], self._closed(self.jobs[number], result)
        self.results[number] = result
        self.display.finish(number, worked=result.status != "skipped")
        with self.display.aside():
            result.transcript.replay(self.out)
            if result.failure is not None:
                self.out.failure(job.source, result.failure)
            if result.status == "skipped":
                self.out.line(f"{job.shown}: left as it is, {job.skipped}")
                self.out.record(job.source, "skipped", {"output": job.target, "reason": job.skipped})
        if result.failure is not None and self.fail_fast:
            self.queue.clear()

    def died(self, number: int, how: str) -> None:
        """See Watcher: once more, then it is a failure."""
        self.deaths[number] = self.deaths.get(number, 0) + 1
        self.display.drop(number)
        if self.deaths[number] < TRIES:
            with self.display.aside():
                self.out.warn(f"the process working on {self.jobs[number].source} {how}; the file is tried once more")
            self.queue.append(number)
            return
        error = ResourceError(f"the process working on it {how}, twice; try it alone, with a smaller -j or a smaller file")
        self.done(number, Result(status="error", failure=Failure.of(error)))

    def _closed(self, job: Job, result: Result) -> Result:
        """The result once its output lies where it belongs, which a worker elsewhere cannot see to, and all that follows is done."""
        if result.status != "ok" or self.placing is None:
            return result
        try:
            if result.data is not None:
                write_output(job, result.data, verify=True)
            finish(job.source, job.target, self.placing)
        except I2Error as error:
            return Result(status="error", failure=Failure.of(error))
        return result

    def summarise(self) -> None:
        """After a run of several files: how many are done, and which failed."""
        groups = {status: [n for n, found in sorted(self.results.items()) if found.status == status] for status in ("ok", "skipped", "error")}
        left = len(self.jobs) - len(self.results)
        parts = [f"{len(groups['ok'])} of {len(self.jobs)} files done"]
        parts += [
            f"{count} {what}"
            for count, what in ((len(groups["skipped"]), "left as they are"), (len(groups["error"]), "failed"), (left, "not begun"))
            if count
        ]
        self.out.line(", ".join(parts))
        read, written = (sum(getattr(self.results[n].tally, name) for n in groups["ok"]) for name in ("read", "written"))
        if groups["ok"]:
            cells = [("files", str(len(groups["ok"]))), ("read", size(read))]
            cells += [("written", size(written)), ("ratio", f"{read / written:.1f}")] if written else []
            cells += [("time", duration(time.monotonic() - self.began))]
            widths = [max(map(len, cell)) for cell in cells]
            for row in zip(*cells, strict=True):
                self.out.line("  " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))
        if groups["error"]:
            self.out.line("failed:")
            for number in groups["error"]:
                failure = self.results[number].failure
                assert failure is not None
                self.out.line(f"  {about(self.jobs[number].source, failure.text)}")

    def code(self) -> ExitCode:
        """What the run returns."""
        failures = [result.failure for result in self.results.values() if result.failure is not None]
        if len(self.jobs) == 1:
            return failures[0].code if failures else ExitCode.OK
        return ExitCode.FAILED if failures else ExitCode.OK
