"""Where the states of long fits are kept, so that an encode that was interrupted goes on from there.

An encode makes one fit or several, always in the same order. Each has a file of its own in the folder of the encode, which is named by what decides
the result: the source's bytes, the settings, and the version of this package. So a state of anything else is never found. A part of an encode that is
finished, such as a group of pictures, leaves its result instead of the states of its fits. The folder goes when the encode is done.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from .errors import I2Error
from .files import atomic_writer

EVERY = 30.0  # seconds between two states of a fit
SHARE = 20  # and at least so many times what writing one takes
KEPT_DAYS = 30  # after which what nobody went on with is removed
VERSION = 5  # of what a state holds


@dataclass
class Place:
    """Where the state of one fit is kept.

    Args:
        path: of its file.
        every: seconds between two states.
        began: when the encode did, as time.monotonic() says it.
    """

    path: Path
    every: float = EVERY
    began: float = field(default_factory=time.monotonic)
    _due: float = field(init=False)

    def __post_init__(self) -> None:
        self._due = time.monotonic() + self.every

    def read(self) -> bytes | None:
        """What was written last; None where nothing was."""
        try:
            return self.path.read_bytes()
        except OSError:
            return None

    @property
    def due(self) -> bool:
        """Whether it is time for another state."""
        return time.monotonic() >= self._due

    @property
    def long(self) -> bool:
        """Whether the encode has lasted so long that what is done is worth keeping."""
        return time.monotonic() - self.began >= self.every

    def write(self, data: bytes) -> None:
        """Replaces the state, whole or not at all; a fit does not fail where that cannot be done."""
        began = time.monotonic()
        with suppress(OSError, I2Error):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with atomic_writer(self.path, force=True) as file:
                file.write(data)
        now = time.monotonic()
        self._due = now + max(self.every, SHARE * (now - began) if self.every else 0.0)


@dataclass
class Checkpoints:
    """The places of the fits of one encode, or of a part of it, in their order; names of files in `folder` begin with `prefix`."""

    folder: Path
    every: float = EVERY
    prefix: str = ""
    began: float = field(default_factory=time.monotonic)
    _count: int = 0

    def next(self) -> Place:
        """The place of the next fit, or of the result of the next part."""
        self._count += 1
        return Place(self.folder / f"{self.prefix}{self._count - 1:05}.state", self.every, self.began)


_current: ContextVar[Checkpoints | None] = ContextVar("checkpoints", default=None)


def next_place() -> Place | None:
    """The place of the next fit of the encode under way; None where states are not kept."""
    current = _current.get()
    return None if current is None else current.next()


@contextmanager
def part() -> Iterator[Place | None]:
    """The fits inside are a part of the encode under way. Gives the place of its result, which replaces their states; None: nothing is kept."""
    whole = _current.get()
    if whole is None:
        yield None
        return
    place = whole.next()
    inner = Checkpoints(whole.folder, whole.every, f"{place.path.stem}-", whole.began)
    token = _current.set(inner)
    try:
        yield place
    finally:
        _current.reset(token)
    if place.path.exists():
        for path in whole.folder.glob(f"{inner.prefix}*"):
            path.unlink(missing_ok=True)


@contextmanager
def left_behind() -> Iterator[Path]:
    """A folder for what one fit of an encode leaves to another: with the states, where those are kept, and gone once the encode is done."""
    whole = _current.get()
    if whole is None:
        with tempfile.TemporaryDirectory(prefix="i2compress-") as folder:
            yield Path(folder)
        return
    kept_folder = whole.folder / f"{whole.prefix}left"
    kept_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    yield kept_folder
    shutil.rmtree(kept_folder, ignore_errors=True)


def reserved() -> Checkpoints | None:
    """The place of the next part of the encode under way, for another process to take up; None where states are not kept."""
    whole = _current.get()
    if whole is None:
        return None
    number = whole._count
    whole._count += 1
    return Checkpoints(whole.folder, whole.every, whole.prefix, whole.began, number)


@contextmanager
def taken_up(place: Checkpoints | None) -> Iterator[None]:
    """The part inside is the one whose place another process has reserved; with None no states are kept of it."""
    token = _current.set(place)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def kept(origin: bytes, *, every: float | None = None) -> Iterator[None]:
    """States of the fits inside are kept; those of an earlier run of the same are gone on with, and all are removed once it is done.

    Args:
        origin: hash of the source and of the settings.
        every: seconds between two states; None for EVERY.
    """
    root = state_folder()
    folder = root / f"{origin.hex()}-{VERSION}-{_version()}"
    _sweep(root)
    token = _current.set(Checkpoints(folder, EVERY if every is None else every))
    try:
        yield
    finally:
        _current.reset(token)
    shutil.rmtree(folder, ignore_errors=True)


def state_folder() -> Path:
    """The folder of all states: in the user's state directory (XDG Base Directory Specification 0.8), or what the system has for it."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "i2compress" / "checkpoints"


def _version() -> str:
    try:
        return metadata.version("i2compress")
    except metadata.PackageNotFoundError:
        return "0"


def _sweep(root: Path) -> None:
    with suppress(OSError):
        for folder in root.iterdir():
            if time.time() - folder.stat().st_mtime > KEPT_DAYS * 86400:
                shutil.rmtree(folder, ignore_errors=True)
