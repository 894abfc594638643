"""Errors that the user can fix. Their messages state what was found, what was expected and what to do.

Scripts print these errors without a traceback and exit. Any other exception is a bug and keeps its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Base class of all errors that the user can fix."""


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
