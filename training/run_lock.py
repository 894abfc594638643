"""The lock of a run's folder: two runs in one folder would overwrite each other's checkpoints, weights and logs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError
from common.folder_lock import FolderInUseError, FolderLock, check_unlocked, lock_folder

LOCK_FILE = "run.lock"


@contextlib.contextmanager
def lock_run(run_dir: Path) -> Iterator[FolderLock]:
    """Hold the lock of a run's folder during the block.

    Raises:
        UserError: another process trains there, or the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with _named_run(run_dir):
            lock = stack.enter_context(lock_folder(run_dir / LOCK_FILE))
        yield lock


def check_not_running(run_dir: Path) -> None:
    """Check that no process trains in a run's folder; nothing is created.

    Raises:
        UserError: one does.
    """
    with _named_run(run_dir):
        check_unlocked(run_dir / LOCK_FILE)


def check_still_there(lock: FolderLock, run_dir: Path) -> None:
    """Check that the folder has not been deleted or moved since it was locked.

    Raises:
        UserError: it has.
    """
    if not lock.is_intact():
        raise UserError(
            f"{run_dir} was deleted or moved during training: its earlier weights and logs are no longer there. What "
            "this run has written since is in a new folder of that name."
        )


@contextlib.contextmanager
def _named_run(run_dir: Path) -> Iterator[None]:
    try:
        yield
    except FolderInUseError as holder:
        raise UserError(
            f"{run_dir} is in use: another run trains there ({holder}). Wait for it or stop it, or start this run with "
            "another --model_name or --log_dir."
        ) from None
    except UserError as error:
        raise UserError(f"the run cannot start: {error} Pass another --log_dir.") from error
