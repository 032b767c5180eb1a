"""i2c verify: does the file come back, and how close to its source?"""

import math
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import View
from ..errors import TargetError, UsageError
from ..files import STDIO
from . import batch
from .decode import LEAST_MEMORY, is_packed
from .inputs import check_stdin, gather
from .options import AnyCost, Running, Selection, spread
from .output import Output, beside, duration, figures, track_records
from .run import run_jobs, share_memory
from .work import Desk, Job, Tally, Transcript

if TYPE_CHECKING:
    from ..codec import I2File

Against = Annotated[str | None, typer.Option("--against", metavar="SRC", help="The source, to measure the PSNR.")]
Raw = Annotated[str | None, typer.Option("--raw", metavar="WxH@FPS:i420", help="The source is bare samples, as for encode.")]
MinPsnr = Annotated[float | None, typer.Option("--min-psnr", metavar="DB", help="Fail (exit 6) below this PSNR; needs --against.")]


@spread
def verify(
    *,
    selection: Selection,
    against: Against = None,
    min_psnr: MinPsnr = None,
    raw: Raw = None,
    any_cost: AnyCost = False,
    running: Running,
) -> None:
    """Check .i2 files: their checksums, and that they decode to the end."""
    if min_psnr is not None and against is None:
        raise UsageError("--min-psnr needs the source to compare with; give it with --against SRC")
    found = gather(selection, is_packed)
    if against is not None and len(found) > 1:
        raise UsageError(f"--against names one source but there are {len(found)} files; verify them one by one")
    check_stdin([*(entry.path for entry in found), *([] if against is None else [against])])
    jobs = [Job(source=entry.path, target=entry.path) for entry in found if batch.is_ours(entry, running)]
    out = Output("verify", as_json=running.as_json, quiet=running.quiet, debug=running.debug)
    memory, workers = share_memory(running, len(jobs), least=LEAST_MEMORY)
    work = partial(_verify_one, against=against, raw=raw, min_psnr=min_psnr, any_cost=any_cost, max_memory=memory)
    raise typer.Exit(run_jobs(jobs, work, running, out, workers=workers))


def _verify_one(
    job: Job, desk: Desk, *, against: str | None, raw: str | None, min_psnr: float | None, any_cost: bool, max_memory: int | None
) -> Tally:
    from ..codec import I2File, check_cost, check_memory

    start, data = time.perf_counter(), job.read()
    if not any_cost:
        check_cost(data, threads=desk.threads)
    check_memory(data, max_memory)
    file = I2File.from_bytes(data, threads=desk.threads)
    found, tracks = (_decoded(file), [{} for _ in file.tracks]) if against is None else _score(file, against, raw, desk.out)
    _report(job.source, file, found, tracks, time.perf_counter() - start, min_psnr, desk.out)
    return Tally(read=len(data))


def _decoded(file: "I2File") -> dict[str, float]:
    """Decodes to the end; without a source there is no figure."""
    for content in (file, *(track.content for track in file.tracks)):
        for _ in content.blocks(View()):
            pass
    return {}


def _score(file: "I2File", against: str, raw: str | None, out: Transcript) -> tuple[Mapping[str, float], list[Mapping[str, float]]]:
    """The figures of the file, which is decoded to its end, beside its source, and of each of its tracks."""
    from .. import media
    from ..tracks import score_tracks

    with media.open_source(sys.stdin.buffer if against == STDIO else against, raw=raw) as opened:
        source = media.matching(opened.source, file.layout, against)
        figures, tracks = file.score(source), score_tracks(file.tracks, source)
        for note in source.notes:
            out.warn(f"{against}: {note}")
        return figures, tracks


def _report(
    path: str,
    file: "I2File",
    found: Mapping[str, float],
    tracks: list[Mapping[str, float]],
    seconds: float,
    min_psnr: float | None,
    out: Transcript,
) -> None:
    psnr = found.get("psnr")
    if psnr is not None and min_psnr is not None and psnr < min_psnr:
        raise TargetError(f"{path} has {psnr:.2f} dB PSNR; expected at least {min_psnr:g} dB: encode again with a higher -q or -e")
    beside_it = list(zip(file.tracks, tracks, strict=True))
    parts = [file.medium.describe(file.layout), *([figures(found)] if found else [])]
    what = ", ".join([*parts, *(beside(track.content.layout, track.size, of) for track, of in beside_it)])
    out.text(f"{path}: OK, {what}, decoded in {duration(seconds)}")
    records = track_records([(track.start, track.content.layout, track.size, of) for track, of in beside_it])
    facts = {"kind": file.medium.kind.name.lower(), "psnr": None, **found, "lossless": psnr == math.inf, "seconds": seconds}
    out.record(path, "ok", {**facts, **records})
