"""From measured points to figures: means over a set of sources, and Bjontegaard's between two codecs by the package `bjontegaard`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import fmean

from .benchmark import COSTS, Benchmark, Metric, Point
from .provenance import metadata

FEWEST_POINTS = 4


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of one codec at one quality over all sources; times in seconds, of the clock and of the processor, memory in bytes (the largest)."""

    quality: float
    bytes: float
    bpp: float
    metrics: Mapping[str, float | None]
    encoding_time: float
    decoding_time: float
    encoding_cpu: float | None
    decoding_cpu: float | None
    encoding_memory: int | None
    decoding_memory: int | None
    extra: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Bd:
    """One codec against the anchor: means over the sources whose curves overlap.

    Args:
        codec, metric: what.
        rate: percent more (+) or fewer (-) bytes than the anchor at equal quality; None where no source gives a figure.
        gain: of the metric's own unit at equal rate; dB for PSNR; for MS-SSIM dB of -10 log10(1 - x).
        sources: how many gave a figure.
        of: how many there are.
        rates: of each source, by its name.
    """

    codec: str
    metric: str
    rate: float | None
    gain: float | None
    sources: int
    of: int
    rates: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that a run found out.

    Args:
        benchmark: what was measured.
        points: every measured file.
        curves: means over the sources, by codec.
        bds: against the anchor.
        anchor: the codec that BD figures are against.
        metrics: the measures.
        skipped: what could not run, and why.
        metadata: command, commit, machine, versions, date.
    """

    benchmark: Benchmark
    points: Sequence[Point]
    curves: Mapping[str, Sequence[Mean]]
    bds: Sequence[Bd]
    anchor: str
    metrics: Sequence[Metric]
    skipped: Mapping[str, str]
    metadata: Mapping[str, object]

    @property
    def sources(self) -> list[str]:
        """Names of the sources, in order."""
        return list(dict.fromkeys(point.source for point in self.points))


def summarise(
    points: Sequence[Point], benchmark: Benchmark, metrics: Sequence[Metric], *, anchor: str | None = None, skipped: Mapping[str, str]
) -> Results:
    """Means, BD figures and what did not run.

    Args:
        points: of the run, at least one; a quality has a mean only where all their sources have it.
        benchmark, metrics: what was measured.
        anchor: of BD figures, where it has points; else the strongest codec that has some.
        skipped: codecs, measures and points that could not run, and why.
    """
    order = list(benchmark.codecs)
    points = sorted(points, key=lambda point: order.index(point.codec))
    codecs = {point.codec for point in points}
    chosen = next(name for name in (anchor, *benchmark.anchors, points[0].codec) if name in codecs)
    assert chosen is not None  # None is no codec's name
    return Results(
        benchmark=benchmark,
        points=points,
        curves=curves(points, len({point.source for point in points})),
        bds=against(points, chosen, metrics, overlap=benchmark.least_overlap),
        anchor=chosen,
        metrics=metrics,
        skipped=skipped,
        metadata={**metadata(), "device": sorted({str(point.origin["device"]) for point in points if "device" in point.origin})},
    )


def curves(points: Sequence[Point], sources: int) -> dict[str, list[Mean]]:
    """Curves by codec, rising quality; a quality that lacks some of the `sources` is left out, as its mean would be of other pictures."""
    found: dict[str, dict[float, list[Point]]] = {}
    for point in points:
        found.setdefault(point.codec, {}).setdefault(point.work.quality, []).append(point)
    return {
        codec: [_mean_point(quality, group) for quality, group in sorted(by_quality.items()) if len(group) == sources]
        for codec, by_quality in found.items()
    }


def _mean_point(quality: float, group: Sequence[Point]) -> Mean:
    times = {name: _mean_of_all([getattr(point, name) for point in group]) for name in COSTS[:4]}
    memory = {name: max(_known([getattr(point, name) for point in group]), default=None) for name in COSTS[4:]}
    return Mean(
        quality=quality,
        bytes=fmean(point.bytes for point in group),
        bpp=fmean(point.bpp for point in group),
        metrics={name: mean_of_known([point.metrics.get(name) for point in group]) for name in group[0].metrics},
        extra={name: fmean(point.extra[name] for point in group) for name in group[0].extra if all(name in point.extra for point in group)},
        **times,  # type: ignore[arg-type]  # seconds by the clock are known of every point
        **memory,  # type: ignore[arg-type]  # a largest of whole numbers is one
    )


def against(points: Sequence[Point], anchor: str, metrics: Sequence[Metric], *, overlap: float) -> list[Bd]:
    """Every other codec against `anchor`, in every metric; an empty list where `bjontegaard` is not installed.

    Args:
        points: of all codecs and sources.
        anchor: a codec's name.
        metrics: which.
        overlap: range of quality that two curves share, over the whole range; below, there is no figure.
    """
    if find_spec("bjontegaard") is None:
        return []
    codecs = dict.fromkeys(point.codec for point in points if point.codec != anchor)
    return [_against(points, (anchor, codec), metric, overlap) for codec in codecs for metric in metrics]


def _against(points: Sequence[Point], pair: tuple[str, str], metric: Metric, overlap: float) -> Bd:
    found: dict[str, tuple[float, float] | None] = {}
    for source in dict.fromkeys(point.source for point in points):
        mine = [point for point in points if point.source == source]
        first, second = (_curve(mine, codec, metric) for codec in pair)
        found[source] = _figures(first, second, overlap)
    known = [figures for figures in found.values() if figures is not None]
    rate, gain = (mean_of_known([figures[index] for figures in known]) for index in (0, 1))
    rates = {source: None if figures is None else figures[0] for source, figures in found.items()}
    return Bd(codec=pair[1], metric=metric.name, rate=rate, gain=gain, sources=len(known), of=len(found), rates=rates)


def _curve(points: Sequence[Point], codec: str, metric: Metric) -> list[tuple[float, float]]:
    """(rate, quality) with both rising: a point that costs more for no better quality is no part of what the codec can do."""
    pairs = [(point.bpp, point.metrics.get(metric.name)) for point in points if point.codec == codec]
    rising: list[tuple[float, float]] = []
    known = ((rate, _rising(metric, value)) for rate, value in pairs if value is not None)
    for rate, value in sorted(known, key=lambda pair: (pair[0], -pair[1])):  # the better one of equal rates
        if math.isfinite(value) and (not rising or (value > rising[-1][1] and rate > rising[-1][0])):
            rising.append((rate, value))
    return rising


def _rising(metric: Metric, value: float) -> float:
    """More is better. MS-SSIM and SSIM crowd towards 1; on a scale of dB their curves are as even as PSNR's."""
    if not metric.name.startswith(("ms-ssim", "ssim-")):
        return -value if metric.falling else value
    return math.inf if value >= 1 else -10 * math.log10(1 - value)


def _figures(anchor: list[tuple[float, float]], test: list[tuple[float, float]], overlap: float) -> tuple[float, float] | None:
    """BD-rate in percent and BD-quality, where both curves have enough points and share enough quality."""
    if min(len(anchor), len(test)) < FEWEST_POINTS:
        return None
    lows, highs = (anchor[0][1], test[0][1]), (anchor[-1][1], test[-1][1])
    shared, rates = min(highs) - max(lows), min(anchor[-1][0], test[-1][0]) - max(anchor[0][0], test[0][0])
    if min(shared, rates) <= 0 or shared / (max(highs) - min(lows)) < overlap:
        return None
    import bjontegaard

    series = [list(side) for curve in (anchor, test) for side in zip(*curve, strict=True)]
    chosen = {"method": "akima", "require_matching_points": False, "min_overlap": 0}
    rate, gain = float(bjontegaard.bd_rate(*series, **chosen)), float(bjontegaard.bd_psnr(*series, **chosen))
    return (rate, gain) if math.isfinite(rate) and math.isfinite(gain) else None


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are not None; None where there is none."""
    known = _known(values)
    return fmean(known) if known else None


def _mean_of_all(values: Sequence[float | None]) -> float | None:
    """The mean; None unless all are known, as it would be of other files than the seconds beside it."""
    return mean_of_known(values) if None not in values else None


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
