"""The files of a run, and among them the report: one HTML file that needs nothing else, with a slider over source and codecs at one size."""

import base64
import html
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files as resources
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ..errors import I2Error
from . import plots
from .benchmark import Point, Source
from .codec import FitOptions, Samples
from .files import to_json, write_file
from .results import Results
from .search import Target, matched
from .store import RESULTS, Store, results_json, samples
from .tables import about, bd_source_tables, bd_table, compressai, markdown, means_table, notes, number, points_csv

PICTURES = 4  # in the slider: each adds about 3 MB
FITS = 1  # a fitted codec is the reference of the slider; another one gets its nearest measured point
_LONGEST = 1024  # samples a side in the slider; larger pictures are cut to their middle


OnPicture = Callable[[str, int, int], None]


class Shown(NamedTuple):
    """A picture of the slider: text and data URI."""

    label: str
    detail: str
    uri: str


def write_files(
    results: Results, store: Store, sources: Sequence[Source], options: FitOptions, *, pictures: int, on_picture: OnPicture | None = None
) -> list[Path]:
    """Tables, plots and report, the tables first.

    Args:
        results: what is written.
        store: where the coded files are; its folder is written to.
        sources: of the run; the first `pictures` of them are in the report's slider where its benchmark has one.
        options: of fitted codecs, for the slider.
        on_picture: called with each source of the slider, and how many of how many are done.

    Returns:
        The paths.
    """
    benchmark = results.benchmark
    files: dict[str, bytes | str] = {f"{codec}.json": to_json(compressai(results, codec)) for codec in results.curves}
    files |= {"points.csv": points_csv(results), "results.md": markdown(results)}
    if benchmark.keeps_results:
        files[RESULTS] = results_json(results.points, benchmark, results.metadata)
    paths = _written(store.folder, files)
    drawn = plots.curves(results)
    if benchmark.plots is not None:
        own = benchmark.plots(results.points, sources, store)
        drawn |= own
        _written(store.folder, {"results.md": markdown(results, list(own))})
    paths += _written(store.folder, drawn)
    shown = slider(sources[:pictures] if benchmark.slider else (), results.points, results.anchor, store, options, on_picture=on_picture)
    return [*paths, *_written(store.folder, {"report.html": page(results, drawn, shown)})]


def _written(folder: Path, files: Mapping[str, bytes | str]) -> list[Path]:
    return [write_file(folder / name, content) for name, content in files.items()]


def slider(
    sources: Sequence[Source],
    points: Sequence[Point],
    anchor: str,
    store: Store,
    options: FitOptions,
    *,
    on_picture: OnPicture | None = None,
) -> dict[str, list[Shown]]:
    """The slider's pictures by source, the source itself first: every codec at most as large as the reference.

    The reference is the middle point of the fitted codec where there is one, else of the anchor.
    """
    shown: dict[str, list[Shown]] = {}
    for done, source in enumerate(sources, 1):
        mine = [point for point in points if point.source == source.name]
        reference = _reference(mine, anchor, store)
        if reference is not None:
            shown[source.name] = _matched(source, mine, reference, store, options)
        if on_picture is not None:
            on_picture(source.name, done, len(sources))
    return shown


def _reference(points: Sequence[Point], anchor: str, store: Store) -> Point | None:
    """The middle point of the fitted codec, else of the anchor, else of whatever there is."""
    by_codec: dict[str, list[Point]] = {}
    for point in points:
        by_codec.setdefault(point.codec, []).append(point)
    preferred = [name for name in by_codec if store.benchmark.codecs[name].fitted] + [anchor, *by_codec]
    chosen = sorted(by_codec.get(next(name for name in preferred if name in by_codec), []), key=lambda point: point.bytes) if by_codec else []
    return chosen[len(chosen) // 2] if chosen else None


def _matched(source: Source, points: Sequence[Point], reference: Point, store: Store, options: FitOptions) -> list[Shown]:
    original = samples(store.benchmark.read, source)
    shown = [Shown("source", f"{original.shape[1]}x{original.shape[0]}", _uri(original))]
    for name in dict.fromkeys(point.codec for point in points):
        codec, mine = store.benchmark.codecs[name], [point for point in points if point.codec == name]
        point = min(mine, key=lambda point: abs(point.bytes - reference.bytes))
        if not codec.fitted:
            with suppress(I2Error):  # its nearest measured point is shown instead
                point = matched(store, source, codec, Target(bytes=reference.bytes), options, fits=FITS, known=mine)
        decoded = codec.decode(store.data(point, source), point.work.threads)
        shown.append(Shown(name, _detail(point, store), _uri(decoded)))
    return shown


def _detail(point: Point, store: Store) -> str:
    metric = store.metrics[0]
    return f"{point.bytes} bytes, {point.bpp:.3f} bpp, quality {point.work.quality:g}, PSNR {number(point.metrics[metric.name], metric.digits)} dB"


def _uri(samples: Samples) -> str:
    """Lossless WebP, which every browser shows as it is: the decoded samples, not another decoder's."""
    height, width = samples.shape[:2]
    top, left = max(0, (height - _LONGEST) // 2), max(0, (width - _LONGEST) // 2)
    file, part = io.BytesIO(), Image.fromarray(samples[top : top + _LONGEST, left : left + _LONGEST])
    part.save(file, "WEBP", lossless=True, method=0, quality=0)  # the least effort: a tenth of the time, a twelfth more bytes
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def page(results: Results, drawn: Mapping[str, bytes], shown: Mapping[str, Sequence[Shown]]) -> str:
    """The HTML."""
    images = "\n".join(_plot(name, data) for name, data in drawn.items())
    pictures = {name: [item._asdict() for item in items] for name, items in shown.items()}
    skipped = "".join(f"<li><b>{html.escape(name)}</b>: {html.escape(reason)}</li>" for name, reason in results.skipped.items())
    parts = {
        "title": f"i2c bench {results.benchmark.name}",
        "about": _paragraphs(about(results)),
        "plots": images or "<p>No plots: matplotlib is not installed.</p>",
        "bd": _bd(results),
        "means": _paragraphs(means_table(results)),
        "codecs": "".join(f"<li><b>{html.escape(codec)}</b>: {html.escape(what)}</li>" for codec, what in notes(results).items()),
        "skipped": f"<h2>Skipped</h2><ul>{skipped}</ul>" if skipped else "",
        "meta": html.escape(json.dumps(results.metadata, indent=1)),
        "pictures": json.dumps(pictures).replace("</", "<\\/"),
    }
    template = resources(__package__).joinpath("report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _bd(results: Results) -> str:
    if not results.bds:
        return "<p>No BD figures: one codec only, or the package bjontegaard is not installed.</p>"
    return _paragraphs(bd_table(results) + "\n" + bd_source_tables(results))


def _plot(name: str, data: bytes) -> str:
    return f'<img class="plot" alt="{html.escape(name.removesuffix(".png"))}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def _paragraphs(markdown: str) -> str:
    """The little Markdown that our own tables are made of, as HTML."""
    blocks = [block for block in markdown.strip().split("\n\n") if block.strip()]
    return "\n".join(_table(block) if block.startswith("|") else f"<p>{_inline(block)}</p>" for block in blocks)


def _table(block: str) -> str:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows[2:])
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _inline(text: str) -> str:
    marked = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", marked)
