"""Options that several verbs share, and how their values are read."""

import functools
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from fractions import Fraction
from typing import Annotated, Any, get_type_hints

import typer

from ..errors import UsageError
from .presets import Preset

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def parse_duration(text: str) -> float:
    """Seconds of 90, 60s, 2m, 1h30m."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise UsageError(f"time is {text!r}; expected seconds or something like 60s, 2m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def parse_bitrate(text: str) -> float:
    """Bits a second of 24k, 24kbps, 24000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKM]?)(?:bps|bit/s)?", text.strip())
    if not match:
        raise UsageError(f"bitrate is {text!r}; expected bits a second, such as 24k or 24000")
    return float(match[1]) * {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}[match[2]]


def parse_bytes(text: str, what: str = "target size") -> int:
    """Bytes of 20000, 20k, 1.5M, 2G."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(k|m|g|)b?", text.strip(), re.IGNORECASE)
    count = 0 if match is None else int(float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[match[2].lower()])
    if count < 1:
        raise UsageError(f"{what} is {text!r}; expected bytes such as 20000, 20k, 1.5M or 2G")
    return count


def parse_time(text: str) -> tuple[float, float]:
    """(from, to) in seconds of 10:12.5, 10s-12s, 1m30s-2m; from or to may be left out."""
    start, mark, stop = text.replace("-", ":").partition(":")
    if not mark or ":" in stop:
        raise UsageError(f"time is {text!r}; expected FROM:TO in seconds, such as 10:12.5 or 1m30s:2m")
    return parse_duration(start) if start.strip() else 0.0, parse_duration(stop) if stop.strip() else math.inf


def parse_frames(text: str) -> tuple[int | None, int | None, int | None]:
    """(from, to, step) of 10:20, ::2, -5:; any of them may be left out. One number is that frame."""
    match = re.fullmatch(r"(-?\d*)(?::(-?\d*))?(?::(\d*))?", text.strip())
    if not match or not text.strip() or "-" in match.groups():
        raise UsageError(f"frames is {text!r}; expected FROM:TO:STEP, such as 10:20, ::2 or -5:")
    start, stop, step = (int(part) if part else None for part in match.groups())
    if ":" not in text:
        stop = None if start == -1 else (start or 0) + 1
    return start, stop, step


def parse_fps(text: str) -> Fraction:
    """Frames a second of 60, 29.97 (30000/1001, as broadcasters mean it), 24000/1001."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(\d+))?", text.strip())
    if not match or not Fraction(match[2] or 1):
        raise UsageError(f"frame rate is {text!r}; expected frames a second, such as 60, 23.976 or 30000/1001")
    found = Fraction(match[1]) / int(match[2] or 1)
    broadcast = Fraction(round(found * Fraction(1001, 1000)) * 1000, 1001)
    return broadcast if found.denominator > 1 and abs(found - broadcast) < Fraction(1, 200) else found


def parse_scale(text: str) -> float:
    """2 of 2, 2x and 200%."""
    match = re.fullmatch(r"(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)\s*([xX%]?)", text.strip())
    if not match:
        raise UsageError(f"scale is {text!r}; expected a positive number, such as 4, 0.5, 2x or 150%")
    return float(match[1]) / (100 if match[2] == "%" else 1)


def parse_size(text: str) -> tuple[int | None, int | None]:
    """(width, height) of 1920x1080; None for the side that 1920x or x1080 leaves out."""
    match = re.fullmatch(r"(\d*)[xX](\d*)", text.strip())
    if not match or not (match[1] or match[2]):
        raise UsageError(f"size is {text!r}; expected WIDTHxHEIGHT, such as 1920x1080, 1920x or x1080")
    return int(match[1]) if match[1] else None, int(match[2]) if match[2] else None


def parse_crop(text: str) -> tuple[int, int, int, int]:
    """(x, y, width, height) of 100,50,640,480."""
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text.replace(" ", ""))
    if not match:
        raise UsageError(f"crop is {text!r}; expected X,Y,WIDTH,HEIGHT in source pixels, such as 100,50,640,480")
    return int(match[1]), int(match[2]), int(match[3]), int(match[4])


def parse_box(text: str) -> tuple[float, float, float, float, float, float]:
    """The two corners of 0,0,0,1.5,2,1."""
    try:
        a, b, c, d, e, f = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"box is {text!r}; expected X0,Y0,Z0,X1,Y1,Z1, two opposite corners in the shape's units") from error
    if not all(map(math.isfinite, (a, b, c, d, e, f))):
        raise UsageError(f"box is {text!r}; expected numbers")
    return a, b, c, d, e, f


Inputs = Annotated[list[str], typer.Argument(metavar="INPUT", help="Files to read; - is stdin.", show_default=False)]
OutputFile = Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Output of a single input; - is stdout.")]
OutputDir = Annotated[str | None, typer.Option("-O", "--output-dir", metavar="DIR", help="Folder for the outputs, made if need be.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a file on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Neither progress nor summary.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", envvar="I2C_DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", envvar="I2C_THREADS", help="CPU threads; all by default.")]
MaxMemory = Annotated[
    str | None, typer.Option("--max-memory", metavar="SIZE", help="Of the whole run, about, such as 2G: smaller parts, or a refusal, beyond it.")
]
AnyCost = Annotated[bool, typer.Option("--any-cost", help="Decode also what would take over 20 minutes, or more memory than there is.")]


class Existing(str, Enum):
    """What becomes of outputs that are there already."""

    ERROR = "error"
    SKIP = "skip"
    UPDATE = "update"
    OVERWRITE = "overwrite"


def parse_jobs(text: str | None) -> int | None:
    """Processes; None for as many as there are cores; 1 where nothing is said."""
    if text is None or text == "auto":
        return 1 if text is None else None
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise UsageError(f"jobs is {text!r}; expected a number from 1 on, or auto")
    return int(text)


def parse_shard(text: str) -> tuple[int, int]:
    """(i, n) of 2/8."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"shard is {text!r}; expected I/N with I from 1 to N, such as 1/8")
    return int(match[1]), int(match[2])


Some = list[str] | None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which inputs there are."""

    inputs: Annotated[Some, typer.Argument(metavar="INPUT", help="Files, or folders with -r; - is stdin.", show_default=False)] = None
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Take the files in folders, and in their folders.")] = False
    include: Annotated[Some, typer.Option("--include", metavar="GLOB", help="Of folders only these, such as '*.png'; repeat it.")] = None
    exclude: Annotated[Some, typer.Option("--exclude", metavar="GLOB", help="Of folders not these files or folders; repeat it.")] = None
    files_from: Annotated[str | None, typer.Option("--files-from", metavar="LIST", help="Read inputs from a file, one a line; - is stdin.")] = None
    null: Annotated[bool, typer.Option("-0", "--null", help="NUL bytes end the paths of the list, as find -print0 writes them.")] = False


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Where outputs go, and what becomes of what is there."""

    output: OutputFile = None
    output_dir: OutputDir = None
    flat: Annotated[bool, typer.Option("--flat", help="All outputs in the folder itself; the tree of the inputs is kept otherwise.")] = False
    existing: Annotated[Existing, typer.Option("--existing", help="Outputs that exist: fail, leave, renew if out of date, replace.")] = Existing.ERROR
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace outputs that exist: --existing overwrite.")] = False
    rm: Annotated[bool, typer.Option("--rm", help="Remove each source once its output is written and has been read back.")] = False
    preserve: Annotated[bool, typer.Option("--preserve", help="Give outputs the times and permissions of their sources.")] = False

    @property
    def policy(self) -> Existing:
        """What becomes of outputs that exist."""
        return Existing.OVERWRITE if self.force else self.existing


@dataclass(frozen=True, kw_only=True)
class Running:
    """How the files of a run are gone through."""

    jobs: Annotated[
        str | None, typer.Option("-j", "--jobs", metavar="N|auto", help="Files at once; processes times threads never pass the cores.")
    ] = None
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Start no further file after one has failed.")] = False
    shard: Annotated[str | None, typer.Option("--shard", metavar="I/N", help="Only part I of N, for many machines.")] = None
    preset: Preset = None
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="ADDRESS", help="Run on Ray: local, auto or ray://HOST:PORT.")] = None
    threads: Threads = None
    max_memory: MaxMemory = None
    as_json: AsJson = False
    quiet: Quiet = False
    debug: Debug = False


@dataclass(frozen=True, kw_only=True)
class EncodeRunning(Running):
    """Likewise of a run that encodes."""

    jobs: Annotated[
        str | None,
        typer.Option(
            "-j", "--jobs", metavar="N|auto", help="Files at once, or groups of pictures of a video; processes times threads never pass the cores."
        ),
    ] = None


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are dataclasses of options are replaced by their fields, one option each."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {name: parameter.annotation for name, parameter in signature.parameters.items() if is_dataclass(parameter.annotation)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name not in groups:
            parameters.append(parameter)
            continue
        hints = get_type_hints(groups[name], include_extras=True)
        for each in fields(groups[name]):
            parameters.append(inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name]))

    @functools.wraps(command)
    def run(**given: object) -> None:
        packed = {name: group(**{each.name: given.pop(each.name) for each in fields(group)}) for name, group in groups.items()}
        command(**given, **packed)

    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    return run
