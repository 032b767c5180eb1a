"""Files on disk: writes that are whole or not there, and the rule that names an output."""

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from .errors import I2Error, OutputExistsError, ResourceError, UsageError

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyhow
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".i2"
STDIO = "-"

_PathLike = str | os.PathLike[str]
_TEMPORARY = ".i2tmp"
_FRESH = 10.0  # seconds in which a temporary file may not be locked yet
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


@contextmanager
def atomic_writer(path: _PathLike, *, force: bool = False, folders: bool = False) -> Iterator[BinaryIO]:
    """A binary file that appears under `path` once it is complete, and not at all after any exception.

    The bytes go to a hidden temporary file in the same folder, which is renamed at the end. A symbolic link is
    followed; a device or pipe (``/dev/null``) is written directly.

    Args:
        path: the file to write.
        force: replace a file that is there already (its permissions are kept).
        folders: make the folders that it lies in where they are missing; after an exception, those that were made and are empty are removed.

    Raises:
        OutputExistsError: `path` is there, now or when the writing is done, and not `force`.
        UsageError: `path` is a directory.
        I2Error: the folder is missing or cannot be written to, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    with _said(path), _made(target.parent) if folders else nullcontext():
        _check_target(target, path, force=force)
        if target.exists() and not target.is_file():
            with _opened(target, target, "wb") as device:
                yield device
            return
        temporary, file = _open_temporary(target)
        try:
            with file:
                yield file
            _publish(temporary, target, path, force=force)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The folder is there. After an exception, what was made for it is gone again, unless something else lies in it by then."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for place in missing:
                place.rmdir()
        raise


def _check_target(target: Path, shown: _PathLike, *, force: bool) -> None:
    if target.is_dir():
        raise UsageError(f"{shown} is a directory; give the name of a file to write")
    if not target.parent.is_dir():
        raise I2Error(f"{shown} cannot be written: the folder {target.parent} does not exist; create it first")
    if target.is_file() and not force:
        raise _exists(shown)


def _exists(shown: _PathLike) -> OutputExistsError:
    return OutputExistsError(f"{shown} exists already; add --force to replace it or choose another name")


def _open_temporary(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `target`; made with open() and not with tempfile, so that the user's umask applies."""
    temporary = target.with_name(f".{secrets.token_hex(8)}{_TEMPORARY}")
    file = _opened(temporary, target.parent, "xb")
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return temporary, file


def _opened(path: Path, place: Path, mode: Literal["wb", "xb"]) -> BinaryIO:
    try:
        return open(path, mode)
    except PermissionError as error:
        raise I2Error(f"{place} cannot be written to: permission denied; choose another place or change its permissions") from error


def _publish(temporary: Path, target: Path, shown: _PathLike, *, force: bool) -> None:
    """Gives the finished file its name; without `force` by a link, which fails where the name is taken."""
    if force:
        if target.is_file():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)
        return
    except FileExistsError as error:
        raise _exists(shown) from error
    except OSError:
        pass  # a file system without hard links: look, then rename
    if os.path.lexists(target):
        raise _exists(shown)
    os.replace(temporary, target)


@contextmanager
def _said(shown: _PathLike) -> Iterator[None]:
    """Turns what the disk reports while `shown` is written into a sentence."""
    try:
        yield
    except OSError as error:  # the body may read other files, whose errors are not ours to explain
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"{shown} cannot be written: the disk is full; free some space and run again") from error
        if error.errno in _DISK_ERRORS:
            raise I2Error(f"{shown} cannot be written: {error.strerror}; choose another place") from error
        if error.errno == errno.ENAMETOOLONG:
            raise I2Error(f"{shown} cannot be written: the name is too long; choose a shorter one") from error
        if str(error.filename or "").endswith(_TEMPORARY):  # a name that nobody knows
            raise I2Error(f"{shown} cannot be written: {error.strerror}; choose another place") from error
        raise


def sweep(folder: _PathLike) -> None:
    """Remove temporary files that processes left in a folder when they were killed.

    A file that is being written is locked by its writer. One that was made a moment ago may not be locked yet, and stays too, as does
    everything where the file system has no locks.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(_TEMPORARY):
                with suppress(OSError):
                    _sweep(entry.path)


def _sweep(path: str) -> None:
    if fcntl is None or time.time() - os.stat(path).st_mtime < _FRESH:
        return
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError where its writer lives
        os.unlink(path)


def copy_times_and_mode(source: _PathLike, target: _PathLike) -> None:
    """Give `target` the times and permissions of `source`."""
    found = os.stat(source)
    os.chmod(target, stat.S_IMODE(found.st_mode) & 0o777)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def make_durable(path: _PathLike) -> None:
    """Return when a file and its name are on the disk, so that a loss of power does not take it."""
    for place, flags in ((os.fspath(path), os.O_RDONLY), (os.path.dirname(os.path.realpath(path)), getattr(os, "O_DIRECTORY", None))):
        if flags is None:  # Windows cannot open folders
            continue
        handle = os.open(place, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def default_output(
    path: _PathLike, verb: Literal["encode", "decode"], *, scale: float | None = None, extension: str = "png", whole: bool = False
) -> Path:
    """Where the output goes when no name is given: beside the input, and never the input itself.

    photo.png -> photo.i2; photo.i2 -> photo.i2.png, or photo.i2@4x.png at scale 4.

    Args:
        path: the input.
        verb: "encode" replaces the extension by .i2 (adds it where the input already ends so); "decode" adds one.
        scale: of the decoded picture, where it is not 1.
        extension: of the decoded file, with or without its dot.
        whole: "encode" keeps the extension in any case: photo.png.i2.

    Raises:
        UsageError: the input is standard input, which has no name.
    """
    if os.fspath(path) == STDIO:
        raise UsageError("standard input has no name to derive the output's from; give one with --output, or '-' for standard output")
    source = Path(path)
    if verb == "encode":
        plain = source.suffix.lower() != SUFFIX and source.suffix != "" and not whole
        return source.with_suffix(SUFFIX) if plain else source.with_name(source.name + SUFFIX)
    at = "" if scale is None or scale == 1 else f"@{scale:g}x"
    return source.with_name(f"{source.name}{at}.{extension.removeprefix('.')}")


def same_file(first: _PathLike, second: _PathLike) -> bool:
    """True where both paths lead to one file, through links too; a file that is not there equals its own path only."""
    if STDIO in (os.fspath(first), os.fspath(second)):
        return False
    try:
        found, other = os.stat(first), os.stat(second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)
    return stat.S_ISREG(found.st_mode) and os.path.samestat(found, other)


def refuse_same_file(source: _PathLike, target: _PathLike) -> None:
    """Raises UsageError where writing `target` would destroy `source`, whatever --force says."""
    if same_file(source, target):
        raise UsageError(f"input and output are the same file, {source}; give another output name")
