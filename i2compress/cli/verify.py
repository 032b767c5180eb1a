"""i2c verify: does the file come back, and how close to its source?"""

import math
import time
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import View
from ..container import is_sound
from ..errors import SignalError, TargetError, UsageError
from ..waveform import is_waveform
from . import batch, sound, waveform
from .options import AsJson, Debug, Inputs, Quiet, Threads
from .output import Json, Output, duration, layout

if TYPE_CHECKING:
    from ..codec import I2File
    from ..signal import Signal

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
    out = Output("verify", as_json=as_json, quiet=quiet, debug=debug)

    def work(index: int) -> None:
        from ..codec import I2File

        start = time.perf_counter()
        data = batch.read_input(inputs[index])
        if is_sound(data):
            sound.verify(inputs[index], data, against, min_psnr, threads, out)
            return
        file = I2File.from_bytes(data, threads=threads)
        if is_waveform(data):
            waveform.verify(inputs[index], file, against, min_psnr, out)
            return
        psnr = _decode_all(file, None if against is None else _source(against, file))
        seconds = time.perf_counter() - start
        if psnr is not None and min_psnr is not None and psnr < min_psnr:
            raise TargetError(f"{inputs[index]} has {psnr:.2f} dB PSNR; expected at least {min_psnr:g} dB: encode again with a higher -q or -e")
        _report(inputs[index], file, psnr, seconds, out)

    raise typer.Exit(batch.run(inputs, work, out))


def _source(path: str, file: "I2File") -> "Signal":
    from .. import media

    source = media.read(batch.read_input(path) if path == "-" else path)
    found = layout(source.grid, source.channels, source.bit_depth)
    expected = layout(file.header.grid, file.header.channels, file.header.bit_depth)
    if found != expected:
        raise SignalError(f"{path} is {found}; expected {expected} as in the .i2 file: give the picture it was made from")
    return source


def _decode_all(file: "I2File", source: "Signal | None") -> float | None:
    """Decode band by band; the PSNR of the code values (dB, inf where equal), or None without a source."""
    import numpy as np

    from .. import metrics
    from ..signal import to_codes

    depth = file.header.bit_depth
    squares, row = 0.0, 0
    for band in file.bands(View()):
        if source is not None:
            codes, wanted = (to_codes(part, depth).astype(np.float64) for part in (band, source.values[row : row + len(band)]))
            squares += float(np.square(codes - wanted).sum())
        row += len(band)
    if source is None:
        return None
    mean = squares / source.values.size / (2**depth - 1) ** 2
    return metrics.psnr(mean)


def _report(path: str, file: "I2File", psnr: float | None, seconds: float, out: Output) -> None:
    what = layout(file.header.grid, file.header.channels, file.header.bit_depth)
    quality = "" if psnr is None else f", {psnr:.2f} dB PSNR"
    if not out.quiet:
        out.text(f"{path}: OK, {what}{quality}, decoded in {duration(seconds)}")
    fields: dict[str, Json] = {"psnr": psnr, "lossless": psnr == math.inf, "seconds": seconds}
    out.record(path, "ok", fields)
