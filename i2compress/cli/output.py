"""The one place that prints: data and JSON on stdout, everything else on stderr."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..metrics import FIGURES
from ..records import Json as Json
from ..records import dumps
from .work import Failure

if TYPE_CHECKING:
    from ..fit import StepInfo
    from ..signal import Layout

SCHEMA = 1


class Output:
    """What a verb says.

    Args:
        verb: name for the JSON records.
        as_json: one JSON object a file on stdout, instead of text.
        quiet: neither progress nor summary lines; warnings and errors stay.
        debug: errors with their traceback.
    """

    def __init__(self, verb: str, *, as_json: bool = False, quiet: bool = False, debug: bool = False) -> None:
        self.verb = verb
        self.as_json = as_json
        self.quiet = quiet
        self.debug = debug

    def line(self, text: str) -> None:
        """A line on stderr, unless quiet."""
        if not self.quiet:
            _say(text)

    def warn(self, text: str) -> None:
        """A warning on stderr."""
        _say(f"warning: {text}")

    def text(self, text: str) -> None:
        """A line of data on stdout, where JSON was not asked for."""
        if not self.as_json:
            _print(text)

    def record(self, source: str, status: str, fields: Mapping[str, Json]) -> None:
        """A JSON object on stdout, where JSON was asked for; numbers JSON cannot hold become null."""
        if self.as_json:
            record = {"schema": SCHEMA, "verb": self.verb, "input": source, "status": status, **fields}
            _print(dumps(record))

    def failure(self, source: str, failure: Failure) -> None:
        """An error about one file, on stderr and as a JSON object."""
        fail(failure, source=source, debug=self.debug)
        self.record(source, "error", {"exit_code": int(failure.code), "error": failure.text})

    @contextmanager
    def progress(self, name: str) -> Iterator["Callable[[StepInfo], None] | None"]:
        """A progress bar on stderr, where that is a terminal; yields what to call at each step, or None."""
        from .progress import Display

        with Display([name], lambda: [0.0], quiet=self.quiet) as display:
            display.start(0)
            yield (lambda info: display.step(0, info)) if display.shows else None


class Course:
    """How far an encode is over all its phases."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._phase, self._began = clock, "", 0.0
        self._left = 0.0  # seconds to the end, as last told by the fit

    def at(self, phase: str, step: int, steps: int, eta: float) -> tuple[float, float]:
        """The share that is done, 0 to 1, and the seconds left: those of the fit and of what follows it, else by the pace of the phase."""
        from ..media.course import share_of

        now = self._clock()
        if phase != self._phase:
            self._phase, self._began = phase, now
        share = step / max(steps, 1)
        if phase == "fit":
            self._left = eta
        elif phase == "quantise":
            gone = now - self._began
            pace = gone * (1 - share) / share if share else self._left
            eta = max(pace, self._left - gone)  # the fit's estimate counts what follows the quantisation too
        return share_of(phase, step, steps), eta


def fail(failure: Failure, *, source: str | None = None, debug: bool = False) -> None:
    """An error on stderr in one sentence, and its traceback where `debug`."""
    if debug:
        _say(failure.trace)
    _say(f"error: {failure.text if source is None else about(source, failure.text)}")


def about(source: str, text: str) -> str:
    """A sentence that names the file that it is about."""
    return text if source in text else f"{source}: {text}"


def show(text: str) -> None:
    """Text on stdout: help and version."""
    _print(text)


def write_stdout(data: bytes) -> None:
    """Bytes on stdout."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def refuse_terminal() -> None:
    """Raise UsageError where binary data would land on a terminal, or nowhere."""
    if sys.stdout is None:  # closed by the caller
        raise UsageError("standard output is closed; redirect it or give -o FILE")
    if sys.stdout.isatty():
        raise UsageError("stdout is a terminal; expected a file or a pipe for binary data: redirect it or give -o FILE")


def hush_stdout() -> None:
    """After the reader of stdout has gone: let the interpreter's last flush go nowhere instead of failing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def size(count: int) -> str:
    """Bytes as people read them: 812 B, 13.2 kB, 4.1 MB, 2.0 GB."""
    if count < 1000:
        return f"{count} B"
    if count < 1e6:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds as people read them: 3.2 s, 182 s, 1 h 05 min."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 3600 else f"{seconds // 3600:.0f} h {seconds % 3600 / 60:02.0f} min"


def rate(layout: "Layout", count: int) -> str:
    """What `count` bytes are for a signal: kilobits a second where it lasts, else bits a sample."""
    return f"{8 * count / layout.samples:.3f} bpp" if layout.seconds is None else f"{8e-3 * count / layout.seconds:.2f} kbps"


def figures(found: Mapping[str, float]) -> str:
    """How close a decoded file is to its source: 36.02 dB PSNR."""
    if all(value == math.inf for value in found.values()):
        return "equal to its source"
    return ", ".join(f"{value:.2f} {FIGURES[name]}" for name, value in found.items())


def beside(layout: "Layout", count: int | None = None, found: Mapping[str, float] | None = None) -> str:
    """What runs beside a signal, in a few words: with sound (2 s, 48000 Hz, stereo, 16 bit, 4.1 kB, 14.20 dB SNR)."""
    from ..media import MEDIA

    medium = MEDIA[layout.kind]
    parts = [medium.describe(layout), *([] if count is None else [size(count)]), *([figures(found)] if found else [])]
    return f"with {medium.noun} ({', '.join(parts)})"


def track_records(tracks: "Sequence[tuple[int, Layout, int | None, Mapping[str, float]]]") -> dict[str, Json]:
    """The same as data, of (start in ticks, layout, bytes where they are known, figures) of each; nothing where there is none."""
    from ..media import MEDIA
    from ..signal import TICKS

    records: list[Json] = [
        {
            "kind": layout.kind.name.lower(),
            "start": start / TICKS,
            **MEDIA[layout.kind].facts(layout),
            **({} if count is None else {"bytes": count}),
            **found,
        }
        for start, layout, count, found in tracks
    ]
    return {"tracks": records} if records else {}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print(text: str) -> None:
    print(text, flush=True)
