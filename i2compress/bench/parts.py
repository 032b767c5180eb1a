"""What a benchmark is made of: codecs, measures, sources and the points they give."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..config import DEFAULT_EFFORT
from ..errors import I2Error

Pixels = npt.NDArray[np.uint8]
Samples = Any  # what a modality reads and its codecs give back: Pixels `[H, W, 3]`, or an object with shape and tobytes(), such as a Sound
Number = float | int | None


@dataclass(frozen=True, kw_only=True)
class Work:
    """How a codec is to work.

    Args:
        quality: on the codec's own scale, more is better.
        threads: CPU threads of encoder and decoder, where the codec has a say; None for all.
        effort, steps, seed, device: of i2c, see EncodeSettings; None for codecs that are not fitted.
    """

    quality: float
    threads: int | None = None
    effort: int | None = None
    steps: int | None = None
    seed: int | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The part of a Work that fitted codecs share in a run; see EncodeSettings."""

    effort: int = DEFAULT_EFFORT
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None


class Coded(NamedTuple):
    """A file's bytes, numbers that only this codec has (loss, optimiser steps), and the device it ran on where there is a choice."""

    data: bytes
    extra: Mapping[str, float] = {}
    device: str | None = None


def _nothing() -> None:
    """A preparation that is none; it has a name, so that other processes find it."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One codec as a user would call it.

    Args:
        name: on the command line, in tables and file names.
        note: its settings in words; a part of what a stored point is keyed by.
        extension: of its files, without the dot.
        qualities: the points of a curve where none are given.
        encode: samples and Work to the bytes of a file.
        decode: bytes and the number of threads to samples.
        missing: why it cannot run here, or None.
        versions: of every package that shapes its bytes.
        prepare: imports, so that their time and memory are not the codec's.
        lowest, highest: ends of the quality scale, for searches over whole numbers.
        fitted: an encode takes so long that searches spare them, and effort, steps and seed matter.
    """

    name: str
    note: str
    extension: str
    qualities: tuple[float, ...]
    encode: Callable[[Samples, Work], Coded]
    decode: Callable[[bytes, int | None], Samples]
    missing: Callable[[], str | None]
    versions: Callable[[], dict[str, str]]
    prepare: Callable[[], None] = _nothing
    lowest: int = 0
    highest: int = 100
    fitted: bool = False

    def work(self, quality: float, options: FitOptions) -> Work:
        """How this codec is to work at a quality in a run with these options."""
        if not self.fitted:
            return Work(quality=quality, threads=options.threads)
        return Work(quality=quality, threads=options.threads, effort=options.effort, steps=options.steps, seed=options.seed, device=options.device)


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
        bytes, bpp: length of the file, and bits for each pixel (second, or what else the modality counts).
        metrics: by name; None where one does not apply.
        encoding_time, decoding_time: seconds, the fastest of up to 3 runs in a fresh process.
        encoding_cpu, decoding_cpu: seconds of the processor in that run, user and system, of all threads; None in points of before it was measured.
        encoding_memory, decoding_memory: bytes by which the process grew at most over what it held before; None where the system does not tell.
        extra: what only this codec knows.
        versions, origin: of the codec's packages; machine, commit, date and device (where there is a choice) of the measurement.
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
    """How a modality's rate is called.

    Args:
        name: key in files; its values are bits for each of what Modality.count counts.
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


class Files(Protocol):
    """The coded files of a run."""

    @property
    def folder(self) -> Path:
        """Of the results."""

    def holds(self, source: Source, point: Point) -> bool:
        """True where the coded file is there."""

    def coded(self, source: Source, point: Point) -> bytes:
        """The coded file, made again if need be."""


def _same(source: Samples, decoded: Samples) -> Samples:
    """What came back, which must be as large as the source."""
    if decoded.shape != source.shape:
        raise I2Error(f"{decoded.shape} came back; expected {source.shape}: leave the codec out")
    return decoded


@dataclass(frozen=True, kw_only=True)
class Modality:
    """A kind of media that can be benchmarked: one module that fills this in.

    Args:
        name: of the command, `i2c bench NAME`.
        read: path to samples; raises SignalError.
        codecs: by name, in the order of tables.
        metrics: by name; the first one is what BD figures and targets are about.
        count: what the rate is counted on: pixels, seconds.
        onto: source and decoded samples to decoded ones that can be measured against the source; raises I2Error.
        rate: how bits for each of those are called.
        anchors: of BD figures, the strongest first.
        least_overlap: of two curves for a BD figure: the range of quality that they share, over the whole range.
        slider: the report shows pictures side by side.
        each: results.md has a line for each file too.
        plots: PNG files by name from all points, the sources of the run and the coded files, besides the curves of means.
        earlier: points that a folder holds in an older layout, without their coded files.
        record: files by name that `earlier` reads, from the points and what is known of the run.
    """

    name: str
    read: Callable[[str], Samples]
    codecs: Mapping[str, Codec]
    metrics: Mapping[str, Metric]
    count: Callable[[Samples], float]
    rate: Rate
    anchors: Sequence[str]
    onto: Callable[[Samples, Samples], Samples] = _same
    least_overlap: float = 0.4
    slider: bool = False
    each: bool = False
    plots: Callable[[Sequence[Point], Sequence[Source], Files], dict[str, bytes]] | None = None
    earlier: Callable[[Path], Sequence[Point]] | None = None
    record: Callable[[Sequence[Point], Mapping[str, object]], dict[str, bytes]] | None = None
