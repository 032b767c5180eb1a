"""From an exception to an exit code and a sentence: the one table."""

import errno

import typer

from ..errors import ExitCode, I2Error

# Typer moved its usage errors from click to a private module; their base is found through the one public member.
_CommandLineError = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived. Not an Exception, so that it passes every handler of errors, as KeyboardInterrupt does."""


EXIT_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (_CommandLineError, ExitCode.USAGE),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (typer.Abort, ExitCode.INTERRUPTED),
    (Terminated, ExitCode.TERMINATED),
    (MemoryError, ExitCode.RESOURCE),
)


def exit_code(error: BaseException) -> ExitCode:
    """The exit code of an error."""
    if isinstance(error, I2Error):
        return error.exit_code
    if _is_device_memory_error(error) or _is_full_disk(error):
        return ExitCode.RESOURCE
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), ExitCode.FAILED)


def sentence(error: BaseException) -> str:
    """What to tell the user, without a traceback."""
    if isinstance(error, I2Error):
        return str(error)
    if isinstance(error, _CommandLineError):
        return _usage(error)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "interrupted"
    if isinstance(error, Terminated):
        return "terminated"
    if isinstance(error, MemoryError) or _is_device_memory_error(error):
        return "not enough memory; use a smaller picture, a smaller --width, or --device cpu"
    if _is_full_disk(error):
        return "the output cannot be written: the disk is full; free some space and run again"
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    return f"internal error, {type(error).__name__}: {error}; run again with --debug and report what it shows"


def _is_full_disk(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _is_device_memory_error(error: BaseException) -> bool:
    # By name, so that telling an exit code never imports torch.
    return type(error).__name__ == "OutOfMemoryError"


def _usage(error: BaseException) -> str:
    text = str(getattr(error, "format_message", error.__str__)()).strip().rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{text}; see {context.command_path} --help" if context else text
