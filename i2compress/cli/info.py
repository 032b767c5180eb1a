"""i2c info: what a file holds, without decoding it."""

from typing import TYPE_CHECKING

import typer

from ..container import ChunkSize, chunk_sizes
from . import batch
from .options import AsJson, Debug, Inputs
from .output import Json, Output, rate, size

if TYPE_CHECKING:
    from ..media.protocol import Medium, Outline


def info(*, inputs: Inputs, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show what .i2 files hold and where their bytes are."""
    out, files = Output("info", as_json=as_json, debug=debug), batch.Inputs()
    batch.check_inputs(inputs)

    def work(index: int) -> None:
        from ..media.table import medium_of_file

        data = files.read(inputs[index])
        medium = medium_of_file(data)
        outline, chunks = medium.outline(data), chunk_sizes(data)
        out.text(_text(inputs[index], medium, outline, chunks, len(data)))
        out.record(inputs[index], "ok", _fields(medium, outline, chunks, len(data)))

    raise typer.Exit(batch.run(inputs, work, out))


def _text(source: str, medium: "Medium", outline: "Outline", chunks: list[ChunkSize], count: int) -> str:
    lam = "" if outline.lam is None else f", lambda {outline.lam:.2g}"
    what = f"{medium.describe(outline.layout)}, {size(count)}, {rate(outline.layout, count)}{lam}, {outline.what}"
    lines = [f"{source}: I2 {medium.kind.name.lower()}, {what}"]
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
