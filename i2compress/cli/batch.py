"""The plan of a run: where each output goes, and what is refused or left out before any work starts."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import I2Error, OutputExistsError, SignalError, UsageError
from ..files import STDIO, atomic_writer, copy_times_and_mode, make_durable, refuse_same_file, sweep
from .inputs import Input, gather, in_shard
from .options import Existing, Placing, Running, Selection, parse_shard
from .output import refuse_terminal, write_stdout
from .work import Job, read_input

Name = Callable[[str, bool], Path]
"""The output's default path for an input; True: with the input's extension, for inputs that differ in nothing else."""


def plan(selection: Selection, placing: Placing, running: Running, *, takes: Callable[[str], bool], name: Name) -> list[Job]:
    """The jobs of a run.

    Args:
        selection: which inputs there are.
        placing: where their outputs go.
        running: which part of them is this run's.
        takes: whether a file of a folder is an input.
        name: of outputs.

    Raises:
        UsageError: options that exclude each other, inputs with one output, an output that is an input, binary data to a terminal.
    """
    _check(placing)
    found = gather(selection, takes)
    if placing.output is not None and len(found) > 1:
        raise UsageError(f"--output names one file but there are {len(found)} inputs; use --output-dir")
    targets = _targets(found, placing, name) if placing.output is None else [placing.output] * len(found)
    _check_collisions(found, targets)
    pairs = [(entry.path, target) for entry, target in zip(found, targets, strict=True) if is_ours(entry, running)]
    if placing.output == STDIO:
        refuse_terminal()
    for folder in sorted({os.path.dirname(target) or os.curdir for _, target in pairs if target != STDIO}):
        if placing.output_dir is not None:
            _check_folder(folder)
        sweep(folder)
    return [_job(source, target, placing) for source, target in pairs]


def is_ours(entry: Input, running: Running) -> bool:
    """Whether an input belongs to this run's shard."""
    return running.shard is None or in_shard(entry, parse_shard(running.shard))


def _check(placing: Placing) -> None:
    if placing.output is not None and placing.output_dir is not None:
        raise UsageError("--output and --output-dir exclude each other; give one")
    if placing.flat and placing.output_dir is None:
        raise UsageError("--flat says how outputs lie in a folder; give it with --output-dir")
    if placing.force and placing.existing not in (Existing.ERROR, Existing.OVERWRITE):
        raise UsageError(f"--force replaces outputs and --existing {placing.existing.value} does not; give one")
    if placing.output == STDIO and (placing.rm or placing.preserve):
        raise UsageError("--rm and --preserve need an output that is a file; standard output is none")


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
                self._held[source] = self._held.get(source) or read_input(source)
                return self._held[source][:count]
            with open(source, "rb") as file:
                return file.read(count)
        except (OSError, ValueError, SignalError):
            return b""

    def read(self, source: str) -> bytes:
        """All bytes of a path, or of standard input for "-"; SignalError where it cannot be read."""
        return self._held.pop(source) if source in self._held else read_input(source)

    def filled(self, job: Job) -> Job:
        """The job with what has been read of its source."""
        return replace(job, data=self._held.pop(job.source)) if job.source in self._held else job


def write_output(job: Job, data: bytes, *, verify: bool = False) -> None:
    """Write all bytes to a path, whole or not at all, or to standard output for "-".

    Raises:
        I2Error: `verify`, and the path reads back differently.
    """
    if job.target == STDIO:
        write_stdout(data)
        return
    with atomic_writer(job.target, force=job.replace, folders=job.folders) as file:
        file.write(data)
    if verify and read_input(job.target) != data:
        raise I2Error(f"{job.target} reads back differently from what was written; check the disk and encode again")


def finish(source: str, target: str, placing: Placing) -> None:
    """What follows a file that is written, and checked: --preserve and --rm. Raises I2Error where the system refuses."""
    if not os.path.isfile(source) or not os.path.isfile(target):  # pipes and devices
        return
    try:
        if placing.preserve:
            copy_times_and_mode(source, target)
        if placing.rm:
            make_durable(target)
            os.remove(source)
    except OSError as error:
        raise I2Error(f"{target} is written, but {error.filename or source} could not be changed: {error.strerror}; do that by hand") from error


def _targets(found: Sequence[Input], placing: Placing, name: Name) -> list[str]:
    """Default paths of outputs. Inputs beside each other whose outputs would have one name keep their extensions in it."""
    targets = [_default(entry, placing, name, whole=False) for entry in found]
    count = Counter((target, _folder(entry)) for entry, target in zip(found, targets, strict=True))
    return [
        _default(entry, placing, name, whole=True) if count[target, _folder(entry)] > 1 else target
        for entry, target in zip(found, targets, strict=True)
    ]


def _folder(entry: Input) -> str:
    return os.path.realpath(os.path.dirname(entry.path))


def _default(entry: Input, placing: Placing, name: Name, *, whole: bool) -> str:
    try:
        beside = name(entry.path, whole)
    except ValueError as error:  # "." and "/" have no last part to rename
        raise UsageError(f"{entry.path} is a directory; give the files in it") from error
    if placing.output_dir is None:
        return str(beside)
    place = "" if placing.flat else os.path.dirname(entry.place)
    return os.path.join(placing.output_dir, place, beside.name)


def _check_collisions(found: Sequence[Input], targets: Sequence[str]) -> None:
    sources = {_identity(entry.path): entry.path for entry in found if entry.path != STDIO and os.path.exists(entry.path)}
    taken: dict[str, str] = {}
    for entry, target in zip(found, targets, strict=True):
        if target == STDIO:
            continue
        refuse_same_file(entry.path, target)
        place = os.path.normcase(os.path.realpath(target))
        if place in taken:
            raise UsageError(
                f"{taken[place]} and {entry.path} would both be written to {target}; "
                "run them apart, with --output, or keep their folders: -r or --files-from with --output-dir, without --flat"
            )
        taken[place] = entry.path
        if os.path.isfile(target) and _identity(target) in sources:
            other = sources[_identity(target)]
            raise UsageError(f"the output of {entry.path} would replace the input {other}; choose another name or --output-dir")


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _check_folder(folder: str) -> None:
    """Raises UsageError for a folder that is not there and cannot be made, which is done when the first file is written to it."""
    what = None
    try:
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            what = "it is a file"
    except FileNotFoundError:
        above = next(place for place in Path(os.path.realpath(folder)).parents if place.exists())
        if not os.access(above, os.W_OK):
            what = f"{above} cannot be written to"
    except OSError as error:
        what = error.strerror
    if what is not None:
        raise UsageError(f"the folder {folder} cannot be made ({what}); choose another one")


def _job(source: str, target: str, placing: Placing) -> Job:
    there = target != STDIO and os.path.isfile(target)
    again = placing.policy in (Existing.OVERWRITE, Existing.UPDATE)
    job = Job(source=source, target=target, replace=again, folders=placing.output_dir is not None)
    if there and placing.policy is Existing.SKIP:
        return replace(job, skipped="it exists already")
    return replace(job, refused=_refusal(job))


def _refusal(job: Job) -> I2Error | None:
    """What atomic_writer would say in the end, said before minutes of work."""
    target = job.target
    if target == STDIO:
        return None
    parent = os.path.dirname(os.path.realpath(target))
    if os.path.isdir(target):
        return UsageError(f"{target} is a directory; give a file name, or the directory with --output-dir")
    if not os.path.isdir(parent):  # that one that is to be made can be is known by now
        said = f"{target} cannot be written: the folder {parent} does not exist; create it first"
        return None if job.folders else UsageError(said)
    if not os.access(parent, os.W_OK):
        return I2Error(f"the folder {parent} cannot be written to; choose another one")
    if os.path.isfile(target) and not job.replace:
        return OutputExistsError(f"{target} exists already; add --force to replace it or choose another name")
    return None
