"""Finished points on disk, so that a run that was interrupted goes on where it stopped, and the results that are kept without coded files."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import UsageError
from . import measure
from .benchmark import Benchmark, Metric, Point, Source
from .codec import Codec, Samples, Work
from .files import to_json, write_file
from .provenance import machine, origin

FOLDER = "points"
RESULTS = "results.json"


@dataclass(frozen=True, kw_only=True)
class Store:
    """One JSON file and one coded file for each point, in `points` under the folder of the results.

    The name is a hash of everything that shapes a point: samples, codec, its note, work, versions and machine (seconds are the machine's).

    Args:
        folder: of the results.
        benchmark: what is measured.
        metrics: the measures of each point; one that an earlier run did not have is added to its points.
        earlier: points of results whose coded files are gone (`read_results`); they are taken as they are.
    """

    folder: Path
    benchmark: Benchmark
    metrics: tuple[Metric, ...]
    earlier: tuple[Point, ...] = ()

    def find(self, source: Source, codec: Codec, work: Work) -> Point | None:
        """The point, where an earlier run has finished it."""
        path = self._path(source, codec, work)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            coded = path.with_suffix("." + codec.extension).stat().st_size
            point = Point(**{**fields, "work": Work(**fields["work"]), "source": source.name})
        except (OSError, ValueError, TypeError, KeyError):
            return self._earlier(source, codec, work)  # not there, cut short, or of another version
        return point if coded == point.bytes else None

    def _earlier(self, source: Source, codec: Codec, work: Work) -> Point | None:
        for point in self.earlier:
            same = point.source == source.name and point.codec == codec.name
            if same and point.digest == source.digest and point.work == work and point.versions == codec.versions():
                return point
            if same and not point.digest and _as_then(point.work, work):
                return point
        return None

    def others(self, points: Sequence[Point]) -> list[Point]:
        """The earlier points that are not among these: kept results are shown as a whole."""
        known = {(point.source, point.codec, point.work.quality) for point in points}
        return [point for point in self.earlier if (point.source, point.codec, point.work.quality) not in known]

    def data(self, point: Point, source: Source) -> bytes:
        """The coded file of a point."""
        return self._coded_path(source, point).read_bytes()

    def holds(self, source: Source, point: Point) -> bool:
        """True where the point's coded file is there: kept results come without."""
        return self._coded_path(source, point).exists()

    def coded(self, source: Source, point: Point) -> bytes:
        """The point's coded file; where it is gone, the point is measured again, which makes one."""
        return self.data(point if self.holds(source, point) else self._measured(source, self.benchmark.codecs[point.codec], point.work), source)

    def get(self, source: Source, codec: Codec, work: Work) -> Point:
        """The point with its first measure at least, encoded and decoded now if need be; run.complete adds the other measures.

        Raises:
            I2Error: the codec failed.
        """
        return self.find(source, codec, work) or self._measured(source, codec, work)

    def lacking(self, point: Point) -> list[Metric]:
        """The measures that the point does not have yet."""
        return [] if point in self.earlier else [metric for metric in self.metrics if metric.name not in point.metrics]

    def add(self, point: Point, source: Source, found: Mapping[str, float | None]) -> Point:
        """The point with more measures, kept."""
        point = replace(point, metrics={**point.metrics, **found})
        self._keep(point, source)
        return point

    def _measured(self, source: Source, codec: Codec, work: Work) -> Point:
        original, first = samples(self.benchmark.read, source), self.metrics[0]
        coded, encoding = measure.encode(codec, original, work)
        decoded, decoding = measure.decode(codec, coded.data, work.threads)
        decoded = self.benchmark.comparable(original, decoded)
        point = Point(
            codec=codec.name,
            source=source.name,
            digest=source.digest,
            work=work,
            bytes=len(coded.data),
            bpp=8 * len(coded.data) / self.benchmark.count(original),
            metrics={first.name: first.measure(original, decoded)},
            encoding_time=encoding.seconds,
            decoding_time=decoding.seconds,
            encoding_cpu=encoding.cpu,
            decoding_cpu=decoding.cpu,
            encoding_memory=encoding.memory,
            decoding_memory=decoding.memory,
            extra=dict(coded.extra),
            versions=codec.versions(),
            origin=origin() if coded.device is None else {**origin(), "device": coded.device},
        )
        path = self._path(source, codec, work)
        write_file(path.with_suffix("." + codec.extension), coded.data)
        write_file(path, _point_json(point))  # last: where it is, the point is whole
        return point

    def _path(self, source: Source, codec: Codec, work: Work) -> Path:
        shaping = [self.benchmark.name, source.digest, codec.name, codec.note, asdict(work), codec.versions(), machine()]
        key = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
        return self.folder / FOLDER / f"{codec.name}-{key[:24]}.json"

    def _coded_path(self, source: Source, point: Point) -> Path:
        codec = self.benchmark.codecs[point.codec]
        return self._path(source, codec, point.work).with_suffix("." + codec.extension)

    def _keep(self, point: Point, source: Source) -> None:
        write_file(self._path(source, self.benchmark.codecs[point.codec], point.work), _point_json(point))


def _point_json(point: Point) -> str:
    """Infinity stays Infinity here: null is a measure that does not apply, and nobody else reads the file."""
    return json.dumps(asdict(point), indent=1)


def _as_then(earlier: Work, work: Work) -> bool:
    """True where `work` is what points of before settings were written were made with: no own steps, seed 0, one thread."""
    plain = work.steps is None and not work.seed and work.threads in (None, 1)
    return plain and (earlier.quality, earlier.effort) == (work.quality, work.effort)


def samples(read: Callable[[str], Samples], source: Source) -> Samples:
    """A source's samples, the last two sources' from memory."""
    return _samples(read, source.path, source.digest)


@lru_cache(maxsize=2)
def _samples(read: Callable[[str], Samples], path: str, digest: str) -> Samples:
    return read(path)


def digest(samples: Samples) -> str:
    """SHA-256 of shape and samples."""
    return hashlib.sha256(str(samples.shape).encode() + samples.tobytes()).hexdigest()


def read_results(folder: Path, benchmark: Benchmark) -> list[Point]:
    """The points of results.json, which is all that is committed of a run; none where there is none, or the benchmark keeps none.

    Those of before sources and versions were written have neither: they stand for any source of their name. Unknown fields are passed over.

    Raises:
        UsageError: it is something else, or was cut short.
    """
    path = folder / RESULTS
    if not benchmark.keeps_results or not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return [_kept_point(fields, benchmark, found.get("effort"), found.get("origin", {})) for fields in found["points"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{path} is not what i2c bench {benchmark.name} writes ({what}); expected its JSON: move the file away, or choose another folder"
        ) from error


def _kept_point(fields: dict[str, Any], benchmark: Benchmark, effort: int | None, origin: dict[str, Any]) -> Point:
    codec, rate = str(fields["codec"]), float(fields[benchmark.rate.name])
    if not rate > 0:
        raise ValueError(f"a {benchmark.rate.name} of {rate:g}")
    work = fields.get("work") or {"quality": fields["point"], "effort": effort if codec.startswith("i2c") else None}
    return Point(
        codec=codec,
        source=fields["source"],
        digest=fields.get("digest", ""),
        work=Work(**work),
        bytes=int(fields["bytes"]),
        bpp=rate,
        metrics={name: _kept_measure(fields[name], metric) for name, metric in benchmark.metrics.items()},
        encoding_time=float(fields["encoding_time"]),
        decoding_time=float(fields["decoding_time"]),
        encoding_memory=None,
        decoding_memory=None,
        encoding_cpu=fields.get("encoding_cpu"),
        decoding_cpu=fields.get("decoding_cpu"),
        versions=dict(fields.get("versions", {})),
        origin=dict(fields.get("origin") or {name: origin.get(name) for name in ("machine", "commit", "date")}),
    )


def _kept_measure(value: object, metric: Metric) -> float:
    if value is None and not metric.falling:
        return math.inf  # which JSON has no word for: the decoded file is equal to its source
    return float(value)  # type: ignore[arg-type]  # TypeError is what it is asked for


def results_json(points: Sequence[Point], benchmark: Benchmark, metadata: Mapping[str, object]) -> str:
    """results.json with these points, which `read_results` reads; a measure of inf is null in it."""
    efforts = [point.work.effort for point in points if point.work.effort is not None]
    kept = [_kept_fields(point, benchmark) for point in points]
    return to_json({"schema": 1, "effort": max(efforts, default=None), "origin": metadata, "points": kept})


def _kept_fields(point: Point, benchmark: Benchmark) -> dict[str, object]:
    known = {"digest": point.digest, "versions": point.versions} if point.digest else {}
    return {
        "source": point.source,
        "codec": point.codec,
        "point": point.work.quality,
        "bytes": point.bytes,
        benchmark.rate.name: point.bpp,
        **point.metrics,
        "encoding_time": point.encoding_time,
        "decoding_time": point.decoding_time,
        "encoding_cpu": point.encoding_cpu,
        "decoding_cpu": point.decoding_cpu,
        "seconds": 8 * point.bytes / point.bpp,
        "work": asdict(point.work),
        **known,
        "origin": point.origin,  # always: the next run's own is another one
    }
