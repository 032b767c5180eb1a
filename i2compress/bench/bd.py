"""Curves over a set of sources, and Bjontegaard's figures between two codecs, by the package `bjontegaard`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from .parts import Metric, Point

FEWEST_POINTS = 4


@dataclass(frozen=True, kw_only=True)
class Step:
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


def curves(points: Sequence[Point], sources: int) -> dict[str, list[Step]]:
    """Curves by codec, rising quality; a quality that lacks some of the `sources` is left out, as its mean would be of other pictures."""
    found: dict[str, dict[float, list[Point]]] = {}
    for point in points:
        found.setdefault(point.codec, {}).setdefault(point.work.quality, []).append(point)
    return {
        codec: [_step(quality, group) for quality, group in sorted(by_quality.items()) if len(group) == sources]
        for codec, by_quality in found.items()
    }


def _step(quality: float, group: Sequence[Point]) -> Step:
    return Step(
        quality=quality,
        bytes=_mean([point.bytes for point in group]),
        bpp=_mean([point.bpp for point in group]),
        metrics={name: _mean_known([point.metrics.get(name) for point in group]) for name in group[0].metrics},
        encoding_time=_mean([point.encoding_time for point in group]),
        decoding_time=_mean([point.decoding_time for point in group]),
        encoding_cpu=_mean_whole([point.encoding_cpu for point in group]),
        decoding_cpu=_mean_whole([point.decoding_cpu for point in group]),
        encoding_memory=_largest([point.encoding_memory for point in group]),
        decoding_memory=_largest([point.decoding_memory for point in group]),
        extra={name: _mean([point.extra[name] for point in group]) for name in group[0].extra if all(name in point.extra for point in group)},
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
    rate, gain = (_mean_known([figures[index] for figures in known]) for index in (0, 1))
    rates = {source: None if figures is None else figures[0] for source, figures in found.items()}
    return Bd(codec=pair[1], metric=metric.name, rate=rate, gain=gain, sources=len(known), of=len(found), rates=rates)


def _curve(points: Sequence[Point], codec: str, metric: Metric) -> list[tuple[float, float]]:
    """(rate, quality) with both rising: a point that costs more for no better quality is no part of what the codec can do."""
    pairs = [(point.bpp, point.metrics.get(metric.name)) for point in points if point.codec == codec]
    rising: list[tuple[float, float]] = []
    known = ((rate, _rising(metric, value)) for rate, value in pairs if value is not None)
    for rate, value in sorted(known, key=lambda pair: (pair[0], -pair[1])):  # of equal rates the better one
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


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None


def _mean_whole(values: Sequence[float | None]) -> float | None:
    """None unless all are known: the mean would be of other files than the seconds beside it."""
    return _mean_known(values) if all(value is not None for value in values) else None


def _largest(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
