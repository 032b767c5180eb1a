"""Which files a run is about: those that are named, those in folders, and those in a list."""

import fnmatch
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..files import STDIO
from .options import Selection

Takes = Callable[[str], bool]
"""Whether a file found in a folder is one for this verb, by its name."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input.

    Args:
        path: to read, or "-".
        place: where its output goes below an output folder, the input's own name included.
    """

    path: str
    place: str


def gather(selection: Selection, takes: Takes) -> list[Input]:
    """Every input of a run, each file once, in the order in which they were given; those of a folder sorted.

    Raises:
        UsageError: nothing is asked for, a list that cannot be read, a folder without --recursive, standard input wanted twice.
    """
    named = selection.inputs or []
    if not named and selection.files_from is None:
        raise UsageError("Missing argument 'INPUT': give files, or a list of them with --files-from")
    if (selection.include or selection.exclude) and not selection.recursive:
        raise UsageError("--include and --exclude choose among the files of folders; add --recursive")
    if selection.null and selection.files_from is None:
        raise UsageError("-0 says how a list is read; give one with --files-from")
    check_stdin([*named, *([selection.files_from] if selection.files_from is not None else [])])
    several = len(named) > 1 or selection.files_from is not None
    found = [entry for path in named for entry in _expand(path, _name(path) if several else "", selection, takes)]
    if selection.files_from is not None:
        for path in _listed(selection.files_from, null=selection.null):
            found += _expand(path, _below(path), selection, takes)
    return _once(found)


def check_stdin(inputs: Sequence[str]) -> None:
    """Raises UsageError where standard input is asked for twice."""
    if inputs.count(STDIO) > 1:
        raise UsageError("standard input is given more than once; expected at most one '-'")


def in_shard(entry: Input, shard: tuple[int, int]) -> bool:
    """Whether an input is in part i of n, 1 <= i <= n: by a hash of its path, so that each run finds the same parts, whatever else there is."""
    index, count = shard
    return zlib.crc32(os.fsencode(entry.path)) % count == index - 1


def _name(path: str) -> str:
    """What a folder that is one of several inputs is called below an output folder; nothing for "." and ".."."""
    name = os.path.basename(os.path.normpath(path))
    return "" if name in (os.curdir, os.pardir) else name


def _expand(path: str, place: str, selection: Selection, takes: Takes) -> Iterator[Input]:
    """The path itself, or the files in it where it is a folder; `place` is where that goes, if not by its name alone."""
    if path == STDIO or not os.path.isdir(path):
        yield Input(path=path, place=place or os.path.basename(path))
        return
    if not selection.recursive:
        raise UsageError(f"{path} is a directory; give the files in it, or add --recursive")
    for relative in _walk(path):
        name = os.path.basename(relative)
        wanted = any(_matches(relative, pattern) for pattern in selection.include) if selection.include else takes(name)
        if wanted and not any(_matches(relative, pattern) for pattern in selection.exclude or ()):
            yield Input(path=os.path.join(path, relative), place=os.path.join(place, relative))


def _walk(folder: str) -> Iterator[str]:
    """Files below a folder, sorted; hidden ones are passed over, and links to folders, which may lead in a circle."""

    def fail(error: OSError) -> None:
        raise UsageError(f"the folder {error.filename} cannot be read ({error.strerror}); change its permissions or leave it out with --exclude")

    for root, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(root, folder)
        for name in sorted(names):
            if not name.startswith("."):
                yield name if inside == os.curdir else os.path.join(inside, name)


def _matches(relative: str, pattern: str) -> bool:
    """A pattern with a slash is for the path below the folder, any other for each part of it: 'raw' leaves a whole folder out."""
    whole = Path(relative).as_posix()
    if "/" in pattern:
        return fnmatch.fnmatchcase(whole, pattern.removeprefix("./"))
    return any(fnmatch.fnmatchcase(part, pattern) for part in whole.split("/"))


def _listed(source: str, *, null: bool) -> list[str]:
    """Paths of a list, one a line or ended by NUL bytes; empty ones are none."""
    try:
        data = sys.stdin.buffer.read() if source == STDIO else Path(source).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"the list {source} cannot be read ({error}); check its name") from error
    parts = data.split(b"\0") if null else [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if not null and b"\0" in data:
        raise UsageError("the list of files holds NUL bytes; add -0 where they end its paths")
    # A file that is called "-" is not standard input, which holds the list or was named.
    return [os.path.join(os.curdir, STDIO) if part == b"-" else os.fsdecode(part) for part in parts if part]


def _below(path: str) -> str:
    """Where a path of a list goes below an output folder: its own path, counted from here, or from the root where it leads elsewhere."""
    relative = os.path.normpath(path)
    if os.path.isabs(relative) or relative.split(os.sep)[0] == os.pardir:
        relative = os.path.relpath(os.path.abspath(path), Path(os.path.abspath(path)).anchor)
    return relative


def _once(found: Sequence[Input]) -> list[Input]:
    """Without those that lead to a file that came before."""
    seen: set[str] = set()
    kept = []
    for entry in found:
        place = entry.path if entry.path == STDIO else os.path.realpath(entry.path)
        if place not in seen:
            seen.add(place)
            kept.append(entry)
    return kept
