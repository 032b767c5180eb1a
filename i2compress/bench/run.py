"""A run: which points there are to measure, measuring those that no earlier run has finished, and the measures that take long afterwards."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import I2Error, SignalError, UsageError
from .audio import AUDIO
from .benchmark import Benchmark, Metric, Point, Source
from .codec import Codec, FitOptions, Samples, Work
from .i2c import readable
from .image import IMAGE
from .measure import each
from .store import Store, digest, samples
from .video import VIDEO

BENCHMARKS = {benchmark.name: benchmark for benchmark in (IMAGE, AUDIO, VIDEO)}  # the kinds of media that can be benchmarked


@dataclass(frozen=True, kw_only=True)
class Task:
    """A point to be."""

    source: Source
    codec: Codec
    work: Work


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands.

    Args:
        task: what was just finished or failed.
        point: its result; None where it failed.
        done, total: points.
        eta: seconds to the end, by the mean time of each codec's points so far.
        elapsed: seconds since the run began.
    """

    task: Task
    point: Point | None
    done: int
    total: int
    eta: float
    elapsed: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A point that could not be measured, and why."""

    task: Task
    error: I2Error

    @property
    def name(self) -> str:
        """Which point, in words."""
        return f"{self.task.source.name}, {self.task.codec.name} {self.task.work.quality:g}"


OnPoint = Callable[[Progress], None]
OnScore = Callable[[int, int], None]


def sources(paths: Sequence[str], benchmark: Benchmark) -> list[Source]:
    """The files to code, folders replaced by the pictures in them.

    Raises:
        SignalError: one that is missing or cannot be benchmarked, or a folder without any.
    """
    found: list[str] = []
    for path in paths:
        inside = sorted(str(file) for file in Path(path).iterdir() if readable(file)) if Path(path).is_dir() else [path]
        if not inside:
            raise SignalError(f"{path} holds no {benchmark.name} file; give files, or a folder with some")
        found += inside
    names = _names(found)
    return [Source(name=name, path=path, digest=digest(benchmark.read(path))) for name, path in zip(names, found, strict=True)]


def _names(paths: Sequence[str]) -> list[str]:
    """Short names, made longer where two would be the same."""
    stems = [Path(path).stem for path in paths]
    names = [stem if stems.count(stem) == 1 else Path(path).name for stem, path in zip(stems, paths, strict=True)]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]


def choose(names: Sequence[str], benchmark: Benchmark) -> tuple[list[Codec], dict[str, str]]:
    """The codecs of that name that can run here, and why each of the others cannot.

    Raises:
        UsageError: a name that is not in the table, or no codec left.
    """
    unknown = [name for name in names if name not in benchmark.codecs]
    if unknown:
        raise UsageError(f"codec {unknown[0]!r} is not known; expected some of {', '.join(benchmark.codecs)}")
    missing = {name: reason for name in names if (reason := benchmark.codecs[name].missing())}
    chosen = [benchmark.codecs[name] for name in dict.fromkeys(names) if name not in missing]
    if not chosen:
        raise UsageError(f"no codec can run: {'; '.join(f'{name}: {reason}' for name, reason in missing.items()) or 'none was named'}")
    return chosen, missing


def measures(benchmark: Benchmark) -> tuple[tuple[Metric, ...], dict[str, str]]:
    """The measures that can run here, and why each of the others cannot."""
    missing = {name: reason for name, metric in benchmark.metrics.items() if (reason := metric.missing())}
    return tuple(metric for name, metric in benchmark.metrics.items() if name not in missing), missing


def plan(files: Sequence[Source], codecs: Sequence[Codec], qualities: Mapping[str, Sequence[float]], options: FitOptions) -> list[Task]:
    """Every point of a run, the codecs that take long last; qualities by codec, its own where it has none there."""
    ordered = sorted(codecs, key=lambda codec: codec.fitted)
    return [
        Task(source=source, codec=codec, work=codec.work(quality, options))
        for codec in ordered
        for source in files
        for quality in sorted(set(qualities.get(codec.name, codec.qualities)))
    ]


def run(
    tasks: Sequence[Task], store: Store, on_point: OnPoint | None = None, *, jobs: int = 1, on_score: OnScore | None = None
) -> tuple[list[Point], list[Failure]]:
    """The points of `tasks`, in their order, and those that failed; only what no earlier run has finished is measured.

    Args:
        tasks: encoded and decoded one after the other, so that nothing of ours disturbs what is timed.
        store: where points are kept.
        on_point: called after each task.
        jobs: processes that score the decoded files afterwards.
        on_score: called with how many of how many files are scored.
    """
    measured, failures = _measured(tasks, store, on_point)
    scored = complete([(task.source, point) for task, point in measured], store, jobs=jobs, on_score=on_score)
    failures += [Failure(task=task, error=found) for (task, _), found in zip(measured, scored, strict=True) if isinstance(found, I2Error)]
    return [found for found in scored if isinstance(found, Point)], failures


def _measured(tasks: Sequence[Task], store: Store, on_point: OnPoint | None) -> tuple[list[tuple[Task, Point]], list[Failure]]:
    began, spent = time.monotonic(), _Spent([task.codec.name for task in tasks if store.find(task.source, task.codec, task.work) is None])
    points: list[tuple[Task, Point]] = []
    failures: list[Failure] = []
    for done, task in enumerate(tasks, 1):
        known, start = store.find(task.source, task.codec, task.work), time.monotonic()
        point = None
        try:
            point = store.get(task.source, task.codec, task.work)
            points.append((task, point))
        except I2Error as error:
            failures.append(Failure(task=task, error=error))
        if known is None:
            spent.add(task.codec.name, time.monotonic() - start)
        if on_point is not None:
            elapsed = time.monotonic() - began
            on_point(Progress(task=task, point=point, done=done, total=len(tasks), eta=spent.eta(), elapsed=elapsed))
    return points, failures


class _Spent:
    """Seconds by codec, and what the points that are left will take."""

    def __init__(self, left: list[str]) -> None:
        self.left = left
        self.seconds: dict[str, list[float]] = {}

    def add(self, codec: str, seconds: float) -> None:
        self.left.remove(codec)
        self.seconds.setdefault(codec, []).append(seconds)

    def eta(self) -> float:
        means = {codec: sum(values) / len(values) for codec, values in self.seconds.items()}
        usual = sum(means.values()) / len(means) if means else 0.0
        return sum(means.get(codec, usual) for codec in self.left)


class _Job(NamedTuple):
    """A file to decode and what to measure: functions of modules and data, which travel between processes."""

    read: Callable[[str], Samples]
    prepare: Callable[[], None]
    decode: Callable[[bytes, int | None], Samples]
    comparable: Callable[[Samples, Samples], Samples]
    measures: Mapping[str, Callable[[Samples, Samples], float | None]]
    source: Source
    data: bytes
    threads: int | None


def complete(pairs: Sequence[tuple[Source, Point]], store: Store, *, jobs: int = 1, on_score: OnScore | None = None) -> list[Point | I2Error]:
    """The points with every measure of the store, kept there; an error where a file cannot be scored.

    Args:
        pairs: points of the store with their sources.
        store: its measures.
        jobs: processes.
        on_score: called with how many of how many points that lacked something are done.
    """
    done: list[Point | I2Error] = [point for _, point in pairs]
    left = [index for index, (_, point) in enumerate(pairs) if store.lacking(point)]
    work = [_job(*pairs[index], store) for index in left]
    for count, (index, found) in enumerate(zip(left, each(_score, work, jobs=jobs), strict=True), 1):
        source, point = pairs[index]
        done[index] = found if isinstance(found, I2Error) else store.add(point, source, found)
        if on_score is not None:
            on_score(count, len(left))
    return done


def _job(source: Source, point: Point, store: Store) -> _Job:
    benchmark = store.benchmark
    codec, data = benchmark.codecs[point.codec], store.data(point, source)
    measures = {metric.name: metric.measure for metric in store.lacking(point)}
    return _Job(benchmark.read, codec.prepare, codec.decode, benchmark.comparable, measures, source, data, point.work.threads)


def _score(job: _Job) -> dict[str, float | None] | I2Error:
    try:
        job.prepare()
        original = samples(job.read, job.source)
        decoded = job.comparable(original, job.decode(job.data, job.threads))
        return {name: measure(original, decoded) for name, measure in job.measures.items()}
    except I2Error as error:
        return error
