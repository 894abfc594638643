"""Archives into the data folder, each whole or not at all, whenever the process dies.

In the staging folder, for an archive NAME:

NAME.unpacking/   being filled; what a killed run leaves of it is deleted
NAME.ready/       complete: its ``tree`` is being moved into the data folder, and the next run goes on with that
NAME.json         what of the archive has been unpacked: {"parts": [drives or sequences]}
"""

import json
import os
import shutil
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed, wait
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from common.errors import DataError
from tools.kitti.archives import Archive
from tools.kitti.jpeg_conversion import png_to_jpg

# What zipfile raises for files that are no whole archives; OSError where an offset leads out of the file.
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


class DamagedArchiveError(DataError):
    """An archive that cannot be unpacked; another copy may be whole."""


class StagingDir:
    """The folder in which archives are unpacked before they take their place in the data folder.

    Args:
        data_path: the data folder, on whose file system the staging folder must be.
        folder: the staging folder.
    """

    def __init__(self, data_path: Path, folder: Path) -> None:
        self._data_path, self._folder = data_path, folder
        self._moving = threading.Lock()  # two archives may bring the same folder

    def parts(self, archive: Archive) -> frozenset[str]:
        """The drives or sequences that were unpacked from an archive."""
        try:
            return frozenset(json.loads(self._record(archive.name).read_text(encoding="utf-8"))["parts"])
        except (FileNotFoundError, ValueError):
            return frozenset()

    def left_over(self) -> list[str]:
        """The names of archives that a killed run unpacked and did not publish; deletes what it had not completed."""
        for unpacking in self._folder.glob("*.unpacking"):
            shutil.rmtree(unpacking)
        return sorted(ready.stem for ready in self._folder.glob("*.ready"))

    def unpack(self, path: Path, archive: Archive, to_jpg: bool, pool: Executor, on_file: Callable[[int], None]) -> int:
        """Unpacks what is wanted of an archive, whole or not at all; `publish` brings it to its place.

        Args:
            path: the archive's file.
            archive: what is wanted of it.
            to_jpg: photographs become jpg.
            pool: unpacks and converts.
            on_file: called before each file with its bytes in the archive; what it raises ends the work.

        Returns:
            The number of files.

        Raises:
            DamagedArchiveError: the file is not a whole zip archive, or holds nothing that is wanted.
            DataError: a member's path leaves the folder.
        """
        unpacking = self._folder / f"{archive.name}.unpacking"
        tree = unpacking / "tree"
        shutil.rmtree(unpacking, ignore_errors=True)
        tree.mkdir(parents=True)
        try:
            with _opened(path) as contents:
                targets = _targets(contents, archive, path)
                for folder in {(tree / target).parent for target in targets.values()}:
                    folder.mkdir(parents=True, exist_ok=True)

                def write(member: str) -> None:
                    on_file(contents.getinfo(member).compress_size)
                    _write_member(contents, member, tree / targets[member], to_jpg and archive.photos)

                in_parallel(pool, write, targets)
            parts = sorted(self.parts(archive) | archive.parts)
            (unpacking / "record.json").write_text(json.dumps({"parts": parts}) + "\n", encoding="utf-8")
            unpacking.rename(self._ready(archive.name))
        finally:
            shutil.rmtree(unpacking, ignore_errors=True)
        return len(targets)

    def publish(self, name: str) -> None:
        """Moves what was unpacked of an archive into the data folder, in place of what is there, and records it."""
        ready = self._ready(name)
        with self._moving:
            if (ready / "tree").is_dir():
                _move_into(ready / "tree", self._data_path)
            record = ready / "record.json"
            if record.is_file():
                record.replace(self._record(name))
            shutil.rmtree(ready)

    def _ready(self, name: str) -> Path:
        return self._folder / f"{name}.ready"

    def _record(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _FAULTS as fault:
        raise DamagedArchiveError(f"{path} is damaged: {fault}.") from fault


def _targets(contents: zipfile.ZipFile, archive: Archive, path: Path) -> dict[str, str]:
    """The members to unpack, and where each goes below the data folder."""
    names = contents.namelist()
    for name in names:
        if _leaves_folder(name):
            raise DataError(f"{path} is refused: its member '{name}' would be written outside of the data folder.")
    targets = {name: target for name in names if (target := archive.target_of(name)) is not None}
    if not targets:
        wanted = ", ".join(sorted(archive.parts))
        raise DamagedArchiveError(f"{path} holds nothing of {wanted}: it is not the archive that its name says.")
    return targets


def _leaves_folder(name: str) -> bool:
    """Whether a member's path is absolute or goes up, on any system."""
    return any(kind(name).anchor or ".." in kind(name).parts for kind in (PurePosixPath, PureWindowsPath))


def _write_member(contents: zipfile.ZipFile, member: str, goal: Path, to_jpg: bool) -> None:
    """Writes a member, whose checksum is verified as it is read; a png as jpg where asked."""
    to_jpg = to_jpg and goal.suffix == ".png"
    try:
        content = contents.read(member)
        if to_jpg:
            content = png_to_jpg(content)
    except _FAULTS as fault:
        raise DamagedArchiveError(f"{contents.filename} is damaged: '{member}' cannot be read ({fault}).") from fault
    (goal.with_suffix(".jpg") if to_jpg else goal).write_bytes(content)


def _move_into(source: Path, goal: Path) -> None:
    """Moves what a folder holds into another: what is not there yet by one renaming, else file by file."""
    for entry in sorted(source.iterdir()):
        place = goal / entry.name
        if entry.is_dir() and place.is_dir():
            _move_into(entry, place)
        else:
            os.replace(entry, place)
            if place.suffix == ".jpg":  # made from it: the png that was there is no longer needed
                place.with_suffix(".png").unlink(missing_ok=True)


def in_parallel(pool: Executor, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """What the function gives for each item, in their order; after the first error nothing new is begun, and all ended.

    Raises:
        The error of the first task that failed.
    """
    futures = [pool.submit(function, item) for item in items]
    try:
        for future in as_completed(futures):
            future.result()
    finally:
        for future in futures:
            future.cancel()
        wait(futures)
    return [future.result() for future in futures]
