"""Files and folders that are whole or absent: written under a temporary name, synced, renamed.

A process killed at any moment leaves the old file or the new one, never half of either. Temporary names are
fixed, so that the next save clears what a killed one left; one process at a time may write a path.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from common.errors import UserError


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A stream to write ``path`` by; the file takes its name when the block ends without an error.

    Raises:
        UserError: the file cannot be written: no space, no permission.
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
    """Writes ``content`` as JSON, indented, by ``atomic_file``; raises UserError as that does."""
    with atomic_file(path) as stream:
        stream.write(json.dumps(content, indent=2).encode() + b"\n")


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill; it takes the place of ``folder`` when the block ends without an error.

    The files in it must have been synced, as those of ``atomic_file`` are. A folder cannot be replaced in one
    operation: the old one steps aside first, where ``resolve_complete_dir`` finds it should the process die in
        between.

    Raises:
        UserError: the folder cannot be written: no space, no permission.
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
    """Return ``folder``, or its previous version where a save was cut off just before the new one took its name."""
    old = _sibling(folder, "old")
    return old if not folder.exists() and old.is_dir() else folder


def _sibling(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{ending}")


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise UserError(f"{path} cannot be written: {fault.strerror or fault}.") from fault


def _sync_folder(folder: Path) -> None:
    """Makes the names in ``folder`` last; only POSIX systems can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
