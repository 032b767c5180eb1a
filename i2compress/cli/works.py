"""What the files of an encode take, by which the bar of a run is shared out among them."""

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import I2Error
from ..files import STDIO
from .work import Job

if TYPE_CHECKING:
    from ..config import EncodeSettings

LOOK = 1.0  # seconds for looking into files, about: the others are taken for such as those of their extension are
LARGEST = 20_000_000  # bytes of a file that is looked into: to open a video decodes it


def size(job: Job) -> int:
    """Bytes of a job's source; 0 where that is not known."""
    return os.path.getsize(job.source) if job.source != STDIO and os.path.isfile(job.source) else 0


def works(
    jobs: Sequence[Job], settings: "EncodeSettings", *, look: float = LOOK, raw: str | None = None, clock: Callable[[], float] = time.monotonic
) -> list[float]:
    """What each job takes, in seconds of one core by the estimate of its kind of media; in bytes where none could be looked into.

    Args:
        jobs: of the run.
        settings: of each encode.
        look: seconds for looking into files.
        raw: see media.open_source.
        clock: seconds.
    """
    from .. import media
    from ..media import estimates

    sizes, found, end = [size(job) for job in jobs], dict[int, float](), clock() + look
    order = [number for number, job in enumerate(jobs) if 0 < sizes[number] <= LARGEST and job.data is None and not job.skipped and not job.refused]
    random.Random(0).shuffle(order)  # so that files of all folders are looked into
    for number in order:
        if clock() >= end:
            break
        with suppress(I2Error), media.open_source(jobs[number].source, raw=raw) as file:  # what is wrong with it is said when it is its turn
            medium = media.MEDIA[file.source.layout.kind]
            seconds = medium.encode_seconds(file.source, settings) * estimates.fits(settings, aims=medium.aims, continues=bool(medium.continues))
            found[number] = seconds if settings.time_limit is None else min(seconds, settings.time_limit)
    if not found:
        return [float(count) for count in sizes]
    paces: dict[str, tuple[float, int]] = {}  # seconds and bytes by extension
    for number, seconds in found.items():
        for name in (_extension(jobs[number]), ""):
            before = paces.get(name, (0.0, 0))
            paces[name] = (before[0] + seconds, before[1] + sizes[number])
    lasting = [paces.get(_extension(job), paces[""]) for job in jobs]
    return [found.get(number, count * pace[0] / pace[1]) for number, (count, pace) in enumerate(zip(sizes, lasting, strict=True))]


def _extension(job: Job) -> str:
    return os.path.splitext(job.source)[1].lower() or "."
