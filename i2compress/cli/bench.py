"""i2c bench: i2compress and its peers over a set of files, and decoding above the coded size."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import DEFAULT_EFFORT
from ..errors import ExitCode, UsageError
from .bench_audio import audio
from .bench_options import (
    DEFAULT_CODECS,
    Codecs,
    Effort,
    Jobs,
    Report,
    Seed,
    Steps,
    choose_codecs,
    counted,
    fit_options,
    open_store,
    parse_list,
    parse_numbers,
    parse_qualities,
    scorers,
)
from .options import AsJson, Debug, Device, Quiet, Threads
from .output import Output

if TYPE_CHECKING:
    from ..bench.parts import FitOptions
    from ..bench.results import Results
    from ..bench.run import Progress

app = typer.Typer(rich_markup_mode=None, help="Honest numbers against the codecs people would pick instead.")
app.command()(audio)

SCALE_PEERS = "avif,avif-psnr"
DEFAULT_SCALE_QUALITIES = "50,75"

Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, or folders of them.", show_default=False)]
OutDir = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the results; finished points in it are not measured again.")]
Qualities = Annotated[
    list[str] | None, typer.Option("--qualities", metavar="[CODEC=]Q,...", help="For all codecs, or for one; repeat it. Each codec's own by default.")
]
Anchor = Annotated[str | None, typer.Option("--anchor", metavar="CODEC", help="What BD figures are against; the strongest AVIF by default.")]
Pictures = Annotated[int, typer.Option("--pictures", metavar="N", help="Pictures in the report's slider.")]
ScaleQualities = Annotated[str, typer.Option("--qualities", metavar="Q,...", help="Of i2c; peers get the size of its file.")]
ScaleCodecs = Annotated[str, typer.Option("--codecs", metavar="A,B,...", help="Peers whose decoded pictures are enlarged.")]
Factors = Annotated[str, typer.Option("--factors", metavar="N,...", help="Reductions.")]


@app.command()
def image(
    *,
    inputs: Inputs,
    codecs: Codecs = DEFAULT_CODECS,
    qualities: Qualities = None,
    effort: Effort = DEFAULT_EFFORT,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    jobs: Jobs = None,
    anchor: Anchor = None,
    pictures: Pictures = 4,
    out_dir: OutDir = "bench",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rate, quality, time and memory over pictures (files or folders): JSON, CSV, plots, Markdown and one HTML report."""
    names = parse_list(codecs)
    chosen = parse_qualities(qualities or [], names)
    options = fit_options(effort, steps, seed, device, threads)
    if anchor is not None and anchor not in names:
        raise UsageError(f"anchor is {anchor!r}; expected one of the codecs of this run: {', '.join(names)}")
    if pictures < 0:
        raise UsageError(f"pictures is {pictures}; expected 0 or more")
    out = Output("bench", as_json=as_json, quiet=quiet, debug=debug)
    plan = _Plan(inputs=inputs, names=names, qualities=chosen, options=options, jobs=scorers(jobs), anchor=anchor, pictures=pictures)
    raise typer.Exit(_bench(plan, out_dir, out))


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What was asked for: files, names of codecs, qualities by codec, i2c's options, processes that score, the anchor, pictures in the slider."""

    inputs: list[str]
    names: list[str]
    qualities: dict[str, list[float]]
    options: "FitOptions"
    jobs: int
    anchor: str | None
    pictures: int


def _bench(plan: _Plan, out_dir: str, out: Output) -> ExitCode:
    from ..bench import run as bench_run
    from ..bench import summary

    store, skipped = open_store("image", out_dir, out)
    codecs, missing = choose_codecs(plan.names, store, out)
    files = bench_run.sources(plan.inputs, store.modality)
    tasks = bench_run.plan(files, codecs, plan.qualities, plan.options)
    with out.progress(f"{len(tasks)} points") as on_step:
        report = counted(on_step)
        scored = counted(on_step)
        points, failures = bench_run.run(
            tasks, store, lambda progress: _show(progress, report), jobs=plan.jobs, on_score=lambda done, total: scored("scores", done, total)
        )
    for failure in failures:
        out.failure(f"{failure.task.source.path}, {failure.task.codec.name} at {failure.task.work.quality:g}", failure.error)
    if not points:
        return ExitCode.FAILED
    used = list(dict.fromkeys(point.codec for point in points))
    chosen = summary.pick_anchor(used, plan.anchor)
    results = summary.summarise(points, failures, store, sources=len(files), anchor=chosen, skipped={**missing, **skipped})
    with out.progress("report") as on_step:
        summary.write_files(results, store, files[: plan.pictures], plan.options, on_picture=counted(on_step))
    _summary(results, out, store.folder)
    return ExitCode.FAILED if failures else ExitCode.OK


@app.command()
def scale(
    *,
    inputs: Inputs,
    codecs: ScaleCodecs = SCALE_PEERS,
    qualities: ScaleQualities = DEFAULT_SCALE_QUALITIES,
    factors: Factors = "2,4",
    effort: Effort = DEFAULT_EFFORT,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    out_dir: OutDir = "bench-scale",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Pictures reduced, coded and enlarged again: the field's own values against Lanczos and bicubic enlargement."""
    from ..bench import run as bench_run
    from ..bench import scale as bench_scale

    out = Output("bench", as_json=as_json, quiet=quiet, debug=debug)
    options = fit_options(effort, steps, seed, device, threads)
    wanted, numbers = _factors(factors), parse_numbers(qualities)
    store, _ = open_store("image", out_dir, out)
    peers = [peer for peer in choose_codecs(parse_list(codecs), store, out)[0] if not peer.fitted]
    files = bench_run.sources(inputs, store.modality)
    with out.progress("scale") as on_step:
        rows = bench_scale.bench(files, peers, store, options, qualities=numbers, factors=wanted, on_case=counted(on_step))
    bench_scale.write_all(rows, store.folder)
    for factor in wanted:
        out.text(f"{factor}x\n{bench_scale.factor_table(rows, factor)}")
    out.record(str(store.folder), "ok", {"rows": len(rows)})
    out.line(f"{store.folder / 'scale.md'}: {len(rows)} rows")


def _factors(text: str) -> list[int]:
    numbers = parse_numbers(text)
    if not all(number == int(number) and number >= 2 for number in numbers):
        raise UsageError(f"factors are {text!r}; expected whole numbers from 2, such as 2,4")
    return [int(number) for number in numbers]


def _show(progress: "Progress", report: Report) -> None:
    point, task = progress.point, progress.task
    psnr, bpp = (0.0, 0.0) if point is None else (point.metrics.get("psnr-rgb") or 0.0, point.bpp)
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
