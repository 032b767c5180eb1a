"""i2c info: what a file holds, without decoding it."""

import math

import typer

from ..container import ChunkSize, chunk_sizes, is_sound, read
from ..header import FIELDS, KINDS, PYRAMIDS, Header
from . import batch, sound
from .options import AsJson, Debug, Inputs
from .output import Json, Output, layout, size


def info(*, inputs: Inputs, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show what .i2 files hold and where their bytes are."""
    out = Output("info", as_json=as_json, debug=debug)
    batch.check_inputs(inputs)

    def work(index: int) -> None:
        data = batch.read_input(inputs[index])
        if is_sound(data):
            sound.info(inputs[index], data, out)
            return
        header, chunks = read(data).header, chunk_sizes(data)
        out.text(_text(inputs[index], header, chunks, len(data)))
        out.record(inputs[index], "ok", _fields(header, chunks, len(data)))

    raise typer.Exit(batch.run(inputs, work, out))


def _text(source: str, header: Header, chunks: list[ChunkSize], count: int) -> str:
    lam = "" if header.lam is None else f", lambda {header.lam:.2g}"
    waves = len(header.grid) == 1
    what = f"{header.grid[0]} samples, {header.channels} channels" if waves else layout(header.grid, header.channels, header.bit_depth)
    rate = f"{size(count)}, {_bits_per_point(header, count):.3f} bpp{lam}"
    lines = [f"{source}: I2 {KINDS[header.kind]}, {what}, {rate}, {FIELDS[header.field]}{_network(header)}"]
    lines += [f"  {chunk.type or ' '} {chunk.name:<10}{chunk.size:>10} bytes {100 * chunk.size / count:6.1f} %" for chunk in chunks]
    return "\n".join(lines)


def _fields(header: Header, chunks: list[ChunkSize], count: int) -> dict[str, Json]:
    listed: list[Json] = [{"type": chunk.type, "name": chunk.name, "bytes": chunk.size} for chunk in chunks]
    return {
        "kind": KINDS[header.kind],
        "grid": list(header.grid),
        "channels": header.channels,
        "bit_depth": header.bit_depth,
        "field": FIELDS[header.field],
        "params": list(header.params),
        **_coordinates(header),
        "prior": header.prior,
        "lambda": header.lam,
        "bytes": count,
        "bpp": _bits_per_point(header, count),
        "chunks": listed,
    }


def _network(header: Header) -> str:
    """Sizes of a coordinate field and whether its fixed point is reached; nothing for a pyramid."""
    if header.field in PYRAMIDS:
        return ""
    from ..field.coordinate_file import CoordinateFile, describe

    return f" ({describe(CoordinateFile.from_header(header))})"


def _coordinates(header: Header) -> dict[str, Json]:
    """The same as data."""
    if header.field in PYRAMIDS:
        return {}
    from ..field.coordinate_file import CoordinateFile

    spec = CoordinateFile.from_header(header)
    sizes: dict[str, Json] = {"width": spec.network.width, "layers": spec.network.layers, "input_scale": spec.network.input_scale}
    return {**sizes, "iterations": spec.iterations, "contracts": spec.network.normalised, "converged": spec.converged, "residual": spec.residual}


def _bits_per_point(header: Header, count: int) -> float:
    return 8 * count / math.prod(header.grid)
