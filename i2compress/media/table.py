"""The table of the kinds of media, and what can be known from it: which kind a file is, which formats and options there are."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import BinaryIO

from ..config import TUNES, EncodeSettings, View
from ..container import ChunkReader
from ..errors import SignalError, UnsupportedVersionError, UsageError
from ..header import decode_header
from ..kinds import Kind
from . import image, shape, sound, video
from .protocol import Format, Medium

MEDIA: dict[Kind, Medium] = {medium.kind: medium for medium in (image, sound, video, shape)}


def medium_of(kind: Kind) -> Medium:
    """The kind of media with that number. Raises SignalError where this version has no code for it."""
    if kind not in MEDIA:
        raise SignalError(f"{kind.name.lower()} is not supported yet; expected {_listed([m.noun for m in MEDIA.values()])}")
    return MEDIA[kind]


def medium_of_file(data: bytes) -> Medium:
    """The kind of media in an .i2 file, or in its first bytes, as long as they hold its first chunk. Raises FormatError."""
    reader = ChunkReader(data)
    letter, payload = reader.chunk()
    starting = [medium for medium in MEDIA.values() if medium.start == letter]
    if len(starting) == 1 and letter != "H":
        return starting[0]
    kind = Kind(decode_header(reader.accept((letter, payload), "H")).kind)
    if kind not in MEDIA:
        raise UnsupportedVersionError(f"file holds {kind.name.lower()}, which this version cannot decode: update i2compress")
    return MEDIA[kind]


def medium_of_source(head: bytes, name: str, file: BinaryIO | None = None) -> Medium | None:
    """The kind of media in a file that begins like that; only where none does, the one of the name's extension; None where that says nothing.

    The first bytes of a container do not say what is in it: where there is a file, those kinds that may be meant look into it, the
    last of the table first.
    """
    fitting = [medium for medium in reversed(MEDIA.values()) if medium.sniff(head)]
    if file is not None and len(fitting) > 1:
        fitting = [medium for medium in fitting[:-1] if medium.holds(file)] or fitting[-1:]
    form = find_format(Path(name).suffix)
    return fitting[0] if fitting else MEDIA[form.kind] if form is not None else None


def formats() -> tuple[Format, ...]:
    """Every file format that can be read or written."""
    return tuple(form for medium in MEDIA.values() for form in medium.formats)


def find_format(name: str, among: Sequence[Format] | None = None) -> Format | None:
    """The format called `name`, or with that extension (with or without its dot), in any case; None where there is none.

    `among`: formats to look in; None for all, where that of the first kind comes first (a GIF is a picture or a video).
    """
    wanted = name.lower().removeprefix(".")
    return next((form for form in (formats() if among is None else among) if wanted == form.name or f".{wanted}" in form.extensions), None)


def check_options(medium: Medium, asked: EncodeSettings | View) -> None:
    """Raises UsageError where something is asked for that this kind of media does not have."""
    if isinstance(asked, EncodeSettings) and asked.tune not in (None, *TUNES.get(medium.kind, ())):
        nouns = [other.noun for other in MEDIA.values() if asked.tune in TUNES.get(other.kind, ())]
        own = _listed(list(TUNES.get(medium.kind, ()))) or "no --tune"
        raise UsageError(f"--tune {asked.tune} is for {_listed(nouns)}, and this is {medium.noun}, which takes {own}")
    for option in fields(asked):
        takers = [other for other in MEDIA.values() if option.name in other.options]
        default = option.default_factory() if option.default_factory is not MISSING else option.default
        if takers and medium not in takers and getattr(asked, option.name) != default:
            raise UsageError(
                f"{option_name(option.name)} is for {_listed([taker.noun for taker in takers])}, and this is {medium.noun}, "
                f"which takes {_listed(sorted(map(option_name, _own(medium, asked)))) or 'no such options'}"
            )


def option_name(field: str) -> str:
    """The option of the command line that sets a field."""
    return "--" + field.replace("_", "-")


def _own(medium: Medium, asked: EncodeSettings | View) -> list[str]:
    return [option.name for option in fields(asked) if option.name in medium.options]


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
