"""Errors that the user can fix. Their messages state what was found, what was expected and what to do.

Scripts print these errors without a traceback and exit. Any other exception is a bug and keeps its traceback.
"""

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def printable(text: Any) -> str:
    """Escape the control characters of a text."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def shell_quoted(path: str | os.PathLike) -> str:
    """Quote a path in a command that a message suggests; control characters take the escapes of Bash and Zsh."""
    text = str(path)
    if text.isprintable():
        return shlex.quote(text)
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    escaped = (char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(char)) for char in text)
    return f"$'{''.join(escaped)}'"


class UserError(Exception):
    """Base class of all errors that the user can fix. Names and values in the message reach no terminal as commands."""

    def __str__(self) -> str:
        """Return the message; control characters are escaped, except the ends of its lines."""
        return "\n".join(printable(line) for line in super().__str__().split("\n"))


class OptionsError(UserError):
    """An option is unknown, has the wrong type, is out of range, or conflicts with another option."""


class DataError(UserError):
    """A dataset, split or ground-truth file is missing, empty, or does not follow its format."""


class WeightsError(UserError):
    """A weights file is missing, damaged, unsafe, or does not match the network."""


class TrainingError(UserError):
    """Training cannot continue, for example because the loss is not finite."""


class OutputError(UserError):
    """Standard output was closed, or its disk is full."""


class Stopped(Exception):  # noqa: N818  (no error)
    """A signal stopped the program, after it saved its state.

    Args:
        signum: Number of the signal.
        message: What was saved, and how to resume.
    """

    def __init__(self, signum: int, message: str = "") -> None:
        super().__init__(message)
        self.signum = signum


# Faults of the system that the user can fix, and what to do.
SYSTEM_FAULTS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free disk space, or write to another disk."),
    errno.EFBIG: "Raise the limit on file sizes (ulimit -f).",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Change its permissions, or pass another path."),
    errno.EROFS: "Write to another folder.",
}


def write_error(path: object, fault: OSError) -> UserError:
    """Return the error that says why a file or folder cannot be written, and what to do."""
    advice = SYSTEM_FAULTS.get(fault.errno, "")
    if fault.errno == errno.ENOENT:
        advice = "Its folder was deleted or moved at that moment. Do not change it while a program writes there."
    return UserError(f"{path} cannot be written: {fault.strerror or fault}. {advice}".rstrip())


@contextmanager
def as_data_error() -> Iterator[None]:
    """Convert a ``ValueError`` raised in the block into a ``DataError``.

    ``evaluation.metrics`` raises ``ValueError`` because it does not depend on this project.

    Raises:
        DataError: The block raised a ``ValueError``.
    """
    try:
        yield
    except ValueError as error:
        raise DataError(str(error)) from error
