"""Both ends, for every kind of media: samples become the bytes of an .i2 file, and the bytes become samples at any resolution.

Decoding needs numpy only; torch is imported when something is encoded.
"""

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Float32Array
from .checkpoints import taken_up
from .config import MOST_HALVINGS, EncodeSettings, View
from .container import ORIGIN, chunk_sizes, has_stripped, insert_origin, sample_bytes, write_chunk
from .errors import ResourceError
from .media import SignalSource, Source, matching, open_writer
from .media.course import Parts
from .media.protocol import Coded, Hooks, Track
from .media.table import check_options, medium_of, medium_of_file
from .memory import installed
from .processes import cores
from .signal import Layout, Metadata, Signal
from .targets import Attempt, meet
from .tracks import (
    EncodedTrack,
    Encoding,
    Packed,
    encode_tracks,
    insert_tracks,
    open_tracks,
    read_tracks,
    seconds,
    shown,
    track_chunks,
    tracks_to_encode,
)
from .tracks import cost as tracks_cost

if TYPE_CHECKING:
    from .fit import StepInfo as StepInfo


COMPILED_SIDE = 96  # of the noise that loops are compiled for
SHOWN = 1024  # samples of the longest side of what a notebook shows
MOST_SECONDS = 1200.0  # that a decode may take, by an estimate, before it is refused
MOST_MEMORY = 1.0  # share of the memory that this process can have, likewise
DECODER_MEMORY = 80e6  # bytes of a process that decodes next to nothing
MISSED_BITRATE = 0.05  # share of a bitrate: a file that is further off is told of
MOSTLY = 0.7  # share of what is left of the bar that each fit towards a target takes: the first is mostly the last


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The result of an encode.

    Args:
        coded: the .i2 file, and the work that it took.
        layout: of the source.
        figures: how close the decoded file is to its source, by the names of metrics.FIGURES; see Medium.score.
        seconds: wall-clock time of the encode.
        sizes: bytes of the file by kind of chunk.
        tracks: what came of what runs beside it, such as the sound of a video.
    """

    coded: Coded
    layout: Layout
    figures: Mapping[str, float]
    seconds: float
    sizes: dict[str, int] = field(default_factory=dict)
    tracks: tuple[EncodedTrack, ...] = ()

    @property
    def data(self) -> bytes:
        """The .i2 file."""
        return self.coded.data

    @property
    def psnr(self) -> float:
        """In dB, measured on the decoded file; inf if lossless."""
        return self.figures["psnr"]

    @property
    def bpp(self) -> float:
        """Bits of the whole file for each sample of the grid."""
        return 8 * len(self.data) / self.layout.samples

    @property
    def bitrate(self) -> float | None:
        """Bits a second of the whole file, where its first axis is time."""
        return None if self.layout.seconds is None else 8 * len(self.data) / self.layout.seconds

    @property
    def loss(self) -> float | None:
        """D + lambda R, D the mean squared error of the decoded file, R the bits a sample of all of it; None where errors were weighed otherwise."""
        return None if self.coded.rate_weight is None else self.loss_of(self.psnr, len(self.data))

    def loss_of(self, psnr: float, count: int) -> float:
        """The loss of a file of so many bytes and that PSNR, of the same source and under the same lambda."""
        return self.layout.peak**2 * 10 ** (-psnr / 10) + (self.coded.rate_weight or 0.0) * 8 * count / self.layout.samples


def encode(
    source: Source | Signal,
    settings: EncodeSettings | None = None,
    *,
    on_step: "Callable[[StepInfo], None] | None" = None,
    stop: Callable[[], bool] | None = None,
    began: float | None = None,
    origin: bytes | None = None,
    tracks: Sequence[Packed] | None = None,
) -> Encoded:
    """Fit a field to the samples of a source and write it as an .i2 file.

    Args:
        source: what to encode, of any kind of media.
        settings: how; None for the defaults.
        on_step: called after every step.
        stop: asked before every step; True ends the fit with the best state so far.
        began: the time.monotonic() from which a time limit counts; None for now.
        origin: what the file is to say that it was made from (origin.origin_of); None for nothing.
        tracks: what runs beside the source, encoded before; None: it is encoded now, before the source is.

    Raises:
        SignalError: a source that is damaged, or that the format does not hold.
        UsageError: a setting that this kind of media does not have.
        ResourceError: the device is not there or has not enough memory, or more is needed than `settings.max_memory`.
        TargetError: a target that could not be met.
    """
    settings = EncodeSettings() if settings is None else settings
    source = SignalSource(source) if isinstance(source, Signal) else source
    began = time.monotonic() if began is None else began
    medium = medium_of(source.layout.kind)
    check_options(medium, settings)
    if settings.time_limit is not None:
        from . import fit  # it takes seconds to import, and they count

        if not fit.known():
            began += compile_loops(settings, on_step)
        settings = settings.in_time(began)
    started, settings = time.monotonic(), _within_memory(source, settings)
    running = tracks_to_encode(source, settings) if tracks is None else ()
    course = Parts(on_step, seconds(running, source, settings), [*(f"{medium_of(track.source.layout.kind).noun}, {{}}" for track in running), "{}"])
    beside = encode_tracks(running, source, settings, course, stop) if tracks is None else Encoding(packed=tuple(tracks))
    settings, searches, done = settings.in_time(started), settings.target.given, 0.0

    def attempt(settings: EncodeSettings) -> Attempt:
        nonlocal done
        work = 1.0 if settings.search is None else settings.search.work
        first, done = done, (done + MOSTLY * work * (1 - done) if searches else 1.0)
        coded = medium.encode(source, settings, Hooks(on_step=course.of(len(running), (first, done)), stop=stop))
        coded = replace(coded, data=insert_tracks(coded.data, beside.packed), notes=(*beside.notes, *coded.notes))
        coded = coded if origin is None else replace(coded, data=insert_origin(coded.data, origin))
        return Attempt(coded=coded, figures=I2File.from_bytes(coded.data, threads=settings.threads).score(source))

    constant = len(track_chunks(beside.packed)) + (0 if origin is None else len(write_chunk(ORIGIN, origin)))
    made = meet(settings, source, attempt, Hooks(stop=stop), constant) if settings.target.given else attempt(settings)
    coded, figures = made.coded, made.figures
    if settings.bitrate is not None and source.layout.seconds is not None and not (stop is not None and stop()):
        rate = 8 * len(coded.data) / source.layout.seconds
        if abs(rate / settings.bitrate - 1) > MISSED_BITRATE:
            missed = f"the file takes {rate / 1000:.4g} kbps where {settings.bitrate / 1000:.4g} were asked for; ask for another --bitrate, or use -q"
            coded = replace(coded, notes=(*coded.notes, missed))
    sizes: dict[str, int] = {}
    for chunk in chunk_sizes(coded.data):
        sizes[chunk.name] = sizes.get(chunk.name, 0) + chunk.size
    return Encoded(coded=coded, layout=source.layout, figures=figures, seconds=time.monotonic() - began, sizes=sizes, tracks=beside.tracks)


def compile_loops(settings: EncodeSettings, on_step: "Callable[[StepInfo], None] | None") -> float:
    """Have the loops of a fit compiled, for a little noise, and tell how many seconds that took: once after an install, and in no time limit."""
    began = time.monotonic()
    noise = np.random.default_rng(0).random((COMPILED_SIDE, COMPILED_SIDE, 3), dtype=np.float32)

    def tell(info: "StepInfo") -> None:
        if on_step is not None and info.phase == "compile":
            on_step(info)

    with taken_up(None):  # its fit is none of those whose states are kept
        encode(Signal(values=noise), EncodeSettings(steps=2, threads=settings.threads, device=settings.device), on_step=tell)
    return time.monotonic() - began


def _within_memory(source: Source, settings: EncodeSettings) -> EncodeSettings:
    """The settings with which an encode keeps within its memory: with the largest parts that do. Raises ResourceError where none do."""
    if settings.max_memory is None:
        return settings
    medium, need = medium_of(source.layout.kind), math.inf
    for halvings in range(MOST_HALVINGS + 1):
        asked = replace(settings, halvings=halvings)
        need = min(need, medium.encode_memory(source, asked))
        if need <= settings.max_memory:
            return asked
    raise ResourceError(
        f"encoding {medium.noun} of {medium.describe(source.layout)} takes about {need / 1e6:.0f} MB of memory in the smallest parts, and "
        f"--max-memory leaves {settings.max_memory / 1e6:.0f} MB; give more, a smaller -j, or a smaller source"
    )


def check_memory(data: bytes, max_memory: int | None, view: View | None = None, *, held: float = 0.0) -> None:
    """Refuses a file that takes more memory to decode than there may be.

    Args:
        data: the file, of which only headers are read.
        max_memory: bytes that this process may have, about; None for any.
        view: what is to be decoded of it; None for all.
        held: bytes of what is decoded that are kept until all of it is there.

    Raises:
        ResourceError: it takes more.
        FormatError, UsageError: no such file, or no such view of it.
    """
    if max_memory is None:
        return
    view, medium = View() if view is None else view, medium_of_file(data)
    check_options(medium, view)
    need = DECODER_MEMORY + len(data) + held + medium.cost(data, view).memory
    if need > max_memory:
        raise ResourceError(
            f"decoding takes about {need / 1e6:.0f} MB of memory, and --max-memory leaves {max_memory / 1e6:.0f} MB; "
            "give more, a smaller -j, or decode a part or less of its size"
        )


def check_cost(data: bytes, view: View | None = None, *, threads: int | None = None) -> None:
    """Refuses a file that would take much more time or memory than one that is worth it; see MOST_SECONDS and MOST_MEMORY.

    Args:
        data: the file, of which only headers are read.
        view: what is to be decoded of it; None for all.
        threads: CPU threads that would decode it; None for all.

    Raises:
        ResourceError: it would take too much.
        FormatError, UsageError: no such file, or no such view of it.
    """
    view, medium = View() if view is None else view, medium_of_file(data)
    check_options(medium, view)
    cost, memory = medium.cost(data, view), installed()
    if tracks := read_tracks(data, allow_partial=True):
        cost = cost.then(tracks_cost(tracks, medium.load(data, partial=True, threads=threads), view))
    seconds = cost.seconds / min(threads or cores(), cores())
    if seconds > MOST_SECONDS:
        raise ResourceError(
            f"decoding would take about {seconds / 60:.0f} minutes, and over {MOST_SECONDS / 60:.0f} are refused; decode a part, "
            "or less of its size, or add --any-cost if you trust the file"
        )
    if memory is not None and cost.memory > MOST_MEMORY * memory:
        raise ResourceError(
            f"decoding would take about {cost.memory / 1e9:.1f} GB of memory, and over {MOST_MEMORY * memory / 1e9:.1f} GB are refused here; "
            "decode it on a larger machine, or add --any-cost if you trust the file"
        )


@dataclass(frozen=True, kw_only=True)
class Refined:
    """What more effort on a file came to.

    Args:
        encoded: the new fit.
        before: figures of the file that there was, by the names of metrics.FIGURES.
        better: whether the new file is the better one of the two.
    """

    encoded: Encoded
    before: Mapping[str, float]
    better: bool


def refine(
    source: Source | Signal,
    data: bytes,
    settings: EncodeSettings | None = None,
    *,
    on_step: "Callable[[StepInfo], None] | None" = None,
    stop: Callable[[], bool] | None = None,
    began: float | None = None,
) -> Refined:
    """Fit a file's source anew, in the field and with the lambda that the file says, and tell which of the two is better. Tracks stay as they are.

    That is the one of the smaller D + lambda R, D as the new fit weighs errors, both as measured on the decoded file; of a kind that cannot
    measure that, the new one if it is no larger and no figure of it is worse. Metadata do not count in R, and a file without any gets none.

    Args:
        source: what the file was made from.
        data: the file.
        settings: effort, steps, time limit, tune, device, threads, seed and strip; the rest is the file's own. None for the defaults.
        on_step, stop, began: see encode.

    Raises:
        SignalError: a source of another layout than the file's.
        FormatError: a file that is damaged.
        UsageError, ResourceError: see encode.
    """
    file = I2File.from_bytes(data, threads=None if settings is None else settings.threads)
    source = matching(SignalSource(source) if isinstance(source, Signal) else source, file.layout)
    before = file.score(source)
    said = {name: value for name, value in file.medium.outline(data).settings.items() if (name, value) != ("start", "none")}  # there may be one now
    settings = EncodeSettings() if settings is None else settings
    if settings.tune is not None:
        said.pop("tune", None)
    asked = replace(settings, **said, strip=settings.strip or not has_stripped(data))  # type: ignore[arg-type]  # fields of it, by name
    encoded = encode(source, asked, on_step=on_step, stop=stop, began=began, tracks=read_tracks(data))
    if encoded.coded.distortion_of is not None:
        rate = asked.rate_weight * 8 / source.layout.samples
        files = ((I2File.from_bytes(encoded.data, threads=asked.threads), encoded.data), (file, data))
        new, old = (encoded.coded.distortion_of(opened) + rate * sample_bytes(held) for opened, held in files)
        better = new < old or (new == old and settings.strip and has_stripped(data))
    elif encoded.loss is None:
        smaller = sample_bytes(encoded.data) <= sample_bytes(data)
        better = smaller and all(encoded.figures[name] >= value for name, value in before.items())
    else:
        better = encoded.loss_of(encoded.psnr, sample_bytes(encoded.data)) < encoded.loss_of(before["psnr"], sample_bytes(data))
    return Refined(encoded=encoded, before=before, better=better and encoded.data != data)


class I2File:
    """An opened .i2 file: read once, rendered as often and at whatever resolution is asked.

    `medium` is its kind of media, `content` what that has made of the file; see media.protocol. `tracks` run beside it.
    """

    def __init__(self, data: bytes, *, threads: int | None = None, allow_partial: bool = False) -> None:
        self.medium = medium_of_file(data)
        self.content = self.medium.load(data, partial=allow_partial, threads=threads)
        self.tracks, self._whole = open_tracks(data, partial=allow_partial, threads=threads)

    @staticmethod
    def from_bytes(data: bytes, *, threads: int | None = None, allow_partial: bool = False) -> "I2File":
        """Read a file's bytes.

        Args:
            data: the file.
            threads: CPU threads; None for all.
            allow_partial: take a file that is cut short where enough of it is whole.

        Raises:
            FormatError: damaged, truncated or too new.
        """
        return I2File(data, threads=threads, allow_partial=allow_partial)

    @property
    def layout(self) -> Layout:
        """What its samples are at their own resolution and in the depth of the source."""
        return self.content.layout

    @property
    def metadata(self) -> Metadata:
        """What travels with them."""
        return self.content.metadata

    @property
    def complete(self) -> bool:
        """False where the file was cut short, and what is missing was filled in."""
        return self.content.complete and self._whole

    def output(self, view: View | None = None) -> Layout:
        """What a view gives. Raises UsageError where this kind of media has no such view."""
        view = View() if view is None else view
        check_options(self.medium, view)
        return self.content.output(view)

    def blocks(self, view: View | None = None) -> Iterator[Float32Array]:
        """The samples `[n, *rest, C]` of a view along its first axis, in memory that does not grow with its length. Raises UsageError."""
        self.output(view)
        return self.content.blocks(View() if view is None else view)

    def tracks_of(self, view: View | None = None) -> tuple[Track, ...]:
        """What runs beside a view of it: of each track the part that goes with it. Raises UsageError."""
        return shown(self.tracks, self.content, View() if view is None else view)

    def render(self, view: View | None = None) -> Signal:
        """The whole view as a signal, its metadata with it. Raises UsageError."""
        return Signal.of(self.output(view), np.concatenate(list(self.blocks(view))), self.metadata)

    def __repr__(self) -> str:
        return f"<I2File: {self.medium.describe(self.layout)}>"

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows of it: a PNG of at most SHOWN samples a side, where its kind of media can be one."""
        if not any(form.name == "png" for form in self.medium.formats):
            return None
        view, file = View(max_size=SHOWN), io.BytesIO()
        with open_writer(file, self.output(view), format="png", metadata=self.metadata) as writer:
            for block in self.blocks(view):
                writer.write(block)
        return file.getvalue()

    def score(self, source: Source | Signal) -> Mapping[str, float]:
        """How close it is to a source of the same layout; see Medium.score."""
        return self.medium.score(SignalSource(source) if isinstance(source, Signal) else source, self.content)
