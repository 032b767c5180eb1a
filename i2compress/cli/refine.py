"""i2c refine: more effort on a file that there is, which is replaced only by a better one."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import EncodeSettings
from ..efforts import DEFAULT_EFFORT
from ..errors import ExitCode
from ..files import STDIO, atomic_writer
from .encode_options import Effort, Seed, Steps, Strip, TimeLimit, TuneOption
from .options import AsJson, Debug, Device, Quiet, Threads
from .output import Json, Output, duration, figures, size
from .presets import Preset
from .work import Failure, read_input

if TYPE_CHECKING:
    from ..codec import Refined

File = Annotated[str, typer.Argument(metavar="FILE", help="The .i2 file, which is replaced if a better one is found.", show_default=False)]
From = Annotated[str, typer.Option("--from", metavar="SRC", help="What it was made from; - is stdin.", show_default=False)]
Output_ = Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the better of the two here instead.")]


def refine(
    *,
    file: File,
    source: From,
    output: Output_ = None,
    effort: Effort = DEFAULT_EFFORT,
    steps: Steps = None,
    time_limit: TimeLimit = None,
    tune: TuneOption = None,
    strip: Strip = False,
    seed: Seed = 0,
    device: Device = "auto",
    preset: Preset = None,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Spend more effort on an .i2 file, with the lambda and the field that it has; it never becomes worse."""
    settings = EncodeSettings(effort=effort, steps=steps, time_limit=time_limit, device=device, threads=threads, seed=seed, strip=strip, tune=tune)
    out = Output("refine", as_json=as_json, quiet=quiet, debug=debug)
    try:
        _refine(file, source, output or file, settings, out)
    except Exception as error:
        failure = Failure.of(error)
        out.failure(file, failure)
        raise typer.Exit(failure.code) from error
    raise typer.Exit(ExitCode.OK)


def _refine(file: str, source: str, target: str, settings: EncodeSettings, out: Output) -> None:
    from .. import codec, media

    began, data = time.monotonic(), read_input(file)
    with media.open_source(sys.stdin.buffer if source == STDIO else source) as opened:
        with out.progress(file) as on_step:
            found = codec.refine(opened.source, data, settings, on_step=on_step, began=began)
        for note in opened.source.notes:
            out.warn(f"{source}: {note}")
    kept = found.encoded.data if found.better else data
    if found.better or target != file:
        with atomic_writer(target, force=target == file) as written:
            written.write(kept)
    out.line(_line(target, found, len(data)))
    facts: dict[str, Json] = {"output": target, "refined": found.better, "bytes": len(kept), "bytes_before": len(data)}
    after = found.encoded.figures if found.better else found.before
    before: dict[str, Json] = {f"{name}_before": value for name, value in found.before.items()}
    out.record(file, "ok", {**facts, **after, **before, "steps": found.encoded.coded.steps, "seconds": found.encoded.seconds})


def _line(target: str, found: "Refined", before: int) -> str:
    made = found.encoded
    was, new = (f"{size(count)}, {figures(of)}" for count, of in ((before, found.before), (len(made.data), made.figures)))
    if found.better:
        return f"{target}: {new}, before {was}; {duration(made.seconds)}"
    return f"{target}: stays as it is, {was}; {made.coded.steps} steps gave {new}; {duration(made.seconds)}"
