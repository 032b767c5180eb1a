"""Every error a user can meet, as one tree, each with its exit code.

    I2Error                     1  something about the input or the file, said in one sentence
    ├── UsageError              2  arguments that contradict each other or are out of range
    ├── OutputExistsError       3  the output is there already
    ├── SignalError             4  the input cannot be read or is not supported
    ├── FormatError             5  the .i2 file is damaged, truncated or too new
    │   ├── BadMagicError
    │   ├── UnsupportedVersionError
    │   ├── TruncatedError
    │   ├── ChecksumError
    │   ├── LimitError
    │   └── MalformedError
    ├── TargetError             6  a size or quality that was asked for could not be met
    ├── ResourceError           7  not enough memory, or the device is not there
    └── ConvergenceError        1  a fixed point that was not reached

Every message says what was found, what was expected and what to do.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    FAILED = 1
    USAGE = 2
    EXISTS = 3
    INPUT = 4
    CORRUPT = 5
    TARGET = 6
    RESOURCE = 7
    INTERRUPTED = 130
    TERMINATED = 143


class I2Error(Exception):
    """Base of every error raised on purpose."""

    exit_code = ExitCode.FAILED


class UsageError(I2Error):
    """Arguments that contradict each other or are out of range."""

    exit_code = ExitCode.USAGE


class OutputExistsError(I2Error):
    """The output is there already and was not to be replaced."""

    exit_code = ExitCode.EXISTS


class SignalError(I2Error):
    """The input cannot be read or holds something that is not supported."""

    exit_code = ExitCode.INPUT


class FormatError(I2Error):
    """The .i2 file is damaged, truncated or too new."""

    exit_code = ExitCode.CORRUPT


class BadMagicError(FormatError):
    """The file does not start like an .i2 file."""


class UnsupportedVersionError(FormatError):
    """The file needs a newer reader."""


class TruncatedError(FormatError):
    """The file ends too early."""


class ChecksumError(FormatError):
    """A chunk's CRC-32 does not match its bytes."""


class LimitError(FormatError):
    """The file asks for more than the format allows."""


class MalformedError(FormatError):
    """The file breaks a rule of the format."""


class TargetError(I2Error):
    """A size or quality that was asked for could not be met."""

    exit_code = ExitCode.TARGET


class ResourceError(I2Error):
    """Not enough memory, or the device is not there."""

    exit_code = ExitCode.RESOURCE


class ConvergenceError(I2Error):
    """A fixed point that was not reached."""
