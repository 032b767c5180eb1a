"""Several inputs in one run: where each output goes, what is refused before any work starts, and what the run returns."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ExitCode, I2Error, OutputExistsError, SignalError, UsageError
from ..files import STDIO, atomic_writer, refuse_same_file, same_file
from .errors import exit_code
from .output import Output, refuse_terminal, write_stdout


@dataclass(frozen=True, kw_only=True)
class Job:
    """One input and its output, paths or "-"; `refused` is why its work will not be started."""

    source: str
    target: str
    refused: I2Error | None = None

    @property
    def shown(self) -> str:
        """What a line about it begins with."""
        return self.source if self.target == STDIO else self.target


def plan(inputs: Sequence[str], output: str | None, folder: str | None, *, force: bool, name: Callable[[str], Path]) -> list[Job]:
    """The jobs of a run.

    Args:
        inputs: paths, at most one of them "-".
        output: output of the only input, or "-".
        folder: where outputs go instead of beside their inputs; made here.
        force: outputs may be there already.
        name: the output's default path for an input.

    Raises:
        UsageError: options that exclude each other, two inputs with one output, an output that is an input, binary data to a terminal.
    """
    if output is not None and folder is not None:
        raise UsageError("--output and --output-dir exclude each other; give one")
    if output is not None and len(inputs) > 1:
        raise UsageError(f"--output names one file but there are {len(inputs)} inputs; use --output-dir")
    check_inputs(inputs)
    targets = [_default(source, folder, name) for source in inputs] if output is None else [output]
    _check_collisions(inputs, targets)
    if folder is not None:
        _make_folder(folder)
    if output == STDIO:
        refuse_terminal()
    return [Job(source=source, target=target, refused=_refusal(target, force)) for source, target in zip(inputs, targets, strict=True)]


def check_inputs(inputs: Sequence[str]) -> None:
    """Raises UsageError where standard input is asked for twice."""
    if inputs.count(STDIO) > 1:
        raise UsageError("standard input is given more than once; expected at most one '-'")


def run(sources: Sequence[str], work: Callable[[int], None], out: Output) -> ExitCode:
    """Do `work(i)` for each source; one that fails does not stop the others.

    Returns:
        The error's own exit code where there is a single source, else FAILED where any failed, else OK.
    """
    codes: list[ExitCode] = []
    for index, source in enumerate(sources):
        try:
            work(index)
            codes.append(ExitCode.OK)
        except BrokenPipeError:
            raise
        except Exception as error:
            out.failure(source, error)
            codes.append(exit_code(error))
    if len(codes) == 1:
        return codes[0]
    failed = sum(code != ExitCode.OK for code in codes)
    out.line(f"{len(codes) - failed} of {len(codes)} files done" + (f", {failed} failed" if failed else ""))
    return ExitCode.FAILED if failed else ExitCode.OK


def run_jobs(jobs: Sequence[Job], work: Callable[[Job], None], out: Output) -> ExitCode:
    """As `run`, for jobs; refused ones fail without any work."""

    def start(index: int) -> None:
        job = jobs[index]
        if job.refused is not None:
            raise job.refused
        work(job)

    return run([job.source for job in jobs], start, out)


class Inputs:
    """Files of a run, each read as late as can be, and only once where it is a pipe."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def head(self, source: str, count: int = 4096) -> bytes:
        """The first bytes of a path; none of standard input, and of what cannot be read, which is said when it is to be."""
        if source == STDIO:
            return b""
        try:
            if not os.path.isfile(source):  # what is read of a pipe is gone
                self._held[source] = read_input(source)
                return self._held[source][:count]
            with open(source, "rb") as file:
                return file.read(count)
        except (OSError, ValueError, SignalError):
            return b""

    def read(self, source: str) -> bytes:
        """All bytes of a path, or of standard input for "-"; SignalError where it cannot be read."""
        return self._held.pop(source) if source in self._held else read_input(source)


def read_input(source: str) -> bytes:
    """All bytes of a path, or of standard input for "-"; SignalError where it cannot be read."""
    from ..media import open_binary

    if source == STDIO:
        return sys.stdin.buffer.read()
    with open_binary(source) as file:
        return file.read()


def write_output(target: str, data: bytes, *, force: bool, verify: bool = False) -> None:
    """Write all bytes to a path, whole or not at all, or to standard output for "-".

    Raises:
        I2Error: `verify`, and the path reads back differently.
    """
    if target == STDIO:
        write_stdout(data)
        return
    with atomic_writer(target, force=force) as file:
        file.write(data)
    if verify and read_input(target) != data:
        raise I2Error(f"{target} reads back differently from what was written; check the disk and encode again")


def _default(source: str, folder: str | None, name: Callable[[str], Path]) -> str:
    try:
        beside = name(source)
    except ValueError as error:  # "." and "/" have no last part to rename
        raise UsageError(f"{source} is a directory; give the files in it") from error
    return str(beside if folder is None else Path(folder) / beside.name)


def _check_collisions(inputs: Sequence[str], targets: Sequence[str]) -> None:
    taken: dict[str, str] = {}
    for source, target in zip(inputs, targets, strict=True):
        if target == STDIO:
            continue
        refuse_same_file(source, target)
        place = os.path.normcase(os.path.realpath(target))
        if place in taken:
            raise UsageError(f"{taken[place]} and {source} would both be written to {target}; run them apart, with --output")
        taken[place] = source
        other = next((path for path in inputs if same_file(path, target)), None)
        if other is not None:
            raise UsageError(f"the output of {source} would replace the input {other}; choose another name or --output-dir")


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made ({error.strerror}); choose another one") from error


def _refusal(target: str, force: bool) -> I2Error | None:
    """What atomic_writer would say in the end, said before minutes of work."""
    if target == STDIO:
        return None
    parent = os.path.dirname(os.path.realpath(target))
    if os.path.isdir(target):
        return UsageError(f"{target} is a directory; give a file name, or the directory with --output-dir")
    if not os.path.isdir(parent):
        return UsageError(f"{target} cannot be written: the folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK):
        return I2Error(f"the folder {parent} cannot be written to; choose another one")
    if os.path.isfile(target) and not force:
        return OutputExistsError(f"{target} exists already; add --force to replace it or choose another name")
    return None
