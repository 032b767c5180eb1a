"""i2c verify: does the file come back, and how close to its source?"""

import math
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SignalError, TargetError, UsageError
from ..files import STDIO
from . import batch
from .options import AsJson, Debug, Inputs, Quiet, Threads
from .output import Output, duration, figures

if TYPE_CHECKING:
    from ..codec import I2File

Against = Annotated[str | None, typer.Option("--against", metavar="SRC", help="The source, to measure the PSNR.")]
MinPsnr = Annotated[float | None, typer.Option("--min-psnr", metavar="DB", help="Fail (exit 6) below this PSNR; needs --against.")]


def verify(
    *,
    inputs: Inputs,
    against: Against = None,
    min_psnr: MinPsnr = None,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check .i2 files: their checksums, and that they decode to the end."""
    if against is not None and len(inputs) > 1:
        raise UsageError(f"--against names one source but there are {len(inputs)} files; verify them one by one")
    if min_psnr is not None and against is None:
        raise UsageError("--min-psnr needs the source to compare with; give it with --against SRC")
    batch.check_inputs([*inputs, against] if against is not None else inputs)
    out, files = Output("verify", as_json=as_json, quiet=quiet, debug=debug), batch.Inputs()

    def work(index: int) -> None:
        from ..codec import I2File

        start = time.perf_counter()
        file = I2File.from_bytes(files.read(inputs[index]), threads=threads)
        found = _decoded(file) if against is None else _score(file, against, out)
        _report(inputs[index], file, found, time.perf_counter() - start, min_psnr, out)

    raise typer.Exit(batch.run(inputs, work, out))


def _decoded(file: "I2File") -> dict[str, float]:
    """Decodes to the end; without a source there is no figure."""
    for _ in file.blocks():
        pass
    return {}


def _score(file: "I2File", against: str, out: Output) -> Mapping[str, float]:
    """The figures of the file, which is decoded to its end, beside its source."""
    from .. import media

    with media.open_source(sys.stdin.buffer if against == STDIO else against) as opened:
        source = media.on_layout(opened.source, file.layout)
        found, expected = source.layout, file.layout
        if found != expected:
            described = [media.MEDIA[layout.kind].describe(layout) for layout in (found, expected)]
            if described[0] == described[1]:
                described = [f"{text} ({layout.grid[0]} samples)" for text, layout in zip(described, (found, expected), strict=True)]
            raise SignalError(f"{against} is {described[0]}; expected {described[1]} as in the .i2 file: give the source that it was made from")
        figures = file.score(source)
        for note in source.notes:
            out.warn(f"{against}: {note}")
        return figures


def _report(path: str, file: "I2File", found: Mapping[str, float], seconds: float, min_psnr: float | None, out: Output) -> None:
    psnr = found.get("psnr")
    if psnr is not None and min_psnr is not None and psnr < min_psnr:
        raise TargetError(f"{path} has {psnr:.2f} dB PSNR; expected at least {min_psnr:g} dB: encode again with a higher -q or -e")
    what = ", ".join([file.medium.describe(file.layout), *([figures(found)] if found else [])])
    if not out.quiet:
        out.text(f"{path}: OK, {what}, decoded in {duration(seconds)}")
    out.record(path, "ok", {"kind": file.medium.kind.name.lower(), "psnr": None, **found, "lossless": psnr == math.inf, "seconds": seconds})
