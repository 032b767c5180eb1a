"""i2c encode: fit a field to each input and write it."""

import os
import signal as signals
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import DEFAULT_EFFORT, DEFAULT_FIELD, DEFAULT_QUALITY, FIELDS, EncodeSettings
from ..errors import UsageError
from ..files import STDIO, default_output
from . import batch
from .options import AsJson, Debug, Device, Force, Inputs, OutputDir, OutputFile, Quiet, Threads, parse_bitrate, parse_duration
from .output import Json, Output, duration, figures, rate, size

if TYPE_CHECKING:
    from ..codec import Encoded
    from ..media import InputFile

Stop = Callable[[], bool]


class Tune(str, Enum):
    """What an encode of sound is tuned for."""

    HEARING = "hearing"
    SNR = "snr"


class OnInterrupt(str, Enum):
    """What Ctrl-C does to an encode."""

    ABORT = "abort"
    FINALIZE = "finalize"


Quality = Annotated[float | None, typer.Option("-q", "--quality", metavar="0..100", help=f"More is better; {DEFAULT_QUALITY:g} by default.")]
Lambda = Annotated[float | None, typer.Option("--lambda", metavar="L", help="Rate weight of the loss D + L R, instead of -q.")]
Effort = Annotated[int, typer.Option("-e", "--effort", metavar="1..9", envvar="I2C_EFFORT", help="More is slower and smaller.")]
Steps = Annotated[int | None, typer.Option("--steps", metavar="N", help="Optimiser steps, instead of the effort's.")]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit", metavar="TIME", parser=parse_duration, help="Bring the fit to its end: 90, 60s, 2m.")
]
Bitrate = Annotated[
    float | None, typer.Option("--bitrate", metavar="RATE", parser=parse_bitrate, help="Of sound, instead of -q: 24k, 24000 bits a second.")
]
Grid = Annotated[int | None, typer.Option("--grid", metavar="N", help="Of a shape: distances along its longest side; by -q.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of everything random.")]
Explicit = Annotated[bool, typer.Option("--explicit", help="The explicit twin of the field, to compare.")]
Width = Annotated[int | None, typer.Option("--width", metavar="N", help="Channels of the implicit layer.")]
Field = Annotated[str, typer.Option("--field", metavar="NAME", help=f"{', '.join(FIELDS)}: the codec's own, or a coordinate network.")]
Layers = Annotated[int | None, typer.Option("--layers", metavar="N", help="Layers of a coordinate field.")]
InputScale = Annotated[int | None, typer.Option("--input-scale", metavar="N", help="Highest frequency of a coordinate field at first.")]
Contract = Annotated[bool, typer.Option("--contract/--no-contract", help="Keep a coordinate field's implicit layer a contraction.")]
Strip = Annotated[bool, typer.Option("--strip", help="Leave ICC, Exif, XMP and tags out.")]
TuneOption = Annotated[Tune, typer.Option("--tune", help="What errors of sound weigh: as they are heard, or all alike.")]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Read the written file back. The PSNR shown is always that of the decoded file.")]
Interrupt = Annotated[OnInterrupt, typer.Option("--on-interrupt", help="What Ctrl-C does: write nothing, or the best so far.")]


def encode(
    *,
    inputs: Inputs,
    output: OutputFile = None,
    output_dir: OutputDir = None,
    quality: Quality = None,
    lam: Lambda = None,
    effort: Effort = DEFAULT_EFFORT,
    steps: Steps = None,
    time_limit: TimeLimit = None,
    bitrate: Bitrate = None,
    tune: TuneOption = Tune.HEARING,
    field: Field = DEFAULT_FIELD,
    explicit: Explicit = False,
    width: Width = None,
    layers: Layers = None,
    input_scale: InputScale = None,
    contract: Contract = True,
    grid: Grid = None,
    strip: Strip = False,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    force: Force = False,
    verify: Verify = True,
    on_interrupt: Interrupt = OnInterrupt.ABORT,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Encode pictures, sound and shapes: photo.png becomes photo.i2. Every argument is an input."""
    if sum(value is not None for value in (quality, lam, bitrate)) > 1:
        raise UsageError("--quality, --lambda and --bitrate exclude each other; give one")
    quality = DEFAULT_QUALITY if quality is None else quality
    fit = EncodeSettings(quality=quality, lam=lam, effort=effort, steps=steps, time_limit=time_limit, explicit=explicit)
    fit = replace(fit, field=field, width=width, layers=layers, input_scale=input_scale, contract=contract)
    fit = replace(fit, bitrate=bitrate, tune=tune.value, grid=grid)
    settings = replace(fit, device=device, threads=threads, seed=seed, strip=strip)
    if as_json and output == STDIO:
        raise UsageError("--json and --output - both want standard output; give one")
    out = Output("encode", as_json=as_json, quiet=quiet, debug=debug)
    jobs = batch.plan(inputs, output, output_dir, force=force, name=lambda source: default_output(source, "encode"))
    _refuse_foreign_name(output)
    with _stop_on_signals(on_interrupt is OnInterrupt.FINALIZE) as stop:
        code = batch.run_jobs(jobs, lambda job: _encode_one(job, settings, out, stop=stop, force=force, verify=verify), out)
    raise typer.Exit(code)


def _refuse_foreign_name(output: str | None) -> None:
    """Raises UsageError for an output that is named like a file of media, which an .i2 file is not."""
    from ..media.table import find_format

    suffix = os.path.splitext(output or "")[1]
    form = find_format(suffix) if suffix else None
    if form is not None:
        raise UsageError(
            f"--output is {output}, the name of a {form.name} file; an .i2 file is written: name it {os.path.splitext(output or '')[0]}.i2"
        )


def _encode_one(job: batch.Job, settings: EncodeSettings, out: Output, *, stop: Stop, force: bool, verify: bool) -> None:
    name, began = job.shown, time.monotonic()  # before the imports, which a time limit counts
    from .. import codec, media

    with media.open_source(sys.stdin.buffer if job.source == STDIO else job.source) as file:
        if stop():  # nothing to finalise yet
            raise KeyboardInterrupt
        with out.progress(name) as on_step:
            encoded = codec.encode(file.source, settings, on_step=on_step, stop=stop, began=began)
        batch.write_output(job.target, encoded.data, force=force, verify=verify)
        _report(job, file, encoded, out)
    if stop():
        out.line(f"{name}: stopped early, after {encoded.coded.steps} steps")


def _report(job: batch.Job, file: "InputFile", encoded: "Encoded", out: Output) -> None:
    from ..media import MEDIA

    medium, coded, count = MEDIA[encoded.layout.kind], encoded.coded, len(encoded.data)
    length = encoded.layout.seconds
    speed = "" if length is None else f" ({encoded.seconds / length:.2g} x its length)"
    parts = [medium.describe(encoded.layout), size(count), rate(encoded.layout, count), figures(encoded.figures)]
    out.line(f"{job.shown}: {', '.join([*parts, duration(encoded.seconds)])}{speed}")
    for note in (*file.source.notes, *coded.notes):
        out.warn(f"{job.shown}: {note}")
    if not coded.converged:
        out.warn(f"{job.target}: the fixed point is not reached, and the file says so; leave --no-contract out")
    if count > file.size:
        out.warn(f"{job.target} is larger than its source ({count} bytes, {file.size} before); keep the source, or lower -q")
    facts: dict[str, Json] = {"output": job.target, "kind": medium.kind.name.lower(), **medium.facts(encoded.layout)}
    sizes: dict[str, Json] = {"bytes": count, "source_bytes": file.size, "bpp": encoded.bpp, "bitrate": encoded.bitrate, "sizes": {**encoded.sizes}}
    work: dict[str, Json] = {"seconds": encoded.seconds, "steps": coded.steps, "passes": coded.passes, "loss": encoded.loss}
    out.record(job.source, "ok", {**facts, **sizes, **encoded.figures, **work, "converged": coded.converged})


@contextmanager
def _stop_on_signals(finalize: bool) -> Iterator[Stop]:
    """Yields whether to stop; where `finalize`, the first SIGINT or SIGTERM sets it and the second one interrupts."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    kinds = (signals.SIGINT, signals.SIGTERM) if finalize else ()
    before = [(kind, signals.signal(kind, ask)) for kind in kinds]
    try:
        yield lambda: asked
    finally:
        for kind, handler in before:
            signals.signal(kind, handler)
