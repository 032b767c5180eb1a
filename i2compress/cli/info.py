"""i2c info: what a file holds, without decoding it."""

import shlex
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import EncodeSettings
from ..container import ChunkSize, chunk_sizes
from ..signal import TICKS
from .inputs import check_stdin
from .options import AsJson, Debug, Inputs, Running
from .output import Json, Output, beside, rate, size, track_records
from .run import run_jobs
from .work import Desk, Job, Tally

if TYPE_CHECKING:
    from ..media.protocol import Medium, Outline


AsArgs = Annotated[bool, typer.Option("--as-args", help="Show only the command that makes such a file, as far as the file says how.")]


def info(*, inputs: Inputs, as_args: AsArgs = False, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show what .i2 files hold and where their bytes are."""
    check_stdin(inputs)
    out = Output("info", as_json=as_json, debug=debug)
    raise typer.Exit(run_jobs([Job(source=path, target=path) for path in inputs], partial(_show, as_args=as_args), Running(), out))


def _show(job: Job, desk: Desk, *, as_args: bool) -> Tally:
    from ..media.table import medium_of_file
    from ..tracks import read_tracks

    data = job.read()
    medium = medium_of_file(data)
    outline, chunks = medium.outline(data), chunk_sizes(data)
    tracks = [(start, medium_of_file(packed).outline(packed), len(packed)) for start, packed in read_tracks(data)]
    desk.out.text(_command(outline) if as_args else _text(job.source, medium, outline, chunks, len(data), tracks))
    records = track_records([(start, of.layout, count, {}) for start, of, count in tracks])
    desk.out.record(job.source, "ok", {**_fields(medium, outline, chunks, len(data)), **records})
    return Tally(read=len(data))


def _command(outline: "Outline") -> str:
    """i2c encode with the options that a file says."""
    defaults, words = EncodeSettings(), ["i2c", "encode", "INPUT"]
    for name, value in outline.settings.items():
        if name == "lam":
            words += ["--lambda", f"{value:.4g}"]
        elif value == getattr(defaults, name):
            continue
        elif isinstance(value, bool):
            words += [f"--{name}" if value else f"--no-{name}"]
        else:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)  # a start may lie where a path has spaces


def _text(source: str, medium: "Medium", outline: "Outline", chunks: list[ChunkSize], count: int, tracks: "list[tuple[int, Outline, int]]") -> str:
    lam = "" if outline.lam is None else f", lambda {outline.lam:.2g}"
    what = f"{medium.describe(outline.layout)}, {size(count)}, {rate(outline.layout, count)}{lam}, {outline.what}"
    lines = [f"{source}: I2 {medium.kind.name.lower()}, {what}"]
    lines += [f"  {beside(of.layout, length)}, from {start / TICKS:.3g} s on, {of.what}" for start, of, length in tracks]
    for letter, name, total in _grouped(chunks):
        lines.append(f"  {letter or ' '} {name:<10}{total:>10} bytes {100 * total / count:6.1f} %")
    return "\n".join(lines)


def _grouped(chunks: list[ChunkSize]) -> list[tuple[str, str, int]]:
    """Letter, name and bytes of each kind of chunk, in the order of the file."""
    totals: dict[tuple[str, str], int] = {}
    for chunk in chunks:
        totals[chunk.type, chunk.name] = totals.get((chunk.type, chunk.name), 0) + chunk.size
    return [(letter, name, total) for (letter, name), total in totals.items()]


def _fields(medium: "Medium", outline: "Outline", chunks: list[ChunkSize], count: int) -> dict[str, Json]:
    grouped: list[Json] = [{"type": letter, "name": name, "bytes": total} for letter, name, total in _grouped(chunks)]
    layout = outline.layout
    rates: dict[str, Json] = {"bytes": count, "bpp": 8 * count / layout.samples, "bitrate": layout.seconds and 8 * count / layout.seconds}
    return {"kind": medium.kind.name.lower(), **medium.facts(layout), **outline.facts, "lambda": outline.lam, **rates, "chunks": grouped}
