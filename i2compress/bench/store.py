"""Finished points on disk, so that a run that was interrupted goes on where it stopped."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from ..errors import UsageError
from ..files import atomic_writer
from . import measure
from .origin import machine, origin
from .parts import Codec, Metric, Modality, Point, Samples, Source, Work

FOLDER = "points"


@dataclass(frozen=True, kw_only=True)
class Store:
    """One JSON file and one coded file for each point, in `points` under the folder of the results.

    The name is a hash of everything that shapes a point: samples, codec, its note, work, versions and machine (seconds are the machine's).

    Args:
        folder: of the results.
        modality: what is measured.
        metrics: the measures of each point; one that an earlier run did not have is added to its points.
        earlier: points of results in an older layout, whose coded files are gone; they are taken as they are.
    """

    folder: Path
    modality: Modality
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
        """The earlier points that are not among these: results of an older layout are shown as a whole."""
        known = {(point.source, point.codec, point.work.quality) for point in points}
        return [point for point in self.earlier if (point.source, point.codec, point.work.quality) not in known]

    def data(self, point: Point, source: Source) -> bytes:
        """The coded file of a point."""
        codec = self.modality.codecs[point.codec]
        return self._path(source, codec, point.work).with_suffix("." + codec.extension).read_bytes()

    def holds(self, source: Source, point: Point) -> bool:
        """True where the point's coded file is there: older results come without."""
        codec = self.modality.codecs[point.codec]
        return self._path(source, codec, point.work).with_suffix("." + codec.extension).exists()

    def coded(self, source: Source, point: Point) -> bytes:
        """The point's coded file; where it is gone, the point is measured again, which makes one."""
        return self.data(point if self.holds(source, point) else self._measured(source, self.modality.codecs[point.codec], point.work), source)

    def get(self, source: Source, codec: Codec, work: Work) -> Point:
        """The point with its first measure at least, encoded and decoded now if need be; scoring.complete adds the other measures.

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
        self._write(self._path(source, self.modality.codecs[point.codec], point.work), json.dumps(asdict(point), indent=1).encode())
        return point

    def _measured(self, source: Source, codec: Codec, work: Work) -> Point:
        original, first = samples(self.modality.read, source), self.metrics[0]
        coded, encoding = measure.encode(self.modality, codec.name, original, work)
        decoded, decoding = measure.decode(self.modality, codec.name, coded.data, work)
        decoded = self.modality.onto(original, decoded)
        point = Point(
            codec=codec.name,
            source=source.name,
            digest=source.digest,
            work=work,
            bytes=len(coded.data),
            bpp=8 * len(coded.data) / self.modality.count(original),
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
        self._write(path.with_suffix("." + codec.extension), coded.data)
        self._write(path, json.dumps(asdict(point), indent=1).encode())  # last: where it is, the point is whole
        return point

    def _path(self, source: Source, codec: Codec, work: Work) -> Path:
        shaping = [self.modality.name, source.digest, codec.name, codec.note, asdict(work), codec.versions(), machine()]
        key = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
        return self.folder / FOLDER / f"{codec.name}-{key[:24]}.json"

    def _write(self, path: Path, data: bytes) -> None:
        make_folder(path.parent)
        with atomic_writer(path, force=True) as file:
            file.write(data)


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


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it; UsageError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made ({error.strerror}); choose another one") from error
