"""The measures that take long, after everything that is timed, by several processes."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..errors import I2Error
from .parts import Point, Samples, Source
from .pool import each
from .store import Store, samples

Pair = tuple[Source, Point]
OnScore = Callable[[int, int], None]


class _Job(NamedTuple):
    """A file to decode and what to measure: functions of modules and data, which travel between processes."""

    read: Callable[[str], Samples]
    prepare: Callable[[], None]
    decode: Callable[[bytes, int | None], Samples]
    onto: Callable[[Samples, Samples], Samples]
    measures: Mapping[str, Callable[[Samples, Samples], float | None]]
    source: Source
    data: bytes
    threads: int | None


def complete(pairs: Sequence[Pair], store: Store, *, jobs: int = 1, on_score: OnScore | None = None) -> list[Point | I2Error]:
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
    modality = store.modality
    codec, data = modality.codecs[point.codec], store.data(point, source)
    measures = {metric.name: metric.measure for metric in store.lacking(point)}
    return _Job(modality.read, codec.prepare, codec.decode, modality.onto, measures, source, data, point.work.threads)


def _score(job: _Job) -> dict[str, float | None] | I2Error:
    try:
        job.prepare()
        original = samples(job.read, job.source)
        decoded = job.onto(original, job.decode(job.data, job.threads))
        return {name: measure(original, decoded) for name, measure in job.measures.items()}
    except I2Error as error:
        return error
