"""From measured points to the files of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .bd import against, curves
from .origin import metadata
from .parts import FitOptions, Point, Source
from .plots import plots
from .report import OnPicture, page, slider
from .results import Results, write, write_all
from .run import Failure
from .store import Store

PREFERRED_ANCHORS = ("avif-psnr", "avif", "jxl", "webp", "jpeg")  # the strongest in PSNR first: flattering anchors help nobody


def pick_anchor(codecs: Sequence[str], asked: str | None) -> str:
    """The codec that BD figures are against: the one asked for where it ran, else the strongest that did."""
    wanted: list[str] = [*([] if asked is None else [asked]), *PREFERRED_ANCHORS, *codecs]
    return next(name for name in wanted if name in codecs)


def summarise(
    points: Sequence[Point], failures: Sequence[Failure], store: Store, *, sources: int, anchor: str, skipped: Mapping[str, str]
) -> Results:
    """Means, BD figures and what did not run.

    Args:
        points, failures: of the run.
        store: its modality and metrics.
        sources: how many; a quality counts only where all have it.
        anchor: of BD figures.
        skipped: codecs and measures that could not run, and why.
    """
    order = list(store.modality.codecs)
    points = sorted(points, key=lambda point: order.index(point.codec))
    failed = {f"{failure.task.source.name}, {failure.task.codec.name} {failure.task.work.quality:g}": str(failure.error) for failure in failures}
    return Results(
        modality=store.modality,
        points=points,
        curves=curves(points, sources),
        bds=against(points, anchor, store.metrics),
        anchor=anchor,
        metrics=store.metrics,
        skipped={**skipped, **failed},
        metadata=metadata(),
    )


def write_files(results: Results, store: Store, sources: Sequence[Source], options: FitOptions, *, on_picture: OnPicture | None = None) -> list[Path]:
    """Tables, plots and report, the tables first; `sources` are those in the report's slider. Returns the paths."""
    paths = write_all(results, store.folder)
    drawn = plots(results)
    paths += [write(store.folder / name, data) for name, data in drawn.items()]
    shown = slider(sources, results.points, results.anchor, store, options, on_picture=on_picture)
    return [*paths, write(store.folder / "report.html", page(results, drawn, shown).encode())]
