"""The files of a run: JSON in the schema of CompressAI's results, CSV and Markdown tables."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import atomic_writer
from . import plain
from .bd import Bd, Step
from .parts import Metric, Modality, Point
from .store import make_folder

COSTS = ("encoding_time", "decoding_time", "encoding_cpu", "decoding_cpu", "encoding_memory", "decoding_memory")


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that a run found out.

    Args:
        modality: what was measured.
        points: every measured file.
        curves: means over the sources, by codec.
        bds: against the anchor.
        anchor: the codec that BD figures are against.
        metrics: the measures.
        skipped: what could not run, and why.
        metadata: command, commit, machine, versions, date.
    """

    modality: Modality
    points: Sequence[Point]
    curves: Mapping[str, Sequence[Step]]
    bds: Sequence[Bd]
    anchor: str
    metrics: Sequence[Metric]
    skipped: Mapping[str, str]
    metadata: Mapping[str, object]

    @property
    def sources(self) -> list[str]:
        """Names of the sources, in order."""
        return list(dict.fromkeys(point.source for point in self.points))

    def note(self, codec: str) -> str:
        """A codec's settings and package versions in words."""
        return note(self.modality, next(point for point in self.points if point.codec == codec))


def note(modality: Modality, point: Point) -> str:
    """The settings and package versions of a point's codec in words."""
    settings = {name: value for name, value in vars(point.work).items() if name != "quality" and value is not None}
    parts = [modality.codecs[point.codec].note, *(f"{name} {value}" for name, value in (*point.versions.items(), *settings.items()))]
    return ", ".join(parts)


def write_all(results: Results, folder: Path) -> list[Path]:
    """Writes `<codec>.json`, `points.csv` and `results.md`; returns their paths."""
    files = {f"{codec}.json": plain.dumps(compressai(results, codec)) for codec in results.curves}
    files |= {"points.csv": _csv(results), "results.md": markdown(results)}
    return [write(folder / name, text.encode()) for name, text in files.items()]


def write(path: Path, data: bytes) -> Path:
    """Writes a file whole, with its folder, over an earlier one; returns its path."""
    make_folder(path.parent)
    with atomic_writer(path, force=True) as file:
        file.write(data)
    return path


def compressai(results: Results, codec: str) -> dict[str, object]:
    """One codec's curve in CompressAI's schema: name, description, results (a list for each measure, rising quality)."""
    steps = results.curves[codec]
    lists: dict[str, list[object]] = {"q": [step.quality for step in steps], results.modality.rate.name: [step.bpp for step in steps]}
    for metric in results.metrics:
        lists[metric.name] = [step.metrics.get(metric.name) for step in steps]
    for name in COSTS:
        lists[name] = [getattr(step, name) for step in steps]
    for name in steps[0].extra if steps else ():
        lists[name] = [step.extra.get(name) for step in steps]
    bds = [asdict(bd) for bd in results.bds if bd.codec == codec]
    described = f"{results.note(codec)}; means over {', '.join(results.sources)}"
    return {"name": codec, "description": described, "results": lists, "bd": {"anchor": results.anchor, "figures": bds}, "meta": results.metadata}


def _csv(results: Results) -> str:
    """A line for each file."""
    plain = ("bytes", "bpp", *COSTS)
    extras = sorted({name for point in results.points for name in point.extra})
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    titles = (results.modality.rate.name if name == "bpp" else name for name in plain)
    names = [metric.name for metric in results.metrics]
    table.writerow(["source", "codec", "quality", *titles, *names, *extras, "effort", "threads", "versions", "machine", "commit", "date"])
    for point in results.points:
        numbers = [getattr(point, name) for name in plain]
        scores = [point.metrics.get(name) for name in names]
        versions = " ".join(f"{name}={version}" for name, version in point.versions.items())
        where = [point.origin.get(name) for name in ("machine", "commit", "date")]
        extra = [point.extra.get(name) for name in extras]
        table.writerow(
            [point.source, point.codec, point.work.quality, *numbers, *scores, *extra, point.work.effort, point.work.threads, versions, *where]
        )
    return text.getvalue()


def markdown(results: Results, pictures: Sequence[str] = ()) -> str:
    """The tables, to be committed, and links to PNG files of these names."""
    parts = [
        f"# i2c bench {results.modality.name}\n",
        about(results),
        "## BD figures\n\n" + bd_table(results) + "\n" + source_tables(results) if results.bds else "",
        "## Means over all sources\n\n" + means_table(results) if any(results.curves.values()) else "",
        "## Every file\n\n" + files_table(results) if results.modality.each else "",
        "## Pictures\n\n" + "\n\n".join(f"![{name.removesuffix('.png')}]({name})" for name in pictures) if pictures else "",
        "## Codecs\n\n" + "\n".join(f"- **{codec}**: {results.note(codec)}" for codec in results.curves),
        "## Skipped\n\n" + "\n".join(f"- **{name}**: {reason}" for name, reason in results.skipped.items()) if results.skipped else "",
    ]
    return "\n".join(f"{part.rstrip()}\n" for part in parts if part)


def about(results: Results) -> str:
    """What was measured, where and by which command, in Markdown."""
    measured = [_span(results, name, title) for name, title in (("machine", "on"), ("device", "i2c on"), ("commit", "at commit"), ("date", "on"))]
    sources = f"{len(results.sources)} source{'s' if len(results.sources) > 1 else ''}: {', '.join(results.sources)}."
    return f"{where(results.metadata)}\n\nPoints measured {', '.join(part for part in measured if part)}.\n\n{sources}\n"


def where(metadata: Mapping[str, object]) -> str:
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
        gain = mine[metrics[0].name].gain
        rates = [number(mine[metric.name].rate, 1, sign=True, unit=" %") for metric in metrics]
        counts = "/".join(str(mine[metric.name].sources) for metric in metrics)
        rows.append([codec, *rates, number(gain, 2, sign=True), f"{counts} of {mine[metrics[0].name].of}"])
    note = f"Anchor: **{results.anchor}**. Negative rates: fewer bytes at equal quality. Means of each source's own; -: too little overlap.\n"
    return note + "\n" + table(head, rows)


def source_tables(results: Results) -> str:
    """BD-rates of each source, a table for each measure."""
    parts = []
    for metric in _bd_metrics(results):
        bds = [bd for bd in results.bds if bd.metric == metric.name]
        rows = [[source, *(number(bd.rates[source], 1, sign=True, unit=" %") for bd in bds)] for source in bds[0].rates]
        rows.append(["mean", *(number(bd.rate, 1, sign=True, unit=" %") for bd in bds)])
        note = f"BD-rate {metric.name} of each source against **{results.anchor}**:\n\n"
        parts.append(note + table(["source", *(bd.codec for bd in bds)], rows))
    return "\n".join(parts)


def _bd_metrics(results: Results) -> list[Metric]:
    return [metric for metric in results.metrics if any(bd.metric == metric.name for bd in results.bds)]


def means_table(results: Results) -> str:
    """A line for each codec and quality."""
    head = ["codec", "quality", *_columns(results)]
    return table(head, [[codec, f"{step.quality:g}", *_cells(results, step)] for codec, steps in results.curves.items() for step in steps])


def files_table(results: Results) -> str:
    """A line for each file."""
    points = sorted(results.points, key=lambda point: (results.sources.index(point.source), point.codec, point.bpp))
    head = ["source", "codec", "quality", *_columns(results)]
    return table(head, [[point.source, point.codec, f"{point.work.quality:g}", *_cells(results, point)] for point in points])


def _columns(results: Results) -> list[str]:
    costs = (f"{side} [{unit}]" for unit in ("s", "CPU s", "MB") for side in ("encode", "decode"))
    return ["bytes", results.modality.rate.title, *(metric.title for metric in results.metrics), *costs]


def _cells(results: Results, row: Step | Point) -> list[str]:
    rate = results.modality.rate
    scores = [number(row.metrics.get(metric.name), metric.digits) for metric in results.metrics]
    times = [number(seconds, 3) for seconds in (row.encoding_time, row.decoding_time, row.encoding_cpu, row.decoding_cpu)]
    memory = [number(None if size is None else size / 1e6, 0) for size in (row.encoding_memory, row.decoding_memory)]
    return [f"{row.bytes:.0f}", number(row.bpp / rate.unit, rate.digits), *scores, *times, *memory]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column to the left and numbers to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)) + "\n"


def number(value: float | None, digits: int, *, sign: bool = False, unit: str = "") -> str:
    """A number for a table; - for none."""
    if value is None:
        return "-"
    return (f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}") + unit
