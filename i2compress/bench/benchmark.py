"""What a benchmark is made of beside its codecs: measures, sources, and the points that they give."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import I2Error
from .codec import Codec, Samples, Work

COSTS = ("encoding_time", "decoding_time", "encoding_cpu", "decoding_cpu", "encoding_memory", "decoding_memory")  # fields of Point and of its means


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure of likeness of two arrays of samples.

    Args:
        name: key in files.
        title: in tables and plots, with the unit.
        digits: after the decimal point.
        measure: source and decoded samples to a number; None where it does not apply (too small a picture).
        falling: less is better.
        missing: why it cannot run here, or None.
    """

    name: str
    title: str
    digits: int
    measure: Callable[[Samples, Samples], float | None]
    falling: bool = False
    missing: Callable[[], str | None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file to code: its samples are read when they are needed.

    Args:
        name: in tables; unique in a run.
        path: of the file.
        digest: SHA-256 of shape and samples, so that the same picture in another file format is the same source.
    """

    name: str
    path: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """One file, measured.

    Args:
        codec, source, digest: which codec, the source's name and its samples' SHA-256.
        work: quality and settings.
        bytes, bpp: length of the file, and bits for each pixel (second, or what else the benchmark counts).
        metrics: by name; None where one does not apply.
        encoding_time, decoding_time: seconds, the fastest of up to 3 runs in a fresh process.
        encoding_cpu, decoding_cpu: seconds of the processor in that run, user and system, of all threads; None in points of before it was measured.
        encoding_memory, decoding_memory: bytes by which the process grew at most over what it held before; None where the system does not tell.
        extra: what only this codec knows.
        versions: the codec's packages.
        origin: machine, commit, date and device (where there is a choice) of the measurement.
    """

    codec: str
    source: str
    digest: str
    work: Work
    bytes: int
    bpp: float
    metrics: Mapping[str, float | None]
    encoding_time: float
    decoding_time: float
    encoding_memory: int | None
    decoding_memory: int | None
    encoding_cpu: float | None = None
    decoding_cpu: float | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How a benchmark's rate is called.

    Args:
        name: key in files; its values are bits for each of what Benchmark.count counts.
        title: in tables.
        axis: in plots.
        digits: after the decimal point in tables.
        unit: how many make one in tables and plots: 1000 for kbps.
    """

    name: str
    title: str
    axis: str
    digits: int
    unit: float = 1.0


class CodedFiles(Protocol):
    """The coded files of a run; a Store is one."""

    @property
    def folder(self) -> Path:
        """The folder of the results."""

    def holds(self, source: Source, point: Point) -> bool:
        """True where the coded file is there."""

    def coded(self, source: Source, point: Point) -> bytes:
        """The coded file, made again if need be."""


def of_one_shape(source: Samples, decoded: Samples) -> Samples:
    """What came back, which must be as large as the source. Raises I2Error."""
    if decoded.shape != source.shape:
        raise I2Error(f"{decoded.shape} came back; expected {source.shape}: leave the codec out")
    return decoded


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A kind of media with its codecs and measures: one module that fills this in, and one line in `run.BENCHMARKS`.

    Args:
        name: of the command, `i2c bench NAME`.
        read: path to samples; raises SignalError.
        codecs: by name, in the order of tables.
        metrics: by name; the first one is what BD figures and targets are about.
        count: what the rate is counted on: pixels, seconds.
        comparable: source and decoded samples to decoded ones that can be measured against the source; raises I2Error.
        rate: how bits for each of those are called.
        anchors: of BD figures, the strongest first.
        least_overlap: of two curves for a BD figure: the range of quality that they share, over the whole range.
        slider: the report shows pictures side by side.
        each: results.md has a line for each file too.
        plots: PNG files by name from all points, the sources of the run and the coded files, besides the curves of means.
        keeps_results: all points are written to results.json too, and taken from there where the coded files are gone.
    """

    name: str
    read: Callable[[str], Samples]
    codecs: Mapping[str, Codec]
    metrics: Mapping[str, Metric]
    count: Callable[[Samples], float]
    rate: Rate
    anchors: Sequence[str]
    comparable: Callable[[Samples, Samples], Samples] = of_one_shape
    least_overlap: float = 0.4
    slider: bool = False
    each: bool = False
    plots: Callable[[Sequence[Point], Sequence[Source], CodedFiles], dict[str, bytes]] | None = None
    keeps_results: bool = False
