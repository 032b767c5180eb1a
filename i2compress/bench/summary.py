"""From measured points to the files of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .bd import against, curves
from .origin import metadata
from .parts import FitOptions, Modality, Point, Source
from .plots import plots
from .report import OnPicture, page, slider
from .results import Results, markdown, write, write_all
from .run import Failure
from .store import Store


def pick_anchor(codecs: Sequence[str], asked: str | None, modality: Modality) -> str:
    """The codec that BD figures are against: the one asked for where it ran, else the strongest that did."""
    wanted: list[str] = [*([] if asked is None else [asked]), *modality.anchors, *codecs]
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
        bds=against(points, anchor, store.metrics, overlap=store.modality.least_overlap),
        anchor=anchor,
        metrics=store.metrics,
        skipped={**skipped, **failed},
        metadata={**metadata(), "device": sorted({str(point.origin["device"]) for point in points if "device" in point.origin})},
    )


def write_files(
    results: Results, store: Store, every: Sequence[Source], options: FitOptions, *, pictures: int, on_picture: OnPicture | None = None
) -> list[Path]:
    """Tables, plots and report, the tables first, of `every` source; the first `pictures` are in the report's slider. Returns the paths."""
    modality = store.modality
    kept = {} if modality.record is None else modality.record(results.points, results.metadata)
    paths = [*write_all(results, store.folder), *(write(store.folder / name, data) for name, data in kept.items())]
    drawn = plots(results)
    if modality.plots is not None:
        own = modality.plots(results.points, every, store)
        drawn |= own
        paths += [write(store.folder / "results.md", markdown(results, list(own)).encode())]
    paths += [write(store.folder / name, data) for name, data in drawn.items()]
    shown = slider(every[:pictures] if modality.slider else (), results.points, results.anchor, store, options, on_picture=on_picture)
    return [*paths, write(store.folder / "report.html", page(results, drawn, shown).encode())]
