"""All codecs at one size or one quality: one table and one picture strip."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..errors import I2Error
from . import plain
from .origin import metadata
from .parts import Codec, FitOptions, Point, Source
from .results import note, number, table, where, write
from .scoring import complete
from .search import Target, matched
from .store import Store, samples
from .strip import Crop, Panel, busiest, strip

FITS = 4


@dataclass(frozen=True, kw_only=True)
class Row:
    """A codec at the target: its point and whether that meets it, or the error that kept it from one."""

    codec: str
    point: Point | None = None
    met: bool = False
    error: I2Error | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A source, a target and what each codec made of them."""

    source: Source
    target: Target
    rows: Sequence[Row]
    skipped: Mapping[str, str]
    metadata: Mapping[str, object]

    @property
    def points(self) -> list[Point]:
        """Of the codecs that gave one, the best first: those that met the target, by what the target leaves free."""
        found = [(row.met, row.point) for row in self.rows if row.point is not None]
        return [point for _, point in sorted(found, key=lambda pair: (not pair[0], self._order(pair[1])))]

    def _order(self, point: Point) -> float:
        return point.bytes if self.target.bytes is None else -_first(point)

    def distance(self, point: Point) -> str:
        """How far the point is from the target, in words."""
        if self.target.bytes is None:
            off = f"{self.target.excess(point.bytes, _first(point)):+.2f} dB"
        else:
            off = f"{100 * (point.bytes / self.target.bytes - 1):+.1f} %"
        return off if self.target.met(point.bytes, _first(point)) else f"{off}, not met"


def _first(point: Point) -> float:
    """The measure that targets are about; a point that is equal to its source is beyond every target."""
    value = next(iter(point.metrics.values()))
    return math.inf if value is None else value


def compare(
    source: Source,
    codecs: Sequence[Codec],
    target: Target,
    store: Store,
    options: FitOptions,
    *,
    fits: int = FITS,
    jobs: int = 1,
    skipped: Mapping[str, str],
    on_row: Callable[[Row, int], None] | None = None,
) -> Comparison:
    """Every codec at the target.

    Args:
        source: what is coded.
        codecs: quick ones are searched over whole qualities, fitted ones over at most `fits` fits.
        target: size or PSNR.
        store: where points are kept, so that a second run finds them.
        options: of fitted codecs.
        fits: see above.
        jobs: processes that score the files in the end.
        skipped: codecs that cannot run, and why.
        on_row: called with each codec's row and how many are done.
    """
    metric = next(iter(store.modality.metrics))
    rows = []
    for codec in sorted(codecs, key=lambda codec: codec.fitted):
        try:
            point = matched(store, source, codec, target, options, fits=fits)
            rows.append(Row(codec=codec.name, point=point, met=target.met(point.bytes, point.metrics[metric] or 0.0)))
        except I2Error as error:
            rows.append(Row(codec=codec.name, error=error))
        if on_row is not None:
            on_row(rows[-1], len(rows))
    order = [codec.name for codec in codecs]
    rows = _scored(sorted(rows, key=lambda row: order.index(row.codec)), source, store, jobs)
    return Comparison(source=source, target=target, rows=rows, skipped=skipped, metadata=metadata())


def _scored(rows: Sequence[Row], source: Source, store: Store, jobs: int) -> list[Row]:
    """The rows, their points with every measure."""
    found = complete([(source, row.point) for row in rows if row.point is not None], store, jobs=jobs)
    scored = iter(found)
    made = [(row, row.error if row.point is None else next(scored)) for row in rows]
    return [Row(codec=row.codec, error=new) if isinstance(new, I2Error) else replace(row, point=new) for row, new in made]


def write_all(comparison: Comparison, store: Store, folder: Path, crop: Crop | None) -> list[Path]:
    """Writes `compare.md`, `compare.json` and `strip.png`; returns their paths. Raises UsageError for a crop outside the picture."""
    record: dict[str, object] = {"source": asdict(comparison.source), "target": asdict(comparison.target), "meta": comparison.metadata}
    record["rows"] = [{"met": row.met, **asdict(row.point)} for row in comparison.rows if row.point is not None]
    record["skipped"] = {**comparison.skipped, **{row.codec: str(row.error) for row in comparison.rows if row.error is not None}}
    return [
        write(folder / "strip.png", picture(comparison, store, crop)),
        write(folder / "compare.md", markdown(comparison, store).encode()),
        write(folder / "compare.json", plain.dumps(record).encode()),
    ]


def markdown(comparison: Comparison, store: Store) -> str:
    """The table, with what it is about."""
    head = f"# {comparison.source.name}, {comparison.target}\n\n{where(comparison.metadata)}\n\n"
    lost = [f"- **{row.codec}**: {row.error}" for row in comparison.rows if row.error is not None]
    lost += [f"- **{name}**: {reason}" for name, reason in comparison.skipped.items()]
    notes = [f"- **{point.codec}**: {note(store.modality, point)}" for point in comparison.points]
    return head + rows_table(comparison, store) + "\n" + "\n".join([*notes, *lost]) + "\n"


def rows_table(comparison: Comparison, store: Store) -> str:
    """A line for each codec, the best first, in Markdown."""
    times = ("encode [s]", "decode [s]", "encode [CPU s]", "decode [CPU s]")
    head = ["codec", "quality", "bytes", "bpp", *(metric.title for metric in store.metrics), *times, "off target"]
    rows = []
    for point in comparison.points:
        scores = [number(point.metrics.get(metric.name), metric.digits) for metric in store.metrics]
        costs = [number(seconds, 3) for seconds in (point.encoding_time, point.decoding_time, point.encoding_cpu, point.decoding_cpu)]
        rows.append([point.codec, f"{point.work.quality:g}", f"{point.bytes}", f"{point.bpp:.3f}", *scores, *costs, comparison.distance(point)])
    return table(head, rows)


def picture(comparison: Comparison, store: Store, crop: Crop | None) -> bytes:
    """PNG of source and decoded pictures, by the part `crop` (x, y, width, height) or the busiest one."""
    original = samples(store.modality.read, comparison.source)
    panels = [Panel(title="source", detail=comparison.source.name, samples=original)]
    for point in comparison.points:
        codec = store.modality.codecs[point.codec]
        decoded = codec.decode(store.data(point, comparison.source), point.work.threads)
        psnr = number(point.metrics.get("psnr-rgb"), 2)
        panels.append(Panel(title=point.codec, detail=f"{point.bytes} B, {point.bpp:.3f} bpp, {psnr} dB", samples=decoded))
    return strip(panels, busiest(original) if crop is None else crop)
