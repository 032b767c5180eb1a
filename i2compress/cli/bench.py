"""i2c bench: i2compress and its peers over a set of files, and decoding above the coded size."""

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
from .bench_run import Anchor, OutDir, Plan, Qualities, bench
from .options import AsJson, Debug, Device, Quiet, Threads
from .output import Json, Output

if TYPE_CHECKING:
    pass

app = typer.Typer(rich_markup_mode=None, help="Honest numbers against the codecs people would pick instead.")
app.command()(audio)

SCALE_PEERS = "avif,avif-psnr"
DEFAULT_SCALE_QUALITIES = "50,75"

Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, or folders of them.", show_default=False)]
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
    if pictures < 0:
        raise UsageError(f"pictures is {pictures}; expected 0 or more")
    out = Output("bench", as_json=as_json, quiet=quiet, debug=debug)
    plan = Plan(inputs=inputs, names=names, qualities=chosen, options=options, jobs=scorers(jobs), anchor=anchor, pictures=pictures)
    raise typer.Exit(bench("image", plan, out_dir, out))


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
    from ..bench import scale_report

    out = Output("bench", as_json=as_json, quiet=quiet, debug=debug)
    options = fit_options(effort, steps, seed, device, threads)
    wanted, numbers = _factors(factors), parse_numbers(qualities)
    store, _ = open_store("image", out_dir, out)
    peers = [peer for peer in choose_codecs(parse_list(codecs), store, out)[0] if not peer.fitted]
    files = bench_run.sources(inputs, store.modality)
    with out.progress("scale") as on_step:
        rows, failed = bench_scale.bench(files, peers, store, options, qualities=numbers, factors=wanted, on_case=counted(on_step))
    for name, error in failed.items():
        out.failure(name, error)
    if not rows:
        raise typer.Exit(ExitCode.FAILED)
    scale_report.write_all(rows, failed, store.folder)
    found = scale_report.verdicts(rows)
    out.text(scale_report.verdict_table(found).rstrip())
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
