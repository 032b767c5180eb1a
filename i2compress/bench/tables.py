"""Results as text: Markdown tables, CSV, and JSON in the schema of CompressAI's results."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

from .benchmark import COSTS, Benchmark, Metric, Point
from .results import Mean, Results

_COST_UNITS = {"time": ("s", 1.0, 3), "cpu": ("CPU s", 1.0, 3), "memory": ("MB", 1e6, 0)}  # title, how many make one, digits


class Column(NamedTuple):
    """A column of a table of points or their means."""

    title: str
    cell: Callable[[Point | Mean], str]


def columns(benchmark: Benchmark, metrics: Sequence[Metric], *, costs: Sequence[str] = COSTS) -> list[Column]:
    """Size, rate, measures and costs (fields of a point)."""
    rate = benchmark.rate
    size = Column("bytes", lambda row: number(row.bytes, 0)), Column(rate.title, lambda row: number(row.bpp / rate.unit, rate.digits))
    return [*size, *map(_metric_column, metrics), *map(_cost_column, costs)]


def _metric_column(metric: Metric) -> Column:
    return Column(metric.title, lambda row: number(row.metrics.get(metric.name), metric.digits))


def _cost_column(name: str) -> Column:
    verb, _, kind = name.partition("_")
    title, unit, digits = _COST_UNITS[kind]

    def cell(row: Point | Mean) -> str:
        value = getattr(row, name)
        return number(None if value is None else value / unit, digits)

    return Column(f"{verb.removesuffix('ing')}e [{title}]", cell)  # encoding_time is encode [s]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its first column to the left and numbers to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)) + "\n"


def number(value: float | None, digits: int, *, sign: bool = False, unit: str = "") -> str:
    """A number for a table; - for none."""
    if value is None:
        return "-"
    return (f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}") + unit


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """CSV of rows with the same names; an empty cell for None."""
    text = io.StringIO()
    out = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    out.writeheader()
    out.writerows(rows)
    return text.getvalue()


def note(benchmark: Benchmark, point: Point) -> str:
    """The settings and package versions of a point's codec in words."""
    settings = {name: value for name, value in vars(point.work).items() if name != "quality" and value is not None}
    return ", ".join([benchmark.codecs[point.codec].note, *(f"{name} {value}" for name, value in (*point.versions.items(), *settings.items()))])


def notes(results: Results) -> dict[str, str]:
    """By codec its settings and package versions in words, as its first point has them."""
    first = {point.codec: point for point in reversed(results.points)}
    return {codec: note(results.benchmark, first[codec]) for codec in results.curves}


def points_csv(results: Results) -> str:
    """A line for each file."""
    return csv_text([_csv_row(point, results) for point in results.points])


def _csv_row(point: Point, results: Results) -> dict[str, object]:
    extras = sorted({name for other in results.points for name in other.extra})
    return {
        "source": point.source,
        "codec": point.codec,
        "quality": point.work.quality,
        "bytes": point.bytes,
        results.benchmark.rate.name: point.bpp,
        **{name: getattr(point, name) for name in COSTS},
        **{metric.name: point.metrics.get(metric.name) for metric in results.metrics},
        **{name: point.extra.get(name) for name in extras},
        "effort": point.work.effort,
        "threads": point.work.threads,
        "versions": " ".join(f"{name}={version}" for name, version in point.versions.items()),
        **{name: point.origin.get(name) for name in ("machine", "commit", "date")},
    }


def compressai(results: Results, codec: str) -> dict[str, object]:
    """One codec's curve in CompressAI's schema: name, description, results (a list for each measure, rising quality)."""
    means = results.curves[codec]
    lists: dict[str, list[object]] = {"q": [mean.quality for mean in means], results.benchmark.rate.name: [mean.bpp for mean in means]}
    lists |= {metric.name: [mean.metrics.get(metric.name) for mean in means] for metric in results.metrics}
    lists |= {name: [getattr(mean, name) for mean in means] for name in COSTS}
    lists |= {name: [mean.extra.get(name) for mean in means] for name in (means[0].extra if means else ())}
    bds = [asdict(bd) for bd in results.bds if bd.codec == codec]
    described = f"{notes(results)[codec]}; means over {', '.join(results.sources)}"
    return {"name": codec, "description": described, "results": lists, "bd": {"anchor": results.anchor, "figures": bds}, "meta": results.metadata}


def markdown(results: Results, pictures: Sequence[str] = ()) -> str:
    """The tables, to be committed, and links to PNG files of these names."""
    parts = [
        f"# i2c bench {results.benchmark.name}\n",
        about(results),
        "## BD figures\n\n" + bd_table(results) + "\n" + bd_source_tables(results) if results.bds else "",
        "## Means over all sources\n\n" + means_table(results) if any(results.curves.values()) else "",
        "## Every file\n\n" + files_table(results) if results.benchmark.each else "",
        "## Pictures\n\n" + "\n\n".join(f"![{name.removesuffix('.png')}]({name})" for name in pictures) if pictures else "",
        "## Codecs\n\n" + named_list(notes(results)),
        "## Skipped\n\n" + named_list(results.skipped) if results.skipped else "",
    ]
    return "\n".join(f"{part.rstrip()}\n" for part in parts if part)


def named_list(entries: Mapping[str, object]) -> str:
    """A Markdown list: names in bold, and what is said of each."""
    return "\n".join(f"- **{name}**: {what}" for name, what in entries.items())


def about(results: Results) -> str:
    """What was measured, where and by which command, in Markdown."""
    measured = [_span(results, name, title) for name, title in (("machine", "on"), ("device", "i2c on"), ("commit", "at commit"), ("date", "on"))]
    sources = f"{len(results.sources)} source{'s' if len(results.sources) > 1 else ''}: {', '.join(results.sources)}."
    return f"{made_by(results.metadata)}\n\nPoints measured {', '.join(part for part in measured if part)}.\n\n{sources}\n"


def made_by(metadata: Mapping[str, object]) -> str:
    """The command, and where and when it ran, in Markdown."""
    commit = metadata.get("commit") or "none (not a checkout)"
    return f"`{metadata.get('command')}`\n\nTables made on {metadata.get('machine')}, at commit {commit}, {metadata.get('date')}."


def _span(results: Results, name: str, title: str) -> str:
    """What the points say about their own measurement, which another run may have made: all values, or the first and the last date.

    Points whose commit was not recorded are counted where others' was.
    """
    found = sorted({str(value) for point in results.points if (value := point.origin.get(name)) is not None})
    if name == "date":
        found = list(dict.fromkeys([date[:10] for date in (*found[:1], *found[-1:])]))
    unknown = sum(point.origin.get(name) is None for point in results.points) if name == "commit" and found else 0
    text = f"{title} {' to '.join(found) if name == 'date' else ' and '.join(found)}" if found else ""
    return f"{text} (not recorded for {unknown} of {len(results.points)} points)" if unknown else text


def bd_table(results: Results) -> str:
    """BD-rate and BD-quality of every codec against the anchor, with how many sources gave a figure."""
    metrics = _bd_metrics(results)
    head = ["codec", *(f"BD-rate {metric.name}" for metric in metrics), f"BD-{metrics[0].title}", "sources"]
    rows = []
    for codec in dict.fromkeys(bd.codec for bd in results.bds):
        mine = {bd.metric: bd for bd in results.bds if bd.codec == codec}
        first = mine[metrics[0].name]
        rates = [_percent(mine[metric.name].rate) for metric in metrics]
        counts = "/".join(str(mine[metric.name].sources) for metric in metrics)
        rows.append([codec, *rates, number(first.gain, 2, sign=True), f"{counts} of {first.of}"])
    meaning = f"Anchor: **{results.anchor}**. Negative rates: fewer bytes at equal quality. Means of each source's own; -: too little overlap.\n"
    return meaning + "\n" + markdown_table(head, rows)


def bd_source_tables(results: Results) -> str:
    """For each metric a table of every source's own BD-rate, and their mean."""
    parts = []
    for metric in _bd_metrics(results):
        bds = [bd for bd in results.bds if bd.metric == metric.name]
        rows = [[source, *(_percent(bd.rates[source]) for bd in bds)] for source in bds[0].rates]
        rows.append(["mean", *(_percent(bd.rate) for bd in bds)])
        title = f"BD-rate {metric.name} of each source against **{results.anchor}**:\n\n"
        parts.append(title + markdown_table(["source", *(bd.codec for bd in bds)], rows))
    return "\n".join(parts)


def _bd_metrics(results: Results) -> list[Metric]:
    return [metric for metric in results.metrics if any(bd.metric == metric.name for bd in results.bds)]


def _percent(value: float | None) -> str:
    return number(value, 1, sign=True, unit=" %")


def means_table(results: Results) -> str:
    """A line for each codec and quality."""
    shown = columns(results.benchmark, results.metrics)
    rows = ([codec, f"{mean.quality:g}", *(cell(mean) for _, cell in shown)] for codec, means in results.curves.items() for mean in means)
    return markdown_table(["codec", "quality", *(column.title for column in shown)], rows)


def files_table(results: Results) -> str:
    """A line for each file."""
    shown = columns(results.benchmark, results.metrics)
    points = sorted(results.points, key=lambda point: (results.sources.index(point.source), point.codec, point.bpp))
    rows = ([point.source, point.codec, f"{point.work.quality:g}", *(cell(point) for _, cell in shown)] for point in points)
    return markdown_table(["source", "codec", "quality", *(column.title for column in shown)], rows)
