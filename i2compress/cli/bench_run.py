"""What the commands of i2c bench share that run codecs over files of one kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ExitCode, UsageError
from .bench_options import Report, check_qualities, choose_codecs, counted, open_store
from .output import Output

if TYPE_CHECKING:
    from ..bench.parts import FitOptions
    from ..bench.results import Results
    from ..bench.run import Progress

OutDir = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the results; finished points in it are not measured again.")]
Qualities = Annotated[
    list[str] | None, typer.Option("--qualities", metavar="[CODEC=]Q,...", help="For all codecs, or for one; repeat it. Each codec's own by default.")
]
Anchor = Annotated[str | None, typer.Option("--anchor", metavar="CODEC", help="What BD figures are against; the strongest peer by default.")]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked for.

    Args:
        inputs: files and folders.
        names: of codecs.
        qualities: by codec, its own where it has none here.
        options: of i2c.
        jobs: processes that score.
        anchor: of BD figures; None is the strongest one of the kind.
        pictures: in the report's slider.
        own_scales: qualities must lie on the scale of their codec.
    """

    inputs: list[str]
    names: list[str]
    qualities: dict[str, list[float]]
    options: "FitOptions"
    jobs: int
    anchor: str | None
    pictures: int = 0
    own_scales: bool = False

    def __post_init__(self) -> None:
        if self.anchor is not None and self.anchor not in self.names:
            raise UsageError(f"anchor is {self.anchor!r}; expected one of the codecs of this run: {', '.join(self.names)}")


def bench(modality: str, plan: Plan, out_dir: str, out: Output) -> ExitCode:
    """Measure what no earlier run into the folder has, and write tables, plots and the report there."""
    from ..bench import run as bench_run
    from ..bench import summary

    store, skipped = open_store(modality, out_dir, out)
    codecs, missing = choose_codecs(plan.names, store, out)
    if plan.own_scales:
        check_qualities(codecs, plan.qualities)
    files = bench_run.sources(plan.inputs, store.modality)
    tasks = bench_run.plan(files, codecs, plan.qualities, plan.options)
    with out.progress(f"{len(tasks)} points") as on_step:
        report = scored = counted(on_step)

        def measured(progress: "Progress") -> None:
            nonlocal scored
            _show(progress, report)
            scored = counted(on_step)  # scoring begins where measuring ends

        points, failures = bench_run.run(tasks, store, measured, jobs=plan.jobs, on_score=lambda done, total: scored("scores", done, total))
    for failure in failures:
        out.failure(f"{failure.task.source.path}, {failure.task.codec.name} at {failure.task.work.quality:g}", failure.error)
    points += store.others(points)
    if not points:
        return ExitCode.FAILED
    used = list(dict.fromkeys(point.codec for point in points))
    chosen = summary.pick_anchor(used, plan.anchor, store.modality)
    results = summary.summarise(
        points, failures, store, sources=len({point.source for point in points}), anchor=chosen, skipped={**missing, **skipped}
    )
    with out.progress("report") as on_step:
        summary.write_files(results, store, files, plan.options, pictures=plan.pictures, on_picture=counted(on_step))
    _summary(results, out, store.folder)
    return ExitCode.FAILED if failures else ExitCode.OK


def _show(progress: "Progress", report: Report) -> None:
    point, task = progress.point, progress.task
    psnr, bpp = (0.0, 0.0) if point is None else (next(iter(point.metrics.values()), None) or 0.0, point.bpp)
    report(f"{task.codec.name} {task.source.name}", progress.done, progress.total, eta=progress.eta, psnr=psnr, bpp=bpp)


def _summary(results: "Results", out: Output, folder: Path) -> None:
    from ..bench.results import bd_table

    if results.bds:
        out.text(bd_table(results).rstrip())
    for codec in results.curves:
        figures = {bd.metric: bd for bd in results.bds if bd.codec == codec}
        rates = {f"bd_rate_{name}": bd.rate for name, bd in figures.items()}
        out.record(codec, "ok", {"anchor": results.anchor, "points": len(results.curves[codec]), **rates})
    out.line(f"{folder / 'report.html'}: {len(results.points)} points of {len(results.curves)} codecs, with tables, plots and results.md beside it")
