"""Atomic writes of files and folders: write under a temporary name, sync, rename.

A process killed at any moment leaves the old version or the new one, never a partial file. Temporary names are fixed:
the next save removes the leftovers of a killed one. Only one process at a time may write a path.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from common.errors import UserError, write_error


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a stream that becomes the file ``path`` if the block ends without an error.

    Raises:
        UserError: The file cannot be written, for example for lack of space or permission.
    """
    temporary = _sibling(path, "tmp")
    with _named_faults(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically.

    Raises:
        UserError: The file cannot be written.
    """
    with atomic_file(path) as stream:
        stream.write(json.dumps(content, indent=2).encode() + b"\n")


def check_writable(folder: Path) -> None:
    """Check, before the work starts, that files can be written in ``folder``; it need not exist, and is not created.

    Raises:
        UserError: A file cannot be created in it, or the folder itself cannot.
    """
    with _named_faults(folder):
        _create_temporary(folder.absolute())


def check_file_writable(path: Path) -> None:
    """Check, before the work starts, that ``atomic_file`` can write a file; nothing is created.

    Raises:
        UserError: The path is a folder, or a file cannot be created in its folder.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, expected a file. Pass a file in it, for example {path / 'NAME'}.")
    with _named_faults(path):
        _create_temporary(path.absolute().parent)


def _create_temporary(folder: Path) -> None:
    """Create a temporary file in a folder, or in the deepest one above it that exists."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    with tempfile.TemporaryFile(dir=existing):
        pass


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Create a temporary folder that replaces ``folder`` if the block ends without an error.

    Write its files with ``atomic_file``, which syncs them. A folder cannot be replaced in one operation: the old one is
    renamed first. If the process is killed in between, ``resolve_complete_dir`` finds the old one.

    Raises:
        UserError: The folder cannot be written, for example for lack of space or permission.
    """
    temporary, old = _sibling(folder, "tmp"), _sibling(folder, "old")
    with _named_faults(folder):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            _sync_folder(temporary)
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)
                os.replace(folder, old)
            os.replace(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            if old.is_dir() and not folder.exists():
                os.replace(old, folder)
            raise
        _sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def resolve_complete_dir(folder: Path) -> Path:
    """Return ``folder``, or its previous version if a save was killed between the two renames."""
    old = _sibling(folder, "old")
    return old if not folder.exists() and old.is_dir() else folder


def _sibling(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{ending}")


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise write_error(path, fault) from fault


def _sync_folder(folder: Path) -> None:
    """Sync the directory entries of ``folder`` to disk; only POSIX systems support this."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
