"""Options that several verbs share, and how their values are read."""

import math
import re
from typing import Annotated

import typer

from ..errors import UsageError

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


def parse_time(text: str) -> tuple[float, float]:
    """(from, to) in seconds of 10:12.5, 10s-12s, 1m30s-2m; from or to may be left out."""
    start, mark, stop = text.replace("-", ":").partition(":")
    if not mark or ":" in stop:
        raise UsageError(f"time is {text!r}; expected FROM:TO in seconds, such as 10:12.5 or 1m30s:2m")
    return parse_duration(start) if start.strip() else 0.0, parse_duration(stop) if stop.strip() else math.inf


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
Force = Annotated[bool, typer.Option("-f", "--force", help="Replace outputs that exist.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a file on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Neither progress nor summary.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", envvar="I2C_DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", envvar="I2C_THREADS", help="CPU threads; all by default.")]
