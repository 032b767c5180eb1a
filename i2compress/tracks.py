"""What runs beside a signal, such as the sound of a video: each track is a whole .i2 file in a chunk 'T' of that signal's (docs/format.md, 15.4).

'T'     when the track begins, in ticks of 1/TICKS seconds after the signal does (varint, zigzag: 2 n, or -2 n - 1 below 0); then its .i2 file
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from .arrays import Float32Array
from .config import EncodeSettings, View
from .container import TRACK, ChunkReader, write_chunk
from .errors import FormatError, MalformedError, SignalError
from .header import Cursor, encode_signed
from .media import tracks_of
from .media.course import Parts
from .media.parts import Forward
from .media.protocol import Content, Hooks, Medium, Source, Timed, Track
from .media.table import medium_of, medium_of_file
from .planes import Cost
from .signal import TICKS, Layout, Metadata, Values

MAX_START = TICKS * 86400  # a day, either way
MOST_SHARE = 0.3  # of the size that a file is to have
LEAST_BITRATE = 100.0  # that can be asked for
HELD = 1 << 16  # samples before the last read that are kept


class Packed(NamedTuple):
    """A track as it is in a file: when it begins, in ticks after the signal does, and its own .i2 file."""

    start: int
    data: bytes


def insert_tracks(data: bytes, tracks: Sequence[Packed]) -> bytes:
    """A file with tracks, of one without."""
    if not tracks:
        return data
    reader = ChunkReader(data)
    reader.chunk()
    reader.blobs()
    return data[: reader.position] + track_chunks(tracks) + data[reader.position :]


def track_chunks(tracks: Sequence[Packed]) -> bytes:
    """What `insert_tracks` inserts."""
    return b"".join(write_chunk(TRACK, encode_signed(start) + track) for start, track in tracks)


def read_tracks(data: bytes, *, allow_partial: bool = False) -> tuple[Packed, ...]:
    """The tracks of a file; none of most.

    Args:
        data: the file, of which what comes after the tracks is not read.
        allow_partial: take those that are damaged too.

    Raises:
        FormatError: damaged, truncated or too new, as far as it is read.
    """
    reader = ChunkReader(data, allow_partial=allow_partial)
    reader.chunk()
    reader.blobs()
    return tuple(_unpacked(payload) for payload in reader.tracks(allow_partial=allow_partial))


def _unpacked(payload: memoryview) -> Packed:
    cursor = Cursor(payload, 0, "a track", MalformedError, "the file was written wrongly")
    start = cursor.signed("start of a track", MAX_START)
    return Packed(start, bytes(payload[cursor.position :]))


@dataclass(frozen=True, kw_only=True)
class OpenedTrack:
    """A track of an opened file.

    Args:
        start: in ticks after the signal.
        medium: its kind of media.
        content: its samples.
        size: bytes of its own file.
    """

    start: int
    medium: Medium
    content: Content
    size: int

    def part(self, stretch: tuple[float, float]) -> "tuple[View, int] | None":
        """What of it is heard from one second of the signal to another, and when that begins, in ticks after that moment; None for nothing."""
        samples, rate = self.content.layout.grid[0], self.content.layout.frequency
        begin, end = (max(0.0, seconds - self.start / TICKS) for seconds in stretch)
        first, last = (math.floor(min(samples, seconds * rate + 0.5)) for seconds in (begin, end))
        if first >= last:
            return None
        view = View() if (first, last) == (0, samples) else View(time=(begin, end))
        origin = stretch[0] if math.isfinite(stretch[0]) else 0.0
        return view, round(begin * TICKS) + self.start - round(origin * TICKS)


def open_tracks(data: bytes, *, partial: bool, threads: int | None) -> tuple[tuple[OpenedTrack, ...], bool]:
    """The tracks of a file, and whether all of them are whole; `partial`: what is damaged is silent, or left out.

    Raises:
        FormatError: damaged, or of a kind that may not be there.
    """
    holds = {kind for form in medium_of_file(data).formats for kind in form.tracks}
    found, complete = [], True
    for start, packed in read_tracks(data, allow_partial=partial):
        try:
            medium = medium_of_file(packed)
            if medium.kind not in holds or read_tracks(packed, allow_partial=partial):
                raise MalformedError(f"a track holds {medium.noun}, or has tracks itself; expected sound: the file was written wrongly")
            content = medium.load(packed, partial=partial, threads=threads)
        except FormatError:
            if not partial:
                raise
            complete = False
            continue
        complete &= content.complete
        found.append(OpenedTrack(start=start, medium=medium, content=content, size=len(packed)))
    return tuple(found), complete


def shown(tracks: Sequence[OpenedTrack], content: Content, view: View) -> tuple[Track, ...]:
    """What of the tracks goes with a view of the signal. Raises UsageError where there is no such view."""
    if view.no_audio or not tracks or not isinstance(content, Timed):
        return ()
    stretch = content.stretch(view)
    parts = [(track, track.part(stretch)) for track in tracks]
    return tuple(Track(source=ContentSource(track.content, part[0]), start=part[1]) for track, part in parts if part is not None)


def cost(tracks: Sequence[Packed], content: Content, view: View) -> Cost:
    """What decoding the tracks with a view of the signal takes, about."""
    total = Cost()
    if view.no_audio or not isinstance(content, Timed):
        return total
    stretch = content.stretch(view)
    for start, data in tracks:
        with suppress(FormatError):  # said when it is decoded
            medium = medium_of_file(data)
            part = OpenedTrack(start=start, medium=medium, content=medium.load(data, partial=True, threads=1), size=len(data)).part(stretch)
            total = total if part is None else total.then(medium.cost(data, part[0]))
    return total


class ContentSource:
    """Content as a Source: a view of it, decoded from its start to its end."""

    format = ""
    notes: tuple[str, ...] = ()

    def __init__(self, content: Content, view: View) -> None:
        self.layout: Layout = content.output(view)
        self.metadata: Metadata = content.metadata
        empty = np.zeros((0, *self.layout.shape[1:]), np.float32)
        self._samples: Forward[Float32Array] = Forward(lambda: content.blocks(view), empty, HELD)

    def read(self, start: int, count: int) -> Values:
        """See Source."""
        return self._samples.read(start, count)


@dataclass(frozen=True, kw_only=True)
class EncodedTrack:
    """What an encode has made of a track.

    Args:
        start: in ticks after the signal.
        layout: of its source.
        size: bytes of its own file.
        figures: how close that is to its source; see Medium.score.
    """

    start: int
    layout: Layout
    size: int
    figures: Mapping[str, float] = field(default_factory=dict)


class Encoding(NamedTuple):
    """The encoded tracks of a source: as they go into the file, what came of each, and whole sentences for the user."""

    packed: tuple[Packed, ...] = ()
    tracks: tuple[EncodedTrack, ...] = ()
    notes: tuple[str, ...] = ()


def tracks_to_encode(source: Source, settings: EncodeSettings) -> Sequence[Track]:
    """The tracks of a source that are to be encoded with it. Raises SignalError where they cannot be read."""
    return () if settings.no_audio else tracks_of(source)


def seconds(tracks: Sequence[Track], source: Source, settings: EncodeSettings) -> list[float]:
    """What the encode of each track takes, and at the end that of the source, in seconds of one core, about."""
    works = [medium_of(track.source.layout.kind).encode_seconds(track.source, _settings(settings, 1.0)) for track in tracks]
    return [*works, medium_of(source.layout.kind).encode_seconds(source, settings)]


def encode_tracks(tracks: Sequence[Track], source: Source, settings: EncodeSettings, course: Parts, stop: "Callable[[], bool] | None") -> Encoding:
    """Every track that runs beside a source, a part of the course, each as its kind of media is encoded by itself, at the same quality and effort.

    Where the whole is to have a size, they take MOST_SHARE of it together at most.
    """
    packed, made, notes = [], [], []
    size = settings.target.most_bytes(source.layout.samples)
    most = None if size is None else MOST_SHARE * size
    works = seconds(tracks, source, settings)
    for number, track in enumerate(tracks):
        medium, layout = medium_of(track.source.layout.kind), track.source.layout
        if abs(track.start) > MAX_START:
            raise SignalError(f"{medium.noun} begins {track.start / TICKS:.0f} s after the rest; expected a day at most: use --no-audio")
        own, hooks = _settings(settings, works[number] / sum(works)), Hooks(on_step=course.of(number), stop=stop)
        coded = medium.encode(track.source, own, hooks)
        if most is not None and len(coded.data) > most / len(tracks):
            coded = medium.encode(track.source, replace(own, bitrate=max(LEAST_BITRATE, 8 * most / len(tracks) / (layout.seconds or 1))), hooks)
        content = medium.load(coded.data, partial=False, threads=settings.threads)
        packed.append(Packed(track.start, coded.data))
        made.append(EncodedTrack(start=track.start, layout=layout, size=len(coded.data), figures=medium.score(track.source, content)))
        notes += [f"of its {medium.noun}: {note}" for note in coded.notes]
    return Encoding(tuple(packed), tuple(made), tuple(notes))


def _settings(settings: EncodeSettings, share: float) -> EncodeSettings:
    """How a track is encoded: what of the settings is not about the signal it runs beside, and its share of the time."""
    limit = None if settings.time_limit is None else settings.time_limit * share
    kept = EncodeSettings(quality=settings.quality, effort=settings.effort, steps=settings.steps, time_limit=limit, device=settings.device)
    return replace(kept, threads=settings.threads, seed=settings.seed, strip=settings.strip)


def score_tracks(tracks: Sequence[OpenedTrack], source: Source) -> list[Mapping[str, float]]:
    """How close each track of a file is to its source's. Raises SignalError where that has others."""
    if not tracks:
        return []
    theirs = tracks_of(source)
    if [track.content.layout for track in tracks] != [track.source.layout for track in theirs]:
        found, expected = (_listed([track.source.layout for track in theirs]), _listed([track.content.layout for track in tracks]))
        raise SignalError(f"beside the source runs {found}; expected {expected} as in the .i2 file: give the source that it was made from")
    return [mine.medium.score(other.source, mine.content) for mine, other in zip(tracks, theirs, strict=True)]


def _listed(layouts: Sequence[Layout]) -> str:
    return " and ".join(f"{medium_of(layout.kind).noun} ({medium_of(layout.kind).describe(layout)})" for layout in layouts) or "nothing"
