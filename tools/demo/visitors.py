"""Folders of the visitors: one each, deleted when the visitor leaves or uploads another file."""

import shutil
import tempfile
from pathlib import Path


class Visitors:
    """One temporary folder per visitor.

    Args:
        root: Parent of the folders. Their names are random and cannot be guessed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sources: dict[str, Path] = {}
        root.mkdir(parents=True, exist_ok=True)

    def begin(self, visitor: str, sent: Path | None = None) -> Path | None:
        """Replace a visitor's folder by a new one that contains their file.

        Args:
            visitor: Session identifier.
            sent: Uploaded or selected file; None reuses the file in the previous folder.

        Returns:
            Copy of the file in the new folder; None if there is no file.
        """
        source = sent or self._sources.get(visitor)
        if source is None or not source.is_file():
            return None
        copy = Path(tempfile.mkdtemp(dir=self._root)) / source.name
        shutil.copyfile(source, copy)
        self.forget(visitor)
        self._sources[visitor] = copy
        return copy

    def forget(self, visitor: str) -> None:
        """Delete a visitor's folder, if there is one."""
        source = self._sources.pop(visitor, None)
        if source is not None:
            shutil.rmtree(source.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Delete folders that were recreated after their visitor left. Must not run while results are being written."""
        owned = {source.parent for source in self._sources.values()}
        for folder in set(self._root.iterdir()) - owned:
            shutil.rmtree(folder, ignore_errors=True)
