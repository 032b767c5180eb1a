"""i2c compare: every codec at one size or one quality."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ExitCode, UsageError
from .bench_options import DEFAULT_CODECS, Codecs, Fitting, Jobs, choose_codecs, counted, open_store, parse_list, scorers
from .options import parse_bytes, parse_crop, spread
from .output import Output
from .work import Failure

if TYPE_CHECKING:
    from ..bench.benchmark import Source
    from ..bench.compare import Comparison, Row
    from ..bench.search import Target


Input = Annotated[str, typer.Argument(metavar="SRC", help="Picture to code.", show_default=False)]
TargetPsnr = Annotated[float | None, typer.Option("--target-psnr", metavar="DB", help="At least so much; the smallest file of each codec.")]
TargetSize = Annotated[str | None, typer.Option("--target-size", metavar="SIZE", help="At most so large: 20k, 20000, 1.5M; the best of each codec.")]
Fits = Annotated[int, typer.Option("--fits", metavar="N", help="Fits that i2c may try.")]
CropPart = Annotated[str | None, typer.Option("--crop", metavar="X,Y,W,H", help="Part in the strip; the busiest by default.")]
Folder = Annotated[str | None, typer.Option("--out", metavar="DIR", help="Folder of the results; SRC's name and -compare by default.")]


@spread
def compare(
    *,
    source: Input,
    target_psnr: TargetPsnr = None,
    target_size: TargetSize = None,
    codecs: Codecs = DEFAULT_CODECS,
    fits: Fits = 4,
    crop: CropPart = None,
    jobs: Jobs = None,
    out_dir: Folder = None,
    fitting: Fitting,
) -> None:
    """All codecs at equal size or equal quality: one table, and one picture strip."""
    target, part = _target(target_psnr, target_size), None if crop is None else parse_crop(crop)
    if fits < 1:
        raise UsageError(f"fits is {fits}; expected at least 1")
    out = fitting.output("compare")
    options, processes = fitting.options(), scorers(jobs)
    from ..bench import compare as bench_compare

    file = _source(source)
    store, _ = open_store("image", out_dir or f"{Path(source).stem}-compare", out)
    chosen, missing = choose_codecs(parse_list(codecs), store, out)
    with out.progress(Path(source).name) as on_step:
        report = counted(on_step)

        def show(row: "Row", done: int) -> None:
            psnr, bpp = (0.0, 0.0) if row.point is None else (row.point.metrics["psnr-rgb"] or 0.0, row.point.bpp)
            report(row.codec, done, len(chosen), psnr=psnr, bpp=bpp)

        found = bench_compare.compare(file, chosen, target, store, options, fits=fits, jobs=processes, skipped=missing, on_row=show)
    bench_compare.write_all(found, store, store.folder, part)
    out.text(bench_compare.rows_table(found, store).rstrip())
    raise typer.Exit(_report(found, out, store.folder))


def _source(path: str) -> "Source":
    from ..bench.run import BENCHMARKS, sources

    if Path(path).is_dir():
        raise UsageError(f"{path} is a directory; compare takes one picture: give a file, or use i2c bench image")
    return sources([path], BENCHMARKS["image"])[0]


def _target(psnr: float | None, size: str | None) -> "Target":
    from ..bench.search import Target

    if (psnr is None) == (size is None):
        raise UsageError("compare needs one target; give --target-psnr DB or --target-size SIZE")
    if psnr is not None:
        if not 0 < psnr < 100:
            raise UsageError(f"target PSNR is {psnr:g} dB; expected more than 0 and less than 100")
        return Target(psnr=psnr)
    return Target(bytes=parse_bytes(size or ""))


def _report(found: "Comparison", out: Output, folder: Path) -> ExitCode:
    """Says what happened; TARGET where no codec met the target."""
    for row in found.rows:
        if row.error is not None:
            out.failure(f"{found.source.path}, {row.codec}", Failure.of(row.error))
        elif row.point is not None:
            point = row.point
            scores = dict(point.metrics)
            out.record(row.codec, "ok", {"quality": point.work.quality, "bytes": point.bytes, "bpp": point.bpp, "met": row.met, **scores})
    out.line(f"{folder / 'strip.png'}: {len(found.points)} codecs, {found.target}, with compare.md beside it")
    if not any(row.met for row in found.rows):
        out.warn(f"no codec met the target of {found.target}; the table shows the closest")
        return ExitCode.TARGET
    return ExitCode.FAILED if any(row.error is not None for row in found.rows) else ExitCode.OK
