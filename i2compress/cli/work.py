"""One file's work, wherever it is done: what it is told, what it says, and what came of it."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Literal

from ..errors import ExitCode, I2Error
from ..files import STDIO
from ..records import Json
from .errors import exit_code, sentence

if TYPE_CHECKING:
    from ..fit import StepInfo
    from .output import Output


@dataclass(frozen=True, kw_only=True)
class Job:
    """One input and its output, paths or "-".

    Args:
        source: to read.
        target: to write; the source itself for a verb that writes nothing.
        data: the bytes of a source that can be read only once, or only elsewhere.
        replace: the target may be there already.
        folders: those that the target lies in are made where they are missing.
        refused: why its work will not be started.
        skipped: why there is nothing to do.
        origin: what the target is to say that it was made from; None for nothing.
    """

    source: str
    target: str
    data: bytes | None = None
    replace: bool = False
    folders: bool = False
    refused: I2Error | None = None
    skipped: str = ""
    origin: bytes | None = None

    @property
    def shown(self) -> str:
        """What a line about it begins with."""
        return self.source if self.target == STDIO else self.target

    def opened(self) -> "str | bytes | BinaryIO":
        """What media.open_source takes."""
        if self.data is not None:
            return self.data
        return sys.stdin.buffer if self.source == STDIO else self.source

    def read(self) -> bytes:
        """All bytes of the source. Raises SignalError where it cannot be read."""
        return read_input(self.source) if self.data is None else self.data


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Bytes read and written for one file."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error, told so that another process can pass it on."""

    code: ExitCode
    text: str
    trace: str

    @staticmethod
    def of(error: BaseException) -> "Failure":
        """What is to be said of an error."""
        return Failure(code=exit_code(error), text=sentence(error), trace="".join(traceback.format_exception(error)).rstrip())


class Transcript:
    """What a verb says of one file, kept until it is printed; the methods are those of Output."""

    def __init__(self) -> None:
        self._said: list[tuple[str, tuple[object, ...]]] = []

    def line(self, text: str) -> None:
        """See Output."""
        self._said.append(("line", (text,)))

    def warn(self, text: str) -> None:
        """See Output."""
        self._said.append(("warn", (text,)))

    def text(self, text: str) -> None:
        """See Output."""
        self._said.append(("text", (text,)))

    def record(self, source: str, status: str, fields: Mapping[str, Json]) -> None:
        """See Output."""
        self._said.append(("record", (source, status, dict(fields))))

    def replay(self, out: "Output") -> None:
        """Say it all."""
        for name, given in self._said:
            getattr(out, name)(*given)

    def renamed(self, old: str, new: str) -> "Transcript":
        """The same with another path."""
        other = Transcript()
        other._said = [(name, tuple(_renamed(part, old, new) for part in given)) for name, given in self._said]
        return other


def _renamed(part: object, old: str, new: str) -> object:
    if isinstance(part, dict):
        return {key: _renamed(value, old, new) for key, value in part.items()}
    return part.replace(old, new) if isinstance(part, str) else part


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a file's work is given.

    Args:
        out: takes what it says.
        on_step: called after every step; None where nobody watches.
        stop: asked before every step; True ends the work with the best state so far.
        slot: number of the worker, 0 for the first.
        threads: CPU threads; None for all.
    """

    out: Transcript = field(default_factory=Transcript)
    on_step: "Callable[[StepInfo], None] | None" = None
    stop: Callable[[], bool] = lambda: False
    slot: int = 0
    threads: int | None = None


Work = Callable[[Job, Desk], Tally]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one file; `data` is the output of a worker that could not write it."""

    status: Literal["ok", "skipped", "error"]
    tally: Tally = Tally()
    transcript: Transcript = field(default_factory=Transcript)
    failure: Failure | None = None
    data: bytes | None = None


def perform(work: Work, job: Job, desk: Desk) -> Result:
    """Does a file's work; its errors are results, but for the end of the process that reads our output."""
    try:
        if job.refused is not None:
            raise job.refused
        if job.skipped:
            return Result(status="skipped")
        tally = work(job, desk)
    except BrokenPipeError:
        raise
    except Exception as error:
        return Result(status="error", transcript=desk.out, failure=Failure.of(error))
    return Result(status="ok", tally=tally, transcript=desk.out)


def read_input(source: str) -> bytes:
    """All bytes of a path, or of standard input for "-"; SignalError where it cannot be read."""
    from ..media import open_binary

    if source == STDIO:
        return sys.stdin.buffer.read()
    with open_binary(source) as file:
        return file.read()


def readable_once(source: str) -> bool:
    """Whether a source is standard input or a pipe, which only this process can read, and only once."""
    return source == STDIO or (os.path.exists(source) and not os.path.isfile(source) and not os.path.isdir(source))
