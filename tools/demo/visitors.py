"""Folders of the visitors: one each, deleted when the visitor leaves, uploads another file, or stays too long."""

import shutil
import tempfile
import threading
import time
from pathlib import Path

MAX_SECONDS = 3600.0  # maximum age of a visitor's folder: a browser that crashed never says that it left
MAX_BYTES = 2_000_000_000  # of all folders together


class Visitors:
    """One temporary folder per visitor. Methods may be called from any thread.

    Args:
        root: Parent of the folders. Their names are random and cannot be guessed.
        max_seconds: Maximum age of a folder.
        max_bytes: Maximum size of all folders together; the oldest are deleted, except the newest, which is in use.
    """

    def __init__(self, root: Path, max_seconds: float = MAX_SECONDS, max_bytes: int = MAX_BYTES) -> None:
        self._root = root
        self._max_seconds, self._max_bytes = max_seconds, max_bytes
        self._sources: dict[str, Path] = {}  # oldest first
        self._begun: dict[str, float] = {}
        self._lock = threading.RLock()
        root.mkdir(parents=True, exist_ok=True)

    def begin(self, visitor: str, sent: Path | None = None) -> Path | None:
        """Replace a visitor's folder by a new one that contains their file.

        Args:
            visitor: Session identifier.
            sent: Uploaded or selected file; None reuses the file in the previous folder.

        Returns:
            Copy of the file in the new folder; None if there is no file.
        """
        with self._lock:
            source = sent or self._sources.get(visitor)
            if source is None or not source.is_file():
                return None
            copy = Path(tempfile.mkdtemp(dir=self._root)) / source.name
            shutil.copyfile(source, copy)
            self.forget(visitor)
            self._sources[visitor] = copy
            self._begun[visitor] = time.monotonic()
            return copy

    def forget(self, visitor: str) -> None:
        """Delete a visitor's folder, if there is one."""
        with self._lock:
            source = self._sources.pop(visitor, None)
            self._begun.pop(visitor, None)
            if source is not None:
                shutil.rmtree(source.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Delete folders that are too old or too large, and those that were recreated after their visitor left."""
        with self._lock:
            for visitor, begun in list(self._begun.items()):
                if time.monotonic() - begun > self._max_seconds:
                    self.forget(visitor)
            owned = {source.parent for source in self._sources.values()}
            for folder in set(self._root.iterdir()) - owned:
                shutil.rmtree(folder, ignore_errors=True)
            for visitor in list(self._sources)[:-1]:
                if _size(self._root) <= self._max_bytes:
                    break
                self.forget(visitor)


def _size(folder: Path) -> int:
    """Return the size of all files below the folder, bytes; files that vanish meanwhile count as empty."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
