"""i2c decode: solve the fixed point where the output's samples are, and write them band by band."""

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import View
from ..container import is_sound
from ..errors import UsageError
from ..files import STDIO, default_output
from ..waveform import is_waveform
from . import batch, sound, waveform
from .options import AsJson, Debug, Force, Inputs, OutputDir, OutputFile, Quiet, Threads, parse_crop, parse_size, parse_time
from .output import Json, Output, duration, layout

if TYPE_CHECKING:
    from ..media import RowWriter
    from ..signal import Metadata

MAX_PIXELS = 2**28
MAX_SAMPLES = 2**33
DEFAULT_FORMAT = "png"

Scale = Annotated[float | None, typer.Option("--scale", metavar="S", help="Output pixels per source pixel: 4, 0.5, 1.7.")]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Size of the output.")]
MaxSize = Annotated[int | None, typer.Option("--max-size", metavar="N", help="Longest side of the output, never enlarged.")]
Crop = Annotated[str | None, typer.Option("--crop", metavar="X,Y,W,H", help="Part of it, in source pixels.")]
Rate = Annotated[int | None, typer.Option("--rate", metavar="HZ", help="Sampling rate of the output: 48000, 16000.")]
Time = Annotated[str | None, typer.Option("--time", metavar="A:B", help="Seconds of sound: 10:12.5, 1m30s:2m, 60: to the end.")]
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
    format: str | None
    allow_partial: bool
    max_pixels: int
    max_samples: int
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
    """Decode .i2 files at any resolution: photo.i2 becomes photo.i2.png, song.i2 song.i2.wav."""
    if as_json and output == STDIO:
        raise UsageError("--json and --output - both want standard output; give one")
    part = None if crop is None else parse_crop(crop)
    view = View(scale=scale, size=None if size is None else parse_size(size), max_size=max_size, crop=part, bit_depth=depth)
    view = replace(view, rate=rate, time=None if time is None else parse_time(time))
    limits = {"max_pixels": max_pixels, "max_samples": max_samples}
    wish = _Wish(view=view, format=format, allow_partial=allow_partial, threads=threads, force=force, **limits)
    out = Output("decode", as_json=as_json, quiet=quiet, debug=debug)

    def name(source: str) -> Path:
        return default_output(source, "decode", scale=scale, extension=sound.output_extension(source, format, DEFAULT_FORMAT))

    jobs = batch.plan(inputs, output, output_dir, force=force, name=name)
    raise typer.Exit(batch.run_jobs(jobs, lambda job: _decode_one(job, wish, out), out))


def _decode_one(job: batch.Job, wish: _Wish, out: Output) -> None:
    from ..codec import I2File
    from ..signal import to_codes

    start = perf_counter()
    data = batch.read_input(job.source)
    if is_sound(data):
        sound.decode_one(
            job,
            data,
            wish.view,
            out,
            format=wish.format,
            force=wish.force,
            allow_partial=wish.allow_partial,
            threads=wish.threads,
            most=wish.max_samples,
        )
        return
    if is_waveform(data):
        file = I2File.from_bytes(data, threads=wish.threads)
        waveform.decode_one(job, file, wish.view, out, format=wish.format, force=wish.force, most=wish.max_samples)
        return
    file = I2File.from_bytes(data, threads=wish.threads, allow_partial=wish.allow_partial)
    height, width, channels = file.output_shape(wish.view)
    if height * width > wish.max_pixels:
        raise UsageError(f"the output has {width}x{height} pixels; expected at most {wish.max_pixels}: choose a smaller size or raise --max-pixels")
    bit_depth = wish.view.bit_depth or file.header.bit_depth
    with _open_writer(job.target, (height, width, channels), bit_depth, file.metadata, wish) as writer:
        for band in file.bands(wish.view):
            writer.write(to_codes(band, bit_depth))
    if not file.complete:
        out.warn(f"{job.source} was cut short; its finest latents are missing from {job.target}")
    _report(job, (height, width, channels), bit_depth, file.complete, perf_counter() - start, out)


def _open_writer(target: str, shape: tuple[int, int, int], bit_depth: int, metadata: "Metadata", wish: _Wish) -> "AbstractContextManager[RowWriter]":
    from .. import media

    if target == STDIO:
        return media.open_writer(sys.stdout.buffer, format=wish.format or DEFAULT_FORMAT, shape=shape, bit_depth=bit_depth, metadata=metadata)
    return media.open_writer(target, format=wish.format, shape=shape, bit_depth=bit_depth, metadata=metadata, force=wish.force)


def _report(job: batch.Job, shape: tuple[int, int, int], bit_depth: int, complete: bool, seconds: float, out: Output) -> None:
    height, width, channels = shape
    out.line(f"{job.source if job.target == STDIO else job.target}: {layout((height, width), channels, bit_depth)}, {duration(seconds)}")
    fields: dict[str, Json] = {"output": job.target, "width": width, "height": height, "channels": channels, "bit_depth": bit_depth}
    out.record(job.source, "ok", {**fields, "complete": complete, "seconds": seconds})
