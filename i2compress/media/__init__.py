"""Files in, signals out, and back: one table of modalities; a new one is one module and one line in it.

The modules of the table import their libraries only when something is read or written.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import SignalError, UsageError
from ..files import atomic_writer
from ..signal import Kind, Metadata, Signal
from .image import files as image
from .protocol import Codes, Format, Layout, Modality, RowWriter
from .sound import files as audio

__all__ = [
    "MODALITIES",
    "Codes",
    "Format",
    "Layout",
    "Modality",
    "RowWriter",
    "find_format",
    "formats",
    "kind_of",
    "open_binary",
    "open_writer",
    "read",
]

MODALITIES: dict[Kind, Modality] = {
    Kind.IMAGE: image,
    Kind.AUDIO: audio,
}

Source = str | os.PathLike[str] | bytes | BinaryIO
Target = str | os.PathLike[str] | BinaryIO


def formats() -> tuple[Format, ...]:
    """Every file format that can be read or written."""
    return tuple(form for modality in MODALITIES.values() for form in modality.FORMATS)


def find_format(name: str) -> Format | None:
    """The format called `name`, or with that extension (with or without its dot), in any case; None where there is none."""
    wanted = name.lower().removeprefix(".")
    return next((form for form in formats() if wanted == form.name or f".{wanted}" in form.extensions), None)


def read(source: Source, *, kind: Kind | None = None) -> Signal:
    """The signal in a file.

    Args:
        source: a path, the bytes of a file, or a binary stream read to its end (standard input).
        kind: what it is; None: by its extension, and a picture where that says nothing.

    Raises:
        SignalError: missing, not readable, damaged, or something that is not supported.
        ResourceError: not enough memory.
    """
    data, name = _load(source)
    kind = kind_of(name, data) if kind is None else kind
    if kind not in MODALITIES:
        raise SignalError(f"{name}: {kind.name.lower()} files are not supported; expected {', '.join(k.name.lower() for k in MODALITIES)}")
    return MODALITIES[kind].read(data, name)


def kind_of(name: str, data: bytes = b"") -> Kind:
    """What a file is: by its extension, else by its first bytes, else a picture."""
    form = find_format(Path(name).suffix)
    return form.kind if form is not None else Kind.AUDIO if audio.sniff(data) else Kind.IMAGE


def open_binary(path: str | os.PathLike[str]) -> BinaryIO:
    """The file at `path`, to be read. Raises SignalError."""
    name = os.fspath(path)
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise SignalError(f"{name}: no such file; check the name") from error
    except (OSError, ValueError) as error:
        what = "is a directory; give the files in it" if os.path.isdir(path) else f"cannot be read ({error}); check the name and permissions"
        raise SignalError(f"{name} {what}") from error


def _load(source: Source) -> tuple[bytes, str]:
    """All bytes of the source and what to call it."""
    if isinstance(source, bytes):
        return source, "the input"
    if not isinstance(source, (str, os.PathLike)):
        return source.read(), "standard input"
    name = os.fspath(source)
    try:
        with open(source, "rb") as file:
            return file.read(), name
    except FileNotFoundError as error:
        raise SignalError(f"{name}: no such file; check the name") from error
    except IsADirectoryError as error:
        raise SignalError(f"{name} is a directory; give the files in it") from error
    except PermissionError as error:
        what = "is a directory; give the files in it" if os.path.isdir(source) else "may not be read; change its permissions"
        raise SignalError(f"{name} {what}") from error
    except (OSError, ValueError) as error:
        raise SignalError(f"{name}: cannot be read ({error}); check the name and the disk") from error


@contextmanager
def open_writer(
    target: Target,
    *,
    format: str | None = None,
    shape: tuple[int, int, int],
    bit_depth: int = 8,
    metadata: Metadata | None = None,
    force: bool = False,
) -> Iterator[RowWriter]:
    """A context manager whose `write(rows)` takes the rows of one file from top to bottom.

    A path is written whole or not at all (see files.atomic_writer); a stream receives bytes as they are made.

    Args:
        target: path, or a binary stream that need not be seekable.
        format: name or extension of a format; None: by the extension of the path.
        shape: `(H, W, C)`.
        bit_depth: of the code values, 8 (uint8) or 16 (uint16).
        metadata: written back where the format can carry it.
        force: replace a file that is there already.

    Raises:
        UsageError: an unknown format, one that cannot hold the picture, or rows that do not add up to the shape.
        OutputExistsError: the file is there, and not `force`.
        SignalError: the metadata or the picture is too large for the format.
    """
    form = _chosen(target, format)
    layout = Layout(shape=shape, bit_depth=bit_depth, metadata=metadata or Metadata())
    modality = MODALITIES[form.kind]
    if isinstance(target, (str, os.PathLike)):
        with atomic_writer(target, force=force) as file, modality.open_writer(file, form, layout) as writer:
            yield writer
    else:
        with modality.open_writer(target, form, layout) as writer:
            yield writer


def _chosen(target: Target, name: str | None) -> Format:
    known = ", ".join(form.name for form in formats() if form.write)
    if name is None and not isinstance(target, (str, os.PathLike)):
        raise UsageError(f"standard output has no extension; give --format, one of {known}")
    wanted = name if name is not None else Path(os.fspath(target)).suffix  # type: ignore[arg-type]  # a stream was refused above
    form = find_format(wanted)
    if form is None:
        shown = f"format '{name}'" if name is not None else f"extension '{wanted}'" if wanted else "a file name without an extension"
        raise UsageError(f"{shown} says no known output format; expected one of {known}")
    if not form.write:
        raise UsageError(f"{form.name} can be read but not written; choose one of {known}")
    return form
