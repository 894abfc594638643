"""Unpack archives into the data folder atomically, even if the process is killed.

The staging folder contains, for an archive NAME:

| entry | content |
| --- | --- |
| ``NAME.unpacking/`` | archive being unpacked; the next run deletes it if the process is killed |
| ``NAME.ready/`` | complete archive whose ``tree`` is being moved to the data folder; the next run resumes the move |
| ``NAME.json`` | unpacked parts of the archive: {"parts": [drives or sequences]} |
"""

import json
import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed, wait
from pathlib import Path
from typing import Any

from common.errors import DataError
from common.zip_archives import ZIP_FAULTS, leaves_folder, opened_zip
from tools.kitti.archives import Archive
from tools.kitti.jpeg_conversion import png_to_jpg

MAX_BYTES = 50_000_000  # of a member


class DamagedArchiveError(DataError):
    """An archive cannot be unpacked; another copy of it may be intact."""


class StagingDir:
    """Staging folder in which archives are unpacked before they are moved to the data folder.

    Args:
        data_path: the data folder.
        folder: the staging folder, on the same file system as the data folder.
    """

    def __init__(self, data_path: Path, folder: Path) -> None:
        self._data_path, self._folder = data_path, folder
        self._moving = threading.Lock()  # two archives may contain the same folder

    def parts(self, archive: Archive) -> frozenset[str]:
        """List the drives or sequences that were unpacked from an archive."""
        try:
            return frozenset(json.loads(self._record(archive.name).read_text(encoding="utf-8"))["parts"])
        except (FileNotFoundError, ValueError, LookupError, TypeError, RecursionError):  # missing or damaged
            return frozenset()

    def left_over(self) -> list[str]:
        """List archives that a killed run unpacked but did not publish; delete incompletely unpacked ones."""
        for unpacking in self._folder.glob("*.unpacking"):
            shutil.rmtree(unpacking)
        return sorted(ready.stem for ready in self._folder.glob("*.ready"))

    def unpack(self, path: Path, archive: Archive, to_jpg: bool, pool: Executor, on_file: Callable[[int], None]) -> int:
        """Unpack the selected members of an archive into the staging folder; ``publish`` moves them.

        Args:
            path: file of the archive.
            archive: selection of its members.
            to_jpg: whether to convert camera images to JPEG.
            pool: executor for unpacking and conversion.
            on_file: called before each file with its compressed size in bytes; an exception from it stops the work.

        Returns:
            Number of unpacked files.

        Raises:
            DamagedArchiveError: the file is not a complete zip archive, or contains none of the selected members.
            DataError: the path of a member leads outside the folder.
        """
        unpacking = self._folder / f"{archive.name}.unpacking"
        tree = unpacking / "tree"
        shutil.rmtree(unpacking, ignore_errors=True)
        tree.mkdir(parents=True)
        try:
            with opened_zip(path, DamagedArchiveError) as contents:
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
        """Move an unpacked archive to the data folder, overwriting existing files, and record its parts."""
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


def _targets(contents: zipfile.ZipFile, archive: Archive, path: Path) -> dict[str, str]:
    """Map the members to unpack to their target paths relative to the data folder."""
    names = contents.namelist()
    for name in names:
        if leaves_folder(name):
            raise DataError(
                f"'{path}' is unsafe: its member '{name}' leads outside the data folder. Nothing was unpacked."
            )
    targets = {name: target for name in names if (target := archive.target_of(name)) is not None}
    if not targets:
        wanted = ", ".join(sorted(archive.parts))
        raise DamagedArchiveError(f"'{path}' contains no files of {wanted}: its content does not match its name.")
    return targets


def _write_member(contents: zipfile.ZipFile, member: str, goal: Path, to_jpg: bool) -> None:
    """Write a member after verifying its checksum; optionally convert PNG to JPEG."""
    to_jpg = to_jpg and goal.suffix == ".png"
    try:
        with contents.open(member) as stream:
            content = stream.read(MAX_BYTES + 1)  # its declared size may be wrong
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        if to_jpg:
            content = png_to_jpg(content)
    except ZIP_FAULTS as fault:
        raise DamagedArchiveError(
            f"'{contents.filename}' is damaged or truncated: '{member}' cannot be read ({fault})."
        ) from fault
    (goal.with_suffix(".jpg") if to_jpg else goal).write_bytes(content)


def _move_into(source: Path, goal: Path) -> None:
    """Move the content of a folder into another; rename whole subfolders if possible, else move file by file."""
    for entry in sorted(source.iterdir()):
        place = goal / entry.name
        if entry.is_dir() and place.is_dir():
            _move_into(entry, place)
        else:
            os.replace(entry, place)
            if place.suffix == ".jpg":  # the JPEG replaces an existing PNG
                place.with_suffix(".png").unlink(missing_ok=True)


def in_parallel(pool: Executor, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Apply a function to each item in parallel; after the first error, cancel pending tasks and wait for running ones.

    Returns:
        The results in the order of the items.

    Raises:
        Exception: the error of the first task that failed.
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
