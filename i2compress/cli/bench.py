"""i2c bench: i2compress and its peers over pictures, sound, video and shapes, and decoding above the coded size."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ExitCode, UsageError
from .bench_options import (
    DEFAULT_CODECS,
    Codecs,
    Fitting,
    Jobs,
    Report,
    check_qualities,
    choose_codecs,
    counted,
    open_store,
    parse_list,
    parse_numbers,
    parse_qualities,
    scorers,
)
from .options import spread
from .output import Json, Output
from .work import Failure

if TYPE_CHECKING:
    from ..bench.results import Results
    from ..bench.run import Progress

app = typer.Typer(rich_markup_mode=None, help="Honest numbers against the codecs people would pick instead.")

SCALE_PEERS = "avif,avif-psnr"
DEFAULT_SCALE_QUALITIES = "50,75"
SHAPE_CODECS = "i2c,draco,draco-decimated"
DEFAULT_SHAPE_QUALITIES = "10,25,40,55,70"
SOUND_CODECS = "opus,mp3,aac,flac,i2c-snr,i2c"
VIDEO_CODECS = "x264,x265,svt-av1,i2c"
HIGHEST_BITRATE = 512  # kbps, of any codec of sound

OutDir = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the results; finished points in it are not measured again.")]
Qualities = Annotated[
    list[str] | None, typer.Option("--qualities", metavar="[CODEC=]Q,...", help="For all codecs, or for one; repeat it. Each codec's own by default.")
]
Anchor = Annotated[str | None, typer.Option("--anchor", metavar="CODEC", help="What BD figures are against; the strongest peer by default.")]
Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, or folders of them.", show_default=False)]
Sounds = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Sound files, mono or stereo, or folders of them.", show_default=False)]
Videos = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Videos; FILE#xywh=X,Y,W,H&frames=A:B is a part of one.", show_default=False)]
Meshes = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Mesh files.", show_default=False)]
ShapeCodecs = Annotated[str, typer.Option("--codecs", metavar="A,B,...", help="Of i2c, draco and draco-decimated.")]
ShapeQualities = Annotated[str, typer.Option("--qualities", metavar="Q,...", help="Of i2c; Draco has its own.")]
Pictures = Annotated[int, typer.Option("--pictures", metavar="N", help="Pictures in the report's slider.")]
ScaleQualities = Annotated[str, typer.Option("--qualities", metavar="Q,...", help="Of i2c; peers get the size of its file.")]
ScaleCodecs = Annotated[str, typer.Option("--codecs", metavar="A,B,...", help="Peers whose decoded pictures are enlarged.")]
Factors = Annotated[str, typer.Option("--factors", metavar="N,...", help="Reductions.")]


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is measured of each codec, and how."""

    qualities: Qualities = None
    jobs: Jobs = None
    anchor: Anchor = None


@dataclass(frozen=True, kw_only=True)
class OneThread(Fitting):
    """Fitting of sound: its fits are too small to gain from several threads."""

    threads: Annotated[int | None, typer.Option("--threads", metavar="N", envvar="I2C_THREADS", help="CPU threads of i2c.")] = 1


@app.command()
@spread
def audio(*, inputs: Sounds, codecs: Codecs = SOUND_CODECS, out_dir: OutDir = "bench-audio", measuring: Measuring, fitting: OneThread) -> None:
    """Rate, SNR, log-spectral distance, time and memory over sound files: JSON, CSV, plots, Markdown and one HTML report."""
    bench("audio", inputs, codecs, out_dir, measuring, fitting, highest=HIGHEST_BITRATE, own_scales=True)


@app.command()
@spread
def shape(
    *,
    inputs: Meshes,
    codecs: ShapeCodecs = SHAPE_CODECS,
    qualities: ShapeQualities = DEFAULT_SHAPE_QUALITIES,
    out_dir: OutDir = "bench-shape",
    fitting: Fitting,
) -> None:
    """Bytes against the distance of surfaces over meshes, beside Draco and Draco on decimated meshes: CSV, tables, curves and renders."""
    from ..bench import shape as bench_shape
    from ..bench import shape_report

    out = fitting.output("bench")
    points = bench_shape.bench(inputs, parse_list(codecs), parse_numbers(qualities), fitting.settings(), Path(out_dir), out.line)
    shape_report.write_all(points, Path(out_dir))
    for point in points:
        found: dict[str, Json] = {"codec": point.codec, "setting": point.setting, "bytes": point.count, **point.figures}
        out.record(point.source, "ok", found)
    out.line(f"{Path(out_dir) / 'shape.md'}: {len(points)} points, with points.csv, curves and renders beside it")


@app.command()
@spread
def image(
    *,
    inputs: Inputs,
    codecs: Codecs = DEFAULT_CODECS,
    pictures: Pictures = 4,
    out_dir: OutDir = "bench",
    measuring: Measuring,
    fitting: Fitting,
) -> None:
    """Rate, quality, time and memory over pictures (files or folders): JSON, CSV, plots, Markdown and one HTML report."""
    if pictures < 0:
        raise UsageError(f"pictures is {pictures}; expected 0 or more")
    bench("image", inputs, codecs, out_dir, measuring, fitting, pictures=pictures)


@app.command()
@spread
def video(*, inputs: Videos, codecs: Codecs = VIDEO_CODECS, out_dir: OutDir = "bench-video", measuring: Measuring, fitting: Fitting) -> None:
    """Rate, PSNR, time and memory over videos in 4:2:0: JSON, CSV, plots, Markdown and one HTML report."""
    bench("video", inputs, codecs, out_dir, measuring, fitting, own_scales=True)


@app.command()
@spread
def scale(
    *,
    inputs: Inputs,
    codecs: ScaleCodecs = SCALE_PEERS,
    qualities: ScaleQualities = DEFAULT_SCALE_QUALITIES,
    factors: Factors = "2,4",
    out_dir: OutDir = "bench-scale",
    fitting: Fitting,
) -> None:
    """Pictures reduced, coded and enlarged again: the field's own values against Lanczos and bicubic enlargement."""
    from ..bench import run as bench_run
    from ..bench import scale as bench_scale

    out, options = fitting.output("bench"), fitting.options()
    wanted, numbers = _factors(factors), parse_numbers(qualities)
    store, _ = open_store("image", out_dir, out)
    peers = [peer for peer in choose_codecs(parse_list(codecs), store, out)[0] if not peer.fitted]
    files = bench_run.sources(inputs, store.benchmark)
    with out.progress("scale") as on_step:
        rows, failed = bench_scale.bench(files, peers, store, options, qualities=numbers, factors=wanted, on_case=counted(on_step))
    for name, error in failed.items():
        out.failure(name, Failure.of(error))
    if not rows:
        raise typer.Exit(ExitCode.FAILED)
    bench_scale.write_all(rows, failed, store.folder)
    found = bench_scale.verdicts(rows)
    out.text(bench_scale.verdict_table(found).rstrip())
    for verdict in found:
        won: dict[str, Json] = {"winner": " by ".join(verdict.winner), "won_by_field": verdict.won, "cases": verdict.cases}
        out.record(f"{verdict.factor}x {verdict.measure}", "ok", won)
    out.line(f"{store.folder / 'scale.md'}: {len(files)} pictures, with scale.json and scale.csv beside it")
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


def _factors(text: str) -> list[int]:
    numbers = parse_numbers(text)
    if not all(number == int(number) and number >= 2 for number in numbers):
        raise UsageError(f"factors are {text!r}; expected whole numbers from 2, such as 2,4")
    return [int(number) for number in numbers]


def bench(
    benchmark: str,
    inputs: list[str],
    codecs: str,
    out_dir: str,
    measuring: Measuring,
    fitting: Fitting,
    *,
    highest: float = 100,
    own_scales: bool = False,
    pictures: int = 0,
) -> None:
    """Measure what no earlier run into the folder has, write tables, plots and the report there, and end.

    Args:
        benchmark: what is measured, a name in bench.run.BENCHMARKS.
        inputs: files and folders.
        codecs: their names, with commas between.
        out_dir: folder of the results.
        measuring, fitting: see there.
        highest: quality of any codec.
        own_scales: qualities must lie on the scale of their codec.
        pictures: in the report's slider.

    Raises:
        typer.Exit: with FAILED where any point failed.
    """
    from ..bench import run as bench_run
    from ..bench.report import write_files
    from ..bench.results import summarise

    names = parse_list(codecs)
    if measuring.anchor is not None and measuring.anchor not in names:
        raise UsageError(f"anchor is {measuring.anchor!r}; expected one of the codecs of this run: {', '.join(names)}")
    qualities = parse_qualities(measuring.qualities or [], names, highest)
    options, jobs, out = fitting.options(), scorers(measuring.jobs), fitting.output("bench")
    store, skipped = open_store(benchmark, out_dir, out)
    chosen, missing = choose_codecs(names, store, out)
    if own_scales:
        check_qualities(chosen, qualities)
    files = bench_run.sources(inputs, store.benchmark)
    tasks = bench_run.plan(files, chosen, qualities, options)
    with out.progress(f"{len(tasks)} points") as on_step:
        report = scored = counted(on_step)

        def measured(progress: "Progress") -> None:
            nonlocal scored
            _show(progress, report)
            scored = counted(on_step)  # scoring begins where measuring ends

        points, failures = bench_run.run(tasks, store, measured, jobs=jobs, on_score=lambda done, total: scored("scores", done, total))
    for failure in failures:
        out.failure(f"{failure.task.source.path}, {failure.task.codec.name} at {failure.task.work.quality:g}", Failure.of(failure.error))
    points += store.others(points)
    if not points:
        raise typer.Exit(ExitCode.FAILED)
    reasons = {**missing, **skipped, **{failure.name: str(failure.error) for failure in failures}}
    results = summarise(points, store.benchmark, store.metrics, anchor=measuring.anchor, skipped=reasons)
    with out.progress("report") as on_step:
        write_files(results, store, files, options, pictures=pictures, on_picture=counted(on_step))
    _summary(results, out, store.folder)
    raise typer.Exit(ExitCode.FAILED if failures else ExitCode.OK)


def _show(progress: "Progress", report: Report) -> None:
    point, task = progress.point, progress.task
    psnr, bpp = (0.0, 0.0) if point is None else (next(iter(point.metrics.values()), None) or 0.0, point.bpp)
    report(f"{task.codec.name} {task.source.name}", progress.done, progress.total, eta=progress.eta, psnr=psnr, bpp=bpp)


def _summary(results: "Results", out: Output, folder: Path) -> None:
    from ..bench.tables import bd_table

    if results.bds:
        out.text(bd_table(results).rstrip())
    for codec in results.curves:
        figures = {bd.metric: bd for bd in results.bds if bd.codec == codec}
        rates = {f"bd_rate_{name}": bd.rate for name, bd in figures.items()}
        out.record(codec, "ok", {"anchor": results.anchor, "points": len(results.curves[codec]), **rates})
    out.line(f"{folder / 'report.html'}: {len(results.points)} points of {len(results.curves)} codecs, with tables, plots and results.md beside it")
