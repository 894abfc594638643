"""Exclusive use of a folder by one process.

The lock is the kernel's (``flock``) on a file in the folder. It ends with the process, however that ends, so a file
left behind is no obstacle. The file contains the holder, for the message to others.
"""

import contextlib
import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from common.errors import UserError, write_error

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class FolderInUseError(UserError):
    """Another process holds the lock; the message describes it, for example "process 12 on host a, since ..."."""


class FolderLock:
    """A held lock, from ``lock_folder``.

    Args:
        path: The lock file.
        stream: The open lock file.
    """

    def __init__(self, path: Path, stream: IO[str]) -> None:
        self._path, self._stream = path, stream

    def is_intact(self) -> bool:
        """Return whether the lock file is still in place; without it, other processes can lock the folder, too."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._stream.fileno()))
        except OSError:
            return False


@contextlib.contextmanager
def lock_folder(path: Path) -> Iterator[FolderLock]:
    """Hold a lock during the block. Where the file system cannot lock, print a warning and continue.

    Args:
        path: The lock file; it and its folder are created.

    Raises:
        FolderInUseError: Another process holds the lock.
        UserError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(path, "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as fault:
        raise write_error(path, fault) from fault
    with stream:
        _lock(path, stream)
        holder = {"process": os.getpid(), "host": socket.gethostname(), "since": _now()}
        with contextlib.suppress(OSError):  # a full disk does not affect the lock, only the message to others
            stream.truncate(0)
            stream.write(json.dumps(holder))
            stream.flush()
        yield FolderLock(path, stream)


def check_unlocked(path: Path) -> None:
    """Check that no process holds a lock; nothing is created or written.

    Raises:
        FolderInUseError: A process holds it.
    """
    with contextlib.suppress(OSError), open(path, "r+", encoding="utf-8") as stream:
        _lock(path, stream, warn=False)


def _lock(path: Path, stream: IO[str], *, warn: bool = True) -> None:
    """Lock an open file until it is closed."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "this system has no flock")
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        if fault.errno in _HELD:
            raise FolderInUseError(_holder(stream)) from None
        if warn:
            reason = fault.strerror or fault
            print(
                f"Warning: {path.parent} cannot be locked ({reason}). Start no second process in this folder: they "
                "would overwrite each other's files.",
                file=sys.stderr,
            )


def _holder(stream: IO[str]) -> str:
    try:
        stream.seek(0)
        holder = json.loads(stream.read(1000))
        return f"process {holder['process']} on host {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, RecursionError, LookupError, TypeError):  # the holder is about to write it
        return "another process"


def _now() -> str:
    """Return the local time with its UTC offset, ISO 8601 to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
