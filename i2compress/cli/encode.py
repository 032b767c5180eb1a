"""i2c encode: fit a field to each input and write it."""

import os
import signal as signals
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import DEFAULT_EFFORT, DEFAULT_FIELD, DEFAULT_QUALITY, EFFORTS, FEWEST_STEPS, FIELDS, EncodeSettings
from ..errors import UsageError
from ..files import STDIO, default_output
from . import batch, sound, waveform
from .options import AsJson, Debug, Device, Force, Inputs, OutputDir, OutputFile, Quiet, Threads, parse_bitrate, parse_duration
from .output import Json, Output, duration, layout, size

if TYPE_CHECKING:
    from ..codec import Encoded
    from ..signal import Signal

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
    """Encode pictures and sound: photo.png becomes photo.i2. Every argument is an input."""
    if sum(value is not None for value in (quality, lam, bitrate)) > 1:
        raise UsageError("--quality, --lambda and --bitrate exclude each other; give one")
    quality = DEFAULT_QUALITY if quality is None else quality
    fit = EncodeSettings(quality=quality, lam=lam, effort=effort, steps=steps, time_limit=time_limit, explicit=explicit)
    fit = replace(fit, field=field, width=width, layers=layers, input_scale=input_scale, contract=contract)
    fit = replace(fit, bitrate=bitrate, tune=tune.value)
    settings = replace(fit, device=device, threads=threads, seed=seed, strip=strip)
    if as_json and output == STDIO:
        raise UsageError("--json and --output - both want standard output; give one")
    out = Output("encode", as_json=as_json, quiet=quiet, debug=debug)
    jobs = batch.plan(inputs, output, output_dir, force=force, name=lambda source: default_output(source, "encode"))
    with _stop_on_signals(on_interrupt is OnInterrupt.FINALIZE) as stop:
        code = batch.run_jobs(jobs, lambda job: _encode_one(job, settings, out, stop=stop, force=force, verify=verify), out)
    raise typer.Exit(code)


def _encode_one(job: batch.Job, settings: EncodeSettings, out: Output, *, stop: Stop, force: bool, verify: bool) -> None:
    from .. import media
    from ..codec import encode_signal
    from ..signal import Kind

    given = batch.read_input(STDIO) if job.source == STDIO else None
    if media.kind_of(job.source, sound.head(job.source) if given is None else given) is Kind.AUDIO:
        encode_one = sound.encode_one if settings.field == DEFAULT_FIELD else waveform.encode_one
        encode_one(job, given, settings, out, stop=stop, force=force, verify=verify)
        return
    if settings.bitrate is not None:
        raise UsageError("--bitrate is for sound; use -q or --lambda for a picture")
    if given is not None:
        data = given
        source_bytes, signal = len(data), media.read(data)
    else:
        signal = media.read(job.source)
        source_bytes = os.path.getsize(job.source)
    if stop():  # nothing to finalise yet
        raise KeyboardInterrupt
    name = job.source if job.target == STDIO else job.target
    with out.progress(name) as on_step:
        encoded = encode_signal(signal, settings, on_step=on_step, stop=stop)
    batch.write_output(job.target, encoded.data, force=force, verify=verify)
    _report(job, signal, encoded, source_bytes, out)
    wanted = EFFORTS[settings.effort].steps if settings.steps is None else settings.steps
    limited = settings.time_limit is not None and settings.field == DEFAULT_FIELD and not stop()
    if limited and encoded.passes < min(wanted, FEWEST_STEPS):
        made = f"{encoded.passes} steps" + (" on each part of the picture" if encoded.passes < encoded.steps else "")
        out.warn(f"{name}: the time limit left {made}, and good pictures take {FEWEST_STEPS} or more; give more time, or encode a smaller picture")
    if stop():
        out.line(f"{name}: stopped early, after {encoded.steps} steps")


def _report(job: batch.Job, signal: "Signal", encoded: "Encoded", source_bytes: int, out: Output) -> None:
    count = len(encoded.data)
    what = layout(signal.grid, signal.channels, signal.bit_depth)
    rate = f"{size(count)}, {encoded.bpp:.3f} bpp, {encoded.psnr:.2f} dB PSNR, {duration(encoded.seconds)}"
    out.line(f"{job.source if job.target == STDIO else job.target}: {what}, {rate}")
    if not encoded.converged:
        out.warn(f"{job.target}: the fixed point is not reached, and the file says so; leave --no-contract out")
    if count > source_bytes:
        out.warn(f"{job.target} is larger than its source ({count} bytes, {source_bytes} before); keep the source, or lower -q")
    picture: dict[str, Json] = {"grid": list(signal.grid), "channels": signal.channels, "bit_depth": signal.bit_depth}
    rates: dict[str, Json] = {"bytes": count, "source_bytes": source_bytes, "bpp": encoded.bpp, "psnr": encoded.psnr, "sizes": dict(encoded.sizes)}
    work: dict[str, Json] = {
        "seconds": encoded.seconds,
        "steps": encoded.steps,
        "passes": encoded.passes,
        "loss": encoded.loss,
        "converged": encoded.converged,
    }
    out.record(job.source, "ok", {"output": job.target, **picture, **rates, **work})


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
