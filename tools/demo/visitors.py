"""The visitors' files: each has a folder of their own, which goes when they go or send something else."""

import shutil
import tempfile
from pathlib import Path


class Visitors:
    """Folders by visitor.

    Args:
        root: holds the folders, under names that nobody can guess.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sources: dict[str, Path] = {}
        root.mkdir(parents=True, exist_ok=True)

    def begin(self, visitor: str, sent: Path | None = None) -> Path | None:
        """A new folder for a visitor in the place of the one before.

        Args:
            visitor: tells visitors apart.
            sent: a file that they sent or chose; None takes what the folder before holds.

        Returns:
            A copy of the file in the new folder; None where there is none to copy.
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
        """Removes a visitor's folder, if there is one."""
        source = self._sources.pop(visitor, None)
        if source is not None:
            shutil.rmtree(source.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Removes what was still written for visitors who had gone. Not while anything is being written."""
        owned = {source.parent for source in self._sources.values()}
        for folder in set(self._root.iterdir()) - owned:
            shutil.rmtree(folder, ignore_errors=True)
