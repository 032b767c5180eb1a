"""The command line: i2c encode, decode, info, verify, compare, train, reproduce and bench."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ExitCode
from ..memory import keep_freed_memory
from . import bench, output, presets
from .compare import compare
from .decode import decode
from .doctor import doctor
from .encode import encode
from .errors import Terminated, exit_code
from .info import info
from .options import Debug
from .refine import refine
from .reproduce import reproduce
from .train import train
from .verify import verify
from .work import Failure

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SENT_AGAIN = 0.05  # seconds after which a signal is sent once more that came at a moment at which Python drops exceptions

EPILOG = """\b
Examples:
  i2c encode photo.png                    photo.i2, beside it
  i2c encode *.png -O packed              many; every argument is an input
  i2c encode photos -r -O packed -j auto  a folder, several at once
  i2c encode photo.png -q 90 -e 7         better, slower
  i2c encode photo.png --time-limit 2m
  i2c decode photo.i2                     photo.i2.png, never the source
  i2c decode photo.i2 --scale 4           photo.i2@4x.png
  i2c decode photo.i2 --crop 100,50,640,480 --size 1920x1440 -o part.png
  i2c decode photo.i2 -o - | other-tool
  i2c verify photo.i2 --against photo.png --min-psnr 30
  i2c compare photo.png --target-size 20k  against JPEG, WebP, AVIF, JPEG XL
  i2c info photo.i2                       what it holds, and where its bytes are
  i2c encode song.wav --bitrate 24k       song.i2; i2c decode gives song.i2.wav
  i2c refine photo.i2 --from photo.png -e 7   more effort, never worse
  i2c doctor                              is all well here?
  i2c train photos/*.jpg --out start --minutes 60
  i2c encode bunny.ply                    bunny.i2; needs pip install "i2compress[shape]"
  i2c decode bunny.i2 --resolution 512    its surface on a finer grid
  i2c reproduce --help                    the experiments of the paper

\b
Exit codes:
  0 done    1 some failed    2 usage    3 output exists    4 input unreadable
  5 .i2 damaged or too new   6 target not met    7 out of memory or no device
  130 interrupted    143 terminated
"""

FITTING = ("encode", "refine", "doctor", "compare", "train", "reproduce", "bench")

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
    epilog=EPILOG,
)


# The lines of the examples that i2c alone shows, by what only they say.
SHOWN = ("encode photo.png  ", "encode photos", "-q 90", "decode photo.i2  ", "--scale 4", "verify", "i2c info", "doctor")


def _first(context: typer.Context) -> str:
    """What i2c alone shows: what it is, eight examples, and where there is more."""
    lines = EPILOG.splitlines()
    examples = [next(line for line in lines if words in line) for words in SHOWN]
    return "\n".join([context.command.help or "", "", *examples, "", "i2c --help shows all verbs, i2c VERB --help the options of one."])


def _examples(verb: str) -> str | None:
    """The examples of one verb."""
    lines = [line for line in EPILOG.splitlines() if line.startswith(f"  i2c {verb}")]
    return "\n".join(["\b", "Examples:", *lines]) if lines else None


@app.callback(invoke_without_command=True)
def i2c(
    context: typer.Context,
    version: Annotated[bool, typer.Option("-V", "--version", help="Show the version.")] = False,
    debug: Debug = False,
) -> None:
    """A neural codec: a picture or a sound becomes a small implicit network, decoded at any resolution."""
    if version:
        output.show(f"i2c {_version()}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        output.show(_first(context))
        raise typer.Exit()
    if context.invoked_subcommand in FITTING:
        keep_freed_memory()


for verb in (encode, decode, info, verify, refine, compare, doctor, train, reproduce):
    app.command(no_args_is_help=False, epilog=_examples(verb.__name__))(verb)
app.add_typer(bench.app, name="bench", context_settings=HELP)


@app.command(name="help")
def show_help(context: typer.Context) -> None:
    """Show the help of i2c; that of a verb is shown by i2c VERB --help."""
    output.show(context.find_root().get_help())


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line on `args` (the process's by default) and return its exit code; prints no traceback without --debug."""
    words = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in words
    try:
        with ends_tidily():
            command = typer.main.get_command(app)
            code = command(words, prog_name="i2c", standalone_mode=False, default_map=presets.environment(command, os.environ))
    except SystemExit as error:  # Typer's way to say that the reader of stdout has gone
        output.hush_stdout()
        return error.code if isinstance(error.code, int) else ExitCode.FAILED
    except BaseException as error:
        output.fail(Failure.of(error), debug=debug)
        return exit_code(error)
    if code == ExitCode.INTERRUPTED:  # Typer has turned the exception into its exit code
        output.fail(Failure.of(KeyboardInterrupt()), debug=debug)
    if args is None:
        gc.freeze()  # at its end the interpreter looks through all objects for what could be freed, those of torch too: for half a second
    return code if isinstance(code, int) else ExitCode.OK


@contextmanager
def ends_tidily() -> Iterator[None]:
    """Makes SIGTERM, and SIGHUP of a terminal that is closed, an exception, so that unfinished files are removed on the way out."""

    arrived, timers = [signal.SIGTERM.value], list[threading.Timer]()

    def terminate(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        raise Terminated

    def ignored(what: "UnraisableHookArgs") -> None:
        # Python drops what is raised while it frees an object, which is as likely a moment as any other: so the signal is sent once more.
        if issubclass(what.exc_type, Terminated | KeyboardInterrupt):
            number = arrived[-1] if issubclass(what.exc_type, Terminated) else signal.SIGINT.value
            timers.append(threading.Timer(SENT_AGAIN, signal.raise_signal, (number,)))
            timers[-1].start()
        else:
            hook(what)

    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    kinds = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP
    # What ignores a hangup, such as a command under nohup, goes on doing so.
    before = [(kind, signal.signal(kind, terminate)) for kind in kinds if signal.getsignal(kind) is not signal.SIG_IGN]
    hook, sys.unraisablehook = sys.unraisablehook, ignored
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for timer in timers:
            timer.cancel()
        for kind, handler in before:
            signal.signal(kind, handler)


def _version() -> str:
    try:
        return metadata.version("i2compress")
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "(not installed)"
