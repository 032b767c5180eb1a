"""The table of the kinds of media, and what can be known from it: which kind a file is, which formats and options there are."""

from dataclasses import MISSING, fields
from pathlib import Path

from ..config import EncodeSettings, View
from ..container import ChunkReader
from ..errors import SignalError, UnsupportedVersionError, UsageError
from ..header import decode_header
from ..kinds import Kind
from . import image, shape, sound
from .protocol import Format, Medium

MEDIA: dict[Kind, Medium] = {medium.kind: medium for medium in (image, sound, shape)}


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


def medium_of_source(head: bytes, name: str) -> Medium | None:
    """The kind of media whose files begin like that; only where none does, the one of the name's extension; None where that says nothing."""
    known = next((medium for medium in MEDIA.values() if medium.sniff(head)), None)
    form = find_format(Path(name).suffix)
    return MEDIA[form.kind] if known is None and form is not None else known


def formats() -> tuple[Format, ...]:
    """Every file format that can be read or written."""
    return tuple(form for medium in MEDIA.values() for form in medium.formats)


def find_format(name: str) -> Format | None:
    """The format called `name`, or with that extension (with or without its dot), in any case; None where there is none."""
    wanted = name.lower().removeprefix(".")
    return next((form for form in formats() if wanted == form.name or f".{wanted}" in form.extensions), None)


def check_options(medium: Medium, asked: EncodeSettings | View) -> None:
    """Raises UsageError where something is asked for that this kind of media does not have."""
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
