"""i2c decode: solve the fixed point where the output's samples are, and write them band by band."""

import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import Limits, View
from ..errors import FormatError, I2Error, UsageError
from ..files import STDIO, SUFFIX, default_output
from . import batch
from .options import (
    AnyCost,
    Existing,
    Placing,
    Running,
    Selection,
    parse_box,
    parse_crop,
    parse_fps,
    parse_frames,
    parse_scale,
    parse_size,
    parse_time,
    spread,
)
from .output import Json, Output, beside, duration, track_records
from .run import run_jobs, share_memory
from .work import Desk, Job, Tally

if TYPE_CHECKING:
    from ..signal import Layout

MAX_PIXELS = 2**28
MAX_SAMPLES = 2**33
DEFAULT_FORMAT = "png"
LEAST_MEMORY = 100_000_000  # bytes of a process that decodes something small
ROWS = 4096  # along the first axis, read back at once

Scale = Annotated[str | None, typer.Option("--scale", metavar="S", help="Output pixels per source pixel: 4, 0.5, 2x, 150%.")]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Size of the output; 640x and x480 keep its proportions.")]
MaxSize = Annotated[int | None, typer.Option("--max-size", metavar="N", help="Longest side of the output, never enlarged.")]
Crop = Annotated[str | None, typer.Option("--crop", metavar="X,Y,W,H", help="Part of it, in source pixels.")]
Rate = Annotated[int | None, typer.Option("--rate", metavar="HZ", help="Sampling rate of the output: 48000, 16000.")]
Time = Annotated[str | None, typer.Option("--time", metavar="A:B", help="Seconds of sound or video: 10:12.5, 1m30s:2m, 60: to the end.")]
Frames = Annotated[str | None, typer.Option("--frames", metavar="A:B:STEP", help="Frames of a video, from 0: 10:20, ::2, 5.")]
Fps = Annotated[str | None, typer.Option("--fps", metavar="N", help="Frames a second of the output: 60, 30000/1001.")]
Resolution = Annotated[int | None, typer.Option("--resolution", metavar="N", help="Of a shape: samples along its longest side; its own by default.")]
Box = Annotated[str | None, typer.Option("--box", metavar="X0,Y0,Z0,X1,Y1,Z1", help="Part of a shape, in its units.")]
Normals = Annotated[bool, typer.Option("--normals", help="Of a shape: with a normal for each vertex, in PLY, OBJ and GLB.")]
Depth = Annotated[int | None, typer.Option("--depth", metavar="8|16|24|32", help="Bits of the output's samples; the source's by default.")]
NoGrain = Annotated[bool, typer.Option("--no-grain", help="Without the noise that --tune texture puts in place of lost texture.")]
Dither = Annotated[bool, typer.Option("--dither", help="Noise of one code value, against contours in slow gradients.")]
FileFormat = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="png, wav, mp4, ...; by the output's extension, else png, or the source's own.")
]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Of a video: without its sound.")]
AllowPartial = Annotated[bool, typer.Option("--allow-partial", help="Decode what is there of a file that was cut short.")]
MaxSamples = Annotated[int, typer.Option("--max-samples", metavar="N", help="Refuse longer sounds and videos.")]
MaxPixels = Annotated[int, typer.Option("--max-pixels", metavar="N", help="Refuse larger outputs.")]


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What to make of each file."""

    view: View
    limits: Limits
    format: str | None
    allow_partial: bool
    check: bool
    any_cost: bool
    max_memory: int | None = None


@spread
def decode(
    *,
    selection: Selection,
    placing: Placing,
    scale: Scale = None,
    size: Size = None,
    max_size: MaxSize = None,
    crop: Crop = None,
    rate: Rate = None,
    time: Time = None,
    frames: Frames = None,
    fps: Fps = None,
    resolution: Resolution = None,
    box: Box = None,
    normals: Normals = False,
    depth: Depth = None,
    dither: Dither = False,
    no_grain: NoGrain = False,
    no_audio: NoAudio = False,
    format: FileFormat = None,
    allow_partial: AllowPartial = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    max_samples: MaxSamples = MAX_SAMPLES,
    any_cost: AnyCost = False,
    running: Running,
) -> None:
    """Decode .i2 files at any resolution: photo.i2 becomes photo.i2.png, song.i2 song.i2.wav, clip.i2 clip.i2.mp4, bunny.i2 bunny.i2.ply."""
    if running.as_json and placing.output == STDIO:
        raise UsageError("--json and --output - both want standard output; give one")
    part, factor = None if crop is None else parse_crop(crop), None if scale is None else parse_scale(scale)
    view = View(scale=factor, size=None if size is None else parse_size(size), max_size=max_size, crop=part, bit_depth=depth, dither=dither)
    view = replace(view, no_grain=no_grain, rate=rate, time=None if time is None else parse_time(time))
    view = replace(view, frames=None if frames is None else parse_frames(frames), fps=None if fps is None else parse_fps(fps))
    view = replace(view, resolution=resolution, box=None if box is None else parse_box(box), normals=normals, no_audio=no_audio)
    _check_format(placing.output, format)
    limits = Limits(max_pixels=max_pixels, max_samples=max_samples)
    wish = _Wish(view=view, limits=limits, format=format, allow_partial=allow_partial, check=placing.rm, any_cost=any_cost)
    if placing.rm and (view != View() or allow_partial):
        raise UsageError("--rm removes sources of which everything is decoded; leave it out, or the options that choose a part or a size")
    out, files = Output("decode", as_json=running.as_json, quiet=running.quiet, debug=running.debug), batch.Inputs()

    def name(source: str, whole: bool) -> Path:
        return default_output(source, "decode", scale=factor, extension=_extension(format) or _own_format(files.head(source)))

    jobs = [files.filled(job) for job in batch.plan(selection, placing, running, takes=is_packed, name=name)]
    prepare = _prepared if placing.policy is Existing.UPDATE else lambda job: job
    memory, workers = share_memory(running, len(jobs), least=LEAST_MEMORY)
    work = partial(_decode_one, wish=replace(wish, max_memory=memory))
    raise typer.Exit(run_jobs(jobs, work, running, out, placing=placing, prepare=prepare, workers=workers))


def is_packed(name: str) -> bool:
    """Whether a file of a folder is an .i2 file, by its extension."""
    return name.lower().endswith(SUFFIX)


def _extension(format: str | None) -> str | None:
    """The usual extension of a format; what was asked for, where it is none, which is refused when it is written."""
    from ..media.table import find_format

    form = None if format is None else find_format(format)
    return format if form is None else form.extensions[0]


def _check_format(output: str | None, format: str | None) -> None:
    """Raises UsageError where the output's extension says one format and --format another."""
    from ..media.table import find_format

    suffix = Path(output or "").suffix
    named, asked = find_format(suffix) if suffix else None, None if format is None else find_format(format)
    if named is not None and asked is not None and named != asked:
        raise UsageError(f"--format is {asked.name} and --output ends in {suffix}; leave one of them out")


def _own_format(head: bytes) -> str:
    """The format that a file decodes to where none is asked for."""
    from ..media.table import medium_of_file

    try:
        return medium_of_file(head).output_format(head)
    except FormatError:  # said when the file is decoded
        return DEFAULT_FORMAT


def _decode_one(job: Job, desk: Desk, *, wish: _Wish) -> Tally:
    from .. import media
    from ..codec import I2File, check_cost, check_memory

    start, out, data = perf_counter(), desk.out, job.read()
    if not wish.any_cost:
        check_cost(data, wish.view, threads=desk.threads)
    check_memory(data, wish.max_memory, wish.view)
    file = I2File.from_bytes(data, threads=desk.threads, allow_partial=wish.allow_partial)
    layout, tracks = file.output(wish.view), file.tracks_of(wish.view)
    for medium, whole in ((file.medium, layout), *((media.MEDIA[track.source.layout.kind], track.source.layout) for track in tracks)):
        medium.check_output(whole, wish.limits)
    check_memory(data, wish.max_memory, wish.view, held=_held(layout, wish.format or Path(job.target).suffix))
    target, form = (sys.stdout.buffer, wish.format or _own_format(data)) if job.target == STDIO else (job.target, wish.format)
    with media.open_writer(target, layout, format=form, metadata=file.metadata, force=job.replace, folders=job.folders) as writer:
        if wish.view.bit_depth not in (None, writer.layout.bit_depth):
            raise UsageError(f"--depth is {wish.view.bit_depth}, and {job.target} would hold {writer.layout.bit_depth} bits; choose another --format")
        left_out = media.accompany(writer, tracks)
        if left_out and wish.check:
            raise UsageError(f"--rm removes sources of which everything is decoded, and {job.target} cannot hold the sound; choose mp4 or mkv")
        for block in file.blocks(wish.view):
            writer.write(block)
    seconds = perf_counter() - start
    for note in (*writer.notes, *left_out):
        out.warn(f"{job.shown}: {note}")
    if not file.complete:
        out.warn(f"{job.source} was cut short; what is missing was filled in, in {job.shown}")
    held = () if left_out else tracks
    parts = [file.medium.describe(writer.layout), *(beside(track.source.layout) for track in held), duration(seconds)]
    out.line(f"{job.shown}: {', '.join(parts)}")
    facts: dict[str, Json] = {"output": job.target, "kind": file.medium.kind.name.lower(), **file.medium.facts(writer.layout)}
    records = track_records([(track.start, track.source.layout, None, {}) for track in held])
    out.record(job.source, "ok", {**facts, "complete": file.complete, "seconds": seconds, **records})
    if wish.check:
        _check_written(job.target, writer.layout, len(tracks))
    return Tally(read=len(data), written=os.path.getsize(job.target) if os.path.isfile(job.target) else 0)


def _held(layout: "Layout", format: str) -> float:
    """Bytes of an output that are held until it is complete, where its format is not written as samples come: code values, and the file of them."""
    from ..media.table import find_format, medium_of

    form = find_format(format, medium_of(layout.kind).formats)
    return 0.0 if form is None or form.streamed else 2.0 * layout.samples * layout.channels * layout.bit_depth / 8


def _prepared(job: Job) -> Job:
    """For --existing update: whether an output is there that was made after its source."""
    source, target = job.source, job.target
    newer = os.path.isfile(target) and os.path.isfile(source) and os.stat(target).st_mtime_ns >= os.stat(source).st_mtime_ns
    return replace(job, skipped="it is not older than its source") if newer else job


def _check_written(target: str, layout: "Layout", tracks: int) -> None:
    """Reads an output to its end. Raises I2Error where it is not what was written."""
    from .. import media

    with media.open_source(target) as opened:
        source = media.on_layout(opened.source, layout)
        found, count, beside_it = source.layout, 0, len(media.tracks_of(source))
        while (block := source.read(count, ROWS)).shape[0]:
            count += block.shape[0]
    if (found.grid, found.channels, count, beside_it) != (layout.grid, layout.channels, layout.grid[0], tracks):
        raise I2Error(f"{target} reads back differently from what was written, and its source is kept; check the disk and decode again")
