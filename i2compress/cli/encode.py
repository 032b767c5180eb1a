"""i2c encode: fit a field to each input and write it."""

import os
import signal as signals
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ..checkpoints import kept
from ..config import EncodeSettings
from ..container import HEADER, chunk_sizes, read, read_origin
from ..errors import FormatError, SignalError, UsageError
from ..files import STDIO, default_output
from ..origin import origin_of
from . import batch
from .encode_options import Fitting
from .options import EncodeRunning, Existing, Placing, Running, Selection, spread
from .output import Json, Output, beside, duration, figures, rate, size, track_records
from .run import parts_at_once, run_jobs, share_memory, share_out
from .work import Desk, Job, Tally, Transcript, read_input, readable_once
from .works import works

if TYPE_CHECKING:
    from ..codec import Encoded
    from ..media import InputFile

LEAST_MEMORY = 600_000_000  # bytes of a process that encodes something small
Stop = Callable[[], bool]


class OnInterrupt(str, Enum):
    """What Ctrl-C does to an encode."""

    ABORT = "abort"
    FINALIZE = "finalize"


Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Read the written file back. The PSNR shown is always that of the decoded file.")]
Interrupt = Annotated[OnInterrupt, typer.Option("--on-interrupt", help="What Ctrl-C does: write nothing, or the best so far.")]


@spread
def encode(
    *,
    selection: Selection,
    placing: Placing,
    fitting: Fitting,
    verify: Verify = True,
    on_interrupt: Interrupt = OnInterrupt.ABORT,
    running: EncodeRunning,
) -> None:
    """Encode pictures, sound, video and shapes: photo.png becomes photo.i2. Every argument is an input."""
    settings = fitting.settings(running)
    if running.as_json and placing.output == STDIO:
        raise UsageError("--json and --output - both want standard output; give one")
    if placing.rm and not verify:
        raise UsageError("--rm removes sources whose files have been read back; leave --no-verify out")
    out = Output("encode", as_json=running.as_json, quiet=running.quiet, debug=running.debug)
    jobs = batch.plan(selection, placing, running, takes=is_medium, name=lambda source, whole: default_output(source, "encode", whole=whole))
    _refuse_foreign_name(placing.output)
    devices = _devices(fitting.device, running, len(jobs))
    memory, workers = share_memory(running, len(jobs), least=LEAST_MEMORY, workers=len(devices) or None)
    settings = replace(settings, max_memory=memory, jobs=parts_at_once(running, len(jobs)))
    wish = _Wish(settings=settings, verify=verify, devices=devices, raw=fitting.raw)
    with _stop_on_signals(on_interrupt is OnInterrupt.FINALIZE) as stop:
        code = run_jobs(
            jobs,
            partial(_encode_one, wish=wish),
            running,
            out,
            placing=placing,
            prepare=partial(_prepared, settings=settings) if placing.policy is Existing.UPDATE else lambda job: job,
            weigh=partial(works, settings=settings, raw=fitting.raw),
            stop=stop,
            workers=workers,
            gpu=fitting.device != "cpu",
        )
    raise typer.Exit(code)


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """How to make each file; `devices`: one for each worker, where there is a choice; `raw`: what bare samples are."""

    settings: EncodeSettings
    verify: bool
    devices: Sequence[str] = ()
    raw: str | None = None


def _devices(device: str, running: Running, files: int) -> Sequence[str]:
    """The GPUs that the workers of this machine share; none where one process does all, or the CPU."""
    if device == "cpu" or running.cluster is not None or share_out(running.jobs, running.threads, files)[0] == 1:
        return ()
    from ..fit import gpus

    return gpus(device)


def is_medium(name: str) -> bool:
    """Whether a file of a folder is one to encode: by its extension."""
    from ..media.table import find_format

    suffix = os.path.splitext(name)[1]
    return bool(suffix) and find_format(suffix) is not None


def _refuse_foreign_name(output: str | None) -> None:
    """Raises UsageError for an output that is named like a file of media, which an .i2 file is not."""
    from ..media.table import find_format

    suffix = os.path.splitext(output or "")[1]
    form = find_format(suffix) if suffix else None
    if form is not None:
        raise UsageError(
            f"--output is {output}, the name of a {form.name} file; an .i2 file is written: name it {os.path.splitext(output or '')[0]}.i2"
        )


def _encode_one(job: Job, desk: Desk, *, wish: _Wish) -> Tally:
    name, began, out = job.shown, time.monotonic(), desk.out  # before the imports, which a time limit counts
    from .. import codec, media

    settings = replace(wish.settings, threads=desk.threads)
    settings = replace(settings, device=wish.devices[desk.slot % len(wish.devices)]) if wish.devices else settings
    with media.open_source(job.opened(), raw=wish.raw) as file:
        if desk.stop():  # nothing to finalise yet
            raise KeyboardInterrupt
        with _checkpoints(job, settings):
            encoded = codec.encode(file.source, settings, on_step=desk.on_step, stop=desk.stop, began=began, origin=job.origin)
        batch.write_output(job, encoded.data, verify=wish.verify)
        _report(job, file, encoded, out)
    if desk.stop():
        out.line(f"{name}: stopped early, after {encoded.coded.steps} steps")
    return Tally(read=file.size, written=len(encoded.data))


def _checkpoints(job: Job, settings: EncodeSettings) -> AbstractContextManager[None]:
    """Keeps the states of the fits of a file that can be read once more, so that they can be gone on with."""
    if job.origin is not None:
        return kept(job.origin)
    if job.data is not None or not os.path.isfile(job.source):
        return nullcontext()
    with open(job.source, "rb") as source:
        return kept(origin_of(source, settings))


def _prepared(job: Job, *, settings: EncodeSettings) -> Job:
    """For --existing update: what the file is to say that it was made from, and whether one that says so is there."""
    from ..media import open_binary

    if job.data is None and readable_once(job.source):
        job = replace(job, data=job.read())
    if job.data is not None:
        origin = origin_of(job.data, settings)
    else:
        with open_binary(job.source) as file:
            origin = origin_of(file, settings)
    done = _is_made_from(job.target, origin)
    return replace(job, origin=origin, skipped="its source and the settings are still the same" if done else "")


def _is_made_from(target: str, origin: bytes) -> bool:
    """Whether a file is there that says so; one that is damaged is not."""
    try:
        if not os.path.isfile(target):
            return False
        data = read_input(target)
        if read_origin(data) != origin:
            return False
        chunks = chunk_sizes(data)  # all checksums
        if chunks[1].type == HEADER:
            read(data)  # and whether all chunks of a picture are there
        return True
    except (FormatError, SignalError):
        return False


def _report(job: Job, file: "InputFile", encoded: "Encoded", out: Transcript) -> None:
    from ..media import MEDIA

    medium, coded, count = MEDIA[encoded.layout.kind], encoded.coded, len(encoded.data)
    length = encoded.layout.seconds
    speed = "" if length is None else f" ({encoded.seconds / length:.2g} x its length)"
    parts = [medium.describe(encoded.layout), size(count), rate(encoded.layout, count), figures(encoded.figures)]
    parts += [beside(track.layout, track.size, track.figures) for track in encoded.tracks]
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
    tracks = track_records([(track.start, track.layout, track.size, track.figures) for track in encoded.tracks])
    out.record(job.source, "ok", {**facts, **sizes, **encoded.figures, **work, "converged": coded.converged, **tracks})


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
