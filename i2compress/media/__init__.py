"""Files in, samples out, and back. media.table lists the kinds of media; media.protocol says what each of them is.

The kinds import their libraries only when something is read or written.
"""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import SignalError, UsageError
from ..files import atomic_writer
from ..signal import Codes, Layout, Metadata, Signal, Values
from .foreign import HEAD as HEAD
from .foreign import beginning, recognise
from .numbered import NumberedSink, is_numbered
from .protocol import Accompanied, Accompanying, Format, Resampling, Sink, Source, Track
from .raw import described
from .table import MEDIA, find_format, formats, medium_of, medium_of_source

__all__ = [
    "MEDIA",
    "Codes",
    "Format",
    "InputFile",
    "SignalSource",
    "Sink",
    "Source",
    "Track",
    "accompany",
    "find_format",
    "formats",
    "matching",
    "on_layout",
    "open_source",
    "open_writer",
    "read",
    "tracks_of",
]

Input = str | os.PathLike[str] | bytes | BinaryIO
Target = str | os.PathLike[str] | BinaryIO


class SignalSource:
    """A Signal as a Source."""

    format = ""
    notes: tuple[str, ...] = ()

    def __init__(self, signal: Signal) -> None:
        self.layout, self.metadata = signal.layout, signal.metadata
        self._values = signal.values

    def read(self, start: int, count: int) -> Values:
        """See Source."""
        return self._values[start : start + count]


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file that was opened: its samples, to be read in parts, what to call it in messages, and its bytes."""

    source: Source
    name: str
    size: int


@contextmanager
def open_source(source: Input, *, raw: str | None = None) -> Iterator[InputFile]:
    """A file whose samples are to be read in parts.

    Args:
        source: a path, the bytes of a file, or a binary stream (standard input). What cannot be read twice, such as a pipe, is read into memory.
        raw: of a file of bare samples, which says nothing itself: what they are, such as "176x144@30:i420"; see media.raw.

    Raises:
        SignalError: missing, not readable, damaged, or something that is not supported.
        ResourceError: not enough memory.
    """
    with _binary(source) as (file, name):
        size = file.seek(0, os.SEEK_END)
        file = file if raw is None else described(file, raw, name)
        head = beginning(file)
        medium = medium_of_source(head, name, file)
        file.seek(0)
        if medium is None:
            raise SignalError(f"{name}: {_unknown(head)}")
        yield InputFile(source=medium.open(file, name), name=name, size=size)


def on_layout(source: Source, layout: Layout) -> Source:
    """The source on the grid of a layout, where it can be sampled on any grid; itself otherwise."""
    return source.resampled(layout) if isinstance(source, Resampling) else source


def matching(source: Source, layout: Layout, name: str = "the source") -> Source:
    """The source on the grid of a file's layout. Raises SignalError, which calls it `name`, where its own is another one."""
    source = on_layout(source, layout)
    if source.layout == layout:
        return source
    described = [MEDIA[of.kind].describe(of) for of in (source.layout, layout)]
    if described[0] == described[1]:
        described = [f"{text} ({of.grid[0]} samples)" for text, of in zip(described, (source.layout, layout), strict=True)]
    raise SignalError(f"{name} is {described[0]}; expected {described[1]} as in the .i2 file: give the source that it was made from")


def tracks_of(source: Source) -> Sequence[Track]:
    """What runs beside a source, such as the sound of a video. Raises SignalError where it cannot be read."""
    return source.tracks if isinstance(source, Accompanied) else ()


def accompany(sink: Sink, tracks: Sequence[Track]) -> tuple[str, ...]:
    """Has a sink, to which nothing has been written, write tracks as well; whole sentences on what it cannot hold.

    Raises:
        UsageError: a track that its format could hold, but not as it is.
    """
    if not tracks:
        return ()
    if isinstance(sink, Accompanying):
        sink.accompany(tracks)
        return ()
    kinds = {track.source.layout.kind for track in tracks}
    nouns = " and ".join(MEDIA[kind].noun for kind in sorted(kinds))
    able = " or ".join(form.name for form in formats() if kinds <= set(form.tracks))
    return (f"its {nouns} is left out, as this format has no place for it: choose {able}, or give --no-audio",)


def read(source: Input) -> Signal:
    """The whole signal in a file; arguments and errors are those of open_source."""
    with open_source(source) as opened:
        samples = opened.source
        values = np.ascontiguousarray(samples.read(0, samples.layout.grid[0]), np.float32)
        return Signal.of(samples.layout, values, samples.metadata)


@contextmanager
def _binary(source: Input) -> Iterator[tuple[BinaryIO, str]]:
    """The source as a seekable file, and what to call it."""
    if isinstance(source, bytes):
        yield io.BytesIO(source), "the input"
        return
    if not isinstance(source, (str, os.PathLike)):
        yield io.BytesIO(source.read()), "standard input"
        return
    with open_binary(source) as file:
        yield file, os.fspath(source)


def open_binary(path: str | os.PathLike[str]) -> BinaryIO:
    """The file at `path`, to be read from anywhere in it; what cannot be sought in, such as a pipe, is read into memory. Raises SignalError."""
    name = os.fspath(path)
    try:
        file = open(path, "rb")  # noqa: SIM115  # the caller closes it
        if file.seekable():
            return file
        with file:
            return io.BytesIO(file.read())
    except FileNotFoundError as error:
        raise SignalError(f"{name}: no such file; check the name") from error
    except (OSError, ValueError) as error:
        if os.path.isdir(path):
            what = "is a directory; give the files in it"
        elif isinstance(error, PermissionError):
            what = "may not be read; change its permissions"
        else:
            what = f"cannot be read ({error}); check the name and the disk"
        raise SignalError(f"{name} {what}") from error


def _unknown(head: bytes) -> str:
    found, known = recognise(head), ", ".join(form.name for form in formats())
    if found is not None:
        return f"the file is {found.what}; expected one of {known}: {found.advice}"
    return f"the file is {'nothing that is known' if head else 'empty'}; expected one of {known}: check where it came from"


@contextmanager
def open_writer(
    target: Target, layout: Layout, *, format: str | None = None, metadata: Metadata | None = None, force: bool = False, folders: bool = False
) -> Iterator[Sink]:
    """A context manager whose `write(values)` takes the samples of one file from start to end along the first axis.

    A path is written whole or not at all (see files.atomic_writer); a stream receives bytes as they are made.

    Args:
        target: path, or a binary stream that need not be seekable. A path with a number's place in it (frame-%04d.png) for the frames of
            a video becomes a picture for each.
        layout: what is to be written.
        format: name or extension of a format; None: by the extension of the path.
        metadata: written where the format can carry it.
        force: replace a file that is there already.
        folders: make the folders that it lies in where they are missing.

    Raises:
        UsageError: an unknown format, one that cannot hold the signal, or samples that do not add up to the layout.
        OutputExistsError: the file is there, and not `force`.
        SignalError: the metadata or the signal is too large for the format.
    """
    if isinstance(target, (str, os.PathLike)) and is_numbered(target, layout):
        yield NumberedSink(target, layout, partial(open_writer, format=format, force=force, folders=folders))
        return
    form, metadata = _chosen(target, format, layout), metadata or Metadata()
    create = medium_of(layout.kind).create
    if isinstance(target, (str, os.PathLike)):
        with atomic_writer(target, force=force, folders=folders) as file, create(file, form, layout, metadata) as sink:
            yield sink
    else:
        with create(target, form, layout, metadata) as sink:
            yield sink


def _chosen(target: Target, name: str | None, layout: Layout) -> Format:
    own = medium_of(layout.kind).formats
    known = ", ".join(form.name for form in own if form.write)
    if name is None and not isinstance(target, (str, os.PathLike)):
        raise UsageError(f"standard output has no extension; give --format, one of {known}")
    wanted = name if name is not None else Path(os.fspath(target)).suffix  # type: ignore[arg-type]  # a stream was refused above
    form = find_format(wanted, own) or find_format(wanted)
    if form is None:
        shown = f"format '{name}'" if name is not None else f"extension '{wanted}'" if wanted else "a file name without an extension"
        raise UsageError(f"{shown} says no known output format; expected one of {known}")
    if form.kind is not layout.kind:
        raise UsageError(f"{form.name} holds {MEDIA[form.kind].noun}, and this is {MEDIA[layout.kind].noun}; choose one of {known}")
    if not form.write:
        raise UsageError(f"{form.name} can be read but not written; choose one of {known}")
    return form
