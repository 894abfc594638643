"""What a user can mend: errors whose message says what was found, what was expected and what to do.

Scripts print these as one message and exit; anything else is a fault of the program and keeps its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Base of all errors that a user can mend."""


class OptionsError(UserError):
    """An option is unknown, of a wrong type, out of range, or makes no sense beside another."""


class DataError(UserError):
    """A dataset, split or ground truth is missing, empty, or not as its format says."""


class WeightsError(UserError):
    """A weight file is missing, damaged, unsafe, or does not fit the network."""


class TrainingError(UserError):
    """Training cannot go on, for example because the loss is no longer finite."""


class Stopped(Exception):  # noqa: N818  (no error)
    """A signal asked the program to end, and it has saved what it had.

    Args:
        signum: the signal.
        message: what was saved, and how to go on.
    """

    def __init__(self, signum: int, message: str = "") -> None:
        super().__init__(message)
        self.signum = signum


@contextmanager
def as_data_error() -> Iterator[None]:
    """Raise a ``ValueError`` of the block as a `DataError`: ``evaluation.metrics`` knows neither user nor project."""
    try:
        yield
    except ValueError as error:
        raise DataError(str(error)) from error
