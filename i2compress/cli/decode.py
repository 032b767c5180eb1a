"""i2c decode: solve the fixed point where the output's samples are, and write them band by band."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from ..config import Limits, View
from ..errors import FormatError, UsageError
from ..files import STDIO, default_output
from . import batch
from .options import AsJson, Debug, Force, Inputs, OutputDir, OutputFile, Quiet, Threads, parse_box, parse_crop, parse_scale, parse_size, parse_time
from .output import Json, Output, duration

MAX_PIXELS = 2**28
MAX_SAMPLES = 2**33
DEFAULT_FORMAT = "png"

Scale = Annotated[str | None, typer.Option("--scale", metavar="S", help="Output pixels per source pixel: 4, 0.5, 2x, 150%.")]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Size of the output; 640x and x480 keep its proportions.")]
MaxSize = Annotated[int | None, typer.Option("--max-size", metavar="N", help="Longest side of the output, never enlarged.")]
Crop = Annotated[str | None, typer.Option("--crop", metavar="X,Y,W,H", help="Part of it, in source pixels.")]
Rate = Annotated[int | None, typer.Option("--rate", metavar="HZ", help="Sampling rate of the output: 48000, 16000.")]
Time = Annotated[str | None, typer.Option("--time", metavar="A:B", help="Seconds of sound: 10:12.5, 1m30s:2m, 60: to the end.")]
Resolution = Annotated[int | None, typer.Option("--resolution", metavar="N", help="Of a shape: samples along its longest side; its own by default.")]
Box = Annotated[str | None, typer.Option("--box", metavar="X0,Y0,Z0,X1,Y1,Z1", help="Part of a shape, in its units.")]
Depth = Annotated[int | None, typer.Option("--depth", metavar="8|16|24|32", help="Bits of the output's samples; the source's by default.")]
FileFormat = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="png, wav, ...; by the output's extension, else png, or the sound's own.")
]
AllowPartial = Annotated[bool, typer.Option("--allow-partial", help="Decode what is there of a file that was cut short.")]
MaxSamples = Annotated[int, typer.Option("--max-samples", metavar="N", help="Refuse longer sounds.")]
MaxPixels = Annotated[int, typer.Option("--max-pixels", metavar="N", help="Refuse larger outputs.")]


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What to make of each file."""

    view: View
    limits: Limits
    format: str | None
    allow_partial: bool
    threads: int | None
    force: bool


def decode(
    *,
    inputs: Inputs,
    output: OutputFile = None,
    output_dir: OutputDir = None,
    scale: Scale = None,
    size: Size = None,
    max_size: MaxSize = None,
    crop: Crop = None,
    rate: Rate = None,
    time: Time = None,
    resolution: Resolution = None,
    box: Box = None,
    depth: Depth = None,
    format: FileFormat = None,
    allow_partial: AllowPartial = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    max_samples: MaxSamples = MAX_SAMPLES,
    threads: Threads = None,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Decode .i2 files at any resolution: photo.i2 becomes photo.i2.png, song.i2 song.i2.wav, bunny.i2 bunny.i2.ply."""
    if as_json and output == STDIO:
        raise UsageError("--json and --output - both want standard output; give one")
    part, factor = None if crop is None else parse_crop(crop), None if scale is None else parse_scale(scale)
    view = View(scale=factor, size=None if size is None else parse_size(size), max_size=max_size, crop=part, bit_depth=depth)
    view = replace(view, rate=rate, time=None if time is None else parse_time(time))
    view = replace(view, resolution=resolution, box=None if box is None else parse_box(box))
    _check_format(output, format)
    limits = Limits(max_pixels=max_pixels, max_samples=max_samples)
    wish = _Wish(view=view, limits=limits, format=format, allow_partial=allow_partial, threads=threads, force=force)
    out, files = Output("decode", as_json=as_json, quiet=quiet, debug=debug), batch.Inputs()

    def name(source: str) -> Path:
        return default_output(source, "decode", scale=factor, extension=_extension(format) or _own_format(files.head(source)))

    jobs = batch.plan(inputs, output, output_dir, force=force, name=name)
    raise typer.Exit(batch.run_jobs(jobs, lambda job: _decode_one(job, files.read(job.source), wish, out), out))


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


def _decode_one(job: batch.Job, data: bytes, wish: _Wish, out: Output) -> None:
    from .. import media
    from ..codec import I2File

    start = perf_counter()
    file = I2File.from_bytes(data, threads=wish.threads, allow_partial=wish.allow_partial)
    layout = file.output(wish.view)
    file.medium.check_output(layout, wish.limits)
    target, form = (sys.stdout.buffer, wish.format or _own_format(data)) if job.target == STDIO else (job.target, wish.format)
    with media.open_writer(target, layout, format=form, metadata=file.metadata, force=wish.force) as writer:
        if wish.view.bit_depth not in (None, writer.layout.bit_depth):
            raise UsageError(f"--depth is {wish.view.bit_depth}, and {job.target} would hold {writer.layout.bit_depth} bits; choose another --format")
        for block in file.blocks(wish.view):
            writer.write(block)
    seconds = perf_counter() - start
    for note in writer.notes:
        out.warn(f"{job.shown}: {note}")
    if not file.complete:
        out.warn(f"{job.source} was cut short; what is missing was filled in, in {job.shown}")
    out.line(f"{job.shown}: {file.medium.describe(writer.layout)}, {duration(seconds)}")
    facts: dict[str, Json] = {"output": job.target, "kind": file.medium.kind.name.lower(), **file.medium.facts(writer.layout)}
    out.record(job.source, "ok", {**facts, "complete": file.complete, "seconds": seconds})
