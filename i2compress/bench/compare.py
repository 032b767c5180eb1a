"""All codecs at one size or one quality: one table, and one strip with the same part of the source and of what each codec made of it."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import I2Error, UsageError
from .benchmark import COSTS, Point, Source
from .codec import Codec, FitOptions, Pixels
from .files import to_json, write_file
from .provenance import metadata
from .run import complete
from .search import Target, matched
from .store import Store, samples
from .tables import columns, made_by, markdown_table, named_list, note, number

FITS = 4
SIDE = 224  # samples of the part that is shown, where none is asked for
WIDTH = 300  # samples of a panel at least, so that its text fits
_TEXT_SIZE = 16
_LINE_HEIGHT = 21
_GAP = 8
_COLUMNS = 4
_PAPER, _INK, _FAINT = (255, 255, 255), (17, 17, 17), (90, 90, 90)

Crop = tuple[int, int, int, int]


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
    def errors(self) -> dict[str, str]:
        """Why codecs gave no point, by name."""
        return {row.codec: str(row.error) for row in self.rows if row.error is not None}

    @property
    def points(self) -> list[Point]:
        """Those of the codecs that gave one, the best first: those that met the target, by what the target leaves free."""
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
    metric = next(iter(store.benchmark.metrics))
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
    record["skipped"] = {**comparison.skipped, **comparison.errors}
    return [
        write_file(folder / "strip.png", picture(comparison, store, crop)),
        write_file(folder / "compare.md", markdown(comparison, store)),
        write_file(folder / "compare.json", to_json(record)),
    ]


def markdown(comparison: Comparison, store: Store) -> str:
    """The table, with what it is about."""
    head = f"# {comparison.source.name}, {comparison.target}\n\n{made_by(comparison.metadata)}\n\n"
    notes = {point.codec: note(store.benchmark, point) for point in comparison.points}
    return head + rows_table(comparison, store) + "\n" + named_list({**notes, **comparison.errors, **comparison.skipped}) + "\n"


def rows_table(comparison: Comparison, store: Store) -> str:
    """A line for each codec, the best first, in Markdown."""
    shown = columns(store.benchmark, store.metrics, costs=COSTS[:4])
    points = comparison.points
    rows = ([point.codec, f"{point.work.quality:g}", *(cell(point) for _, cell in shown), comparison.distance(point)] for point in points)
    return markdown_table(["codec", "quality", *(column.title for column in shown), "off target"], rows)


def picture(comparison: Comparison, store: Store, crop: Crop | None) -> bytes:
    """PNG of source and decoded pictures, by the part `crop` (x, y, width, height) or the busiest one."""
    original = samples(store.benchmark.read, comparison.source)
    panels = [Panel(title="source", detail=comparison.source.name, samples=original)]
    for point in comparison.points:
        codec = store.benchmark.codecs[point.codec]
        decoded = codec.decode(store.data(point, comparison.source), point.work.threads)
        psnr = number(point.metrics.get("psnr-rgb"), 2)
        panels.append(Panel(title=point.codec, detail=f"{point.bytes} B, {point.bpp:.3f} bpp, {psnr} dB", samples=decoded))
    return strip(panels, busiest(original) if crop is None else crop)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture `[H, W, 3]` uint8 with two lines of text below it."""

    title: str
    detail: str
    samples: Pixels


def busiest(samples: Pixels) -> Crop:
    """x, y, width and height of the square with the most detail, where codecs have most to lose."""
    height, width = samples.shape[:2]
    side_y, side_x = min(SIDE, height), min(SIDE, width)
    gray = samples.mean(-1)
    detail = np.zeros((height + 1, width + 1))
    steps = np.abs(np.diff(gray, axis=0, prepend=gray[:1])) + np.abs(np.diff(gray, axis=1, prepend=gray[:, :1]))
    detail[1:, 1:] = steps.cumsum(0).cumsum(1)
    sums = detail[side_y:, side_x:] - detail[:-side_y, side_x:] - detail[side_y:, :-side_x] + detail[:-side_y, :-side_x]
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(x), int(y), side_x, side_y


def strip(panels: Sequence[Panel], crop: Crop) -> bytes:
    """The PNG of the strip, up to four panels a row.

    Raises:
        UsageError: a crop that is not inside the pictures.
    """
    x, y, width, height = crop
    full_height, full_width = panels[0].samples.shape[:2]
    if x + width > full_width or y + height > full_height:
        raise UsageError(f"crop is {x},{y},{width},{height}; expected X,Y,W,H inside the picture, which is {full_width}x{full_height}")
    zoom = -(-WIDTH // width)  # whole, so that every sample is a square
    cell_x, cell_y = width * zoom + _GAP, height * zoom + 2 * _LINE_HEIGHT + 2 * _GAP
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * cell_x + _GAP, rows * cell_y + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT_SIZE)
    for index, panel in enumerate(panels):
        left, top = _GAP + index % columns * cell_x, _GAP + index // columns * cell_y
        part = Image.fromarray(np.ascontiguousarray(panel.samples[y : y + height, x : x + width]))
        sheet.paste(part.resize((width * zoom, height * zoom), Image.Resampling.NEAREST), (left, top))
        draw.text((left, top + height * zoom + 3), panel.title, _INK, font)
        draw.text((left, top + height * zoom + 3 + _LINE_HEIGHT), panel.detail, _FAINT, font)
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()
