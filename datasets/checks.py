"""Check before training that all images of a split exist."""

import os
from pathlib import Path
from typing import NamedTuple

from common.errors import DataError
from common.text_files import list_folder
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine

OTHER_EXTENSION = {".jpg": ".png", ".png": ".jpg"}
PATHS_SHOWN = 3


class SplitCheck(NamedTuple):
    """Lines with all their images, and dropped lines, each with its first missing path."""

    kept: list[SplitLine]
    dropped: list[tuple[SplitLine, str]]


def check_split(dataset: MonoDataset, part: str, log_dir: str | Path | None = None) -> SplitCheck:
    """Check that the images of all lines exist, by listing each folder once; no image is opened.

    Continue with ``dataset.replace(lines=check.kept)``.

    Args:
        dataset: Dataset to check.
        part: Name of the part of the split, for messages and the log file.
        log_dir: If given, dropped lines are listed in ``LOG_DIR/dropped_PART_lines.txt``.

    Returns:
        Kept lines, and lines dropped because the image of a frame is missing.

    Raises:
        DataError: No line is left, or a folder cannot be read.
    """
    listing = FolderListing()
    kept, dropped = [], []
    for line in dataset.lines:
        missing = next((path for path in dataset.frame_paths(line) if not listing.holds(path)), None)
        if missing is None:
            kept.append(line)
        else:
            dropped.append((line, missing))
    if dropped and log_dir is not None:
        _write_dropped(dropped, Path(log_dir) / f"dropped_{part}_lines.txt")
    if not kept:
        raise DataError(_nothing_left(dataset, part, dropped, listing))
    return SplitCheck(kept, dropped)


def missing_maps(dataset: MonoDataset) -> dict[str, int]:
    """Count the lines without a map, for each name of ``map_folders``.

    Raises:
        DataError: A folder of the dataset has no map for any line.
    """
    listing = FolderListing()
    counts = {}
    for name, folder in dataset.map_folders.items():
        candidates = [folder.paths(dataset.image_path(line, 0, line.side), dataset.data_path) for line in dataset.lines]
        counts[name] = sum(not any(listing.holds(path) for path in paths) for paths in candidates)
        if counts[name] == len(candidates):
            raise DataError(
                f"--{name} {folder.folder} has no {folder.kind.name} for any of the {len(candidates)} lines, for "
                f"example {' or '.join(candidates[0])}. Make them with {folder.kind.tool} for this --split."
            )
    return counts


class FolderListing:
    """Cached listings of folders; a missing folder counts as empty."""

    def __init__(self):
        self._names: dict[str, frozenset[str]] = {}

    def holds(self, path: str) -> bool:
        """Return whether the file exists.

        Raises:
            DataError: Its folder cannot be read.
        """
        folder, _, name = path.rpartition(os.sep)
        names = self._names.get(folder)
        if names is None:
            names = self._names[folder] = frozenset(list_folder(folder))
        return name in names


def _write_dropped(dropped: list[tuple[SplitLine, str]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}  missing: {missing}\n" for line, missing in dropped), encoding="utf-8")


def _nothing_left(dataset: MonoDataset, part: str, dropped: list[tuple[SplitLine, str]], listing: FolderListing) -> str:
    if not dropped:
        return f"The {part} split has no lines: expected lines of the form 'folder frame side'."
    message = (
        f"None of the {len(dropped)} lines of the {part} split has all its {dataset.extension} images "
        f"in {dataset.data_path}. First missing files:\n"
    )
    message += "".join(f"  {missing}\n" for _, missing in dropped[:PATHS_SHOWN])
    if all(_lacks_only_the_pair(dataset, line, listing) for line, _ in dropped):
        return f"{message}Only images of the other camera are missing. Add them, or pass --no-use_stereo."
    other = OTHER_EXTENSION.get(dataset.extension)
    if other and any(listing.holds(os.path.splitext(missing)[0] + other) for _, missing in dropped):
        remedy = "Pass --png" if other == ".png" else "Omit --png"
        return f"{message}The same images exist as {other} files. {remedy} to read them."
    return f"{message}Check --data_path, and that the split belongs to this dataset."


def _lacks_only_the_pair(dataset: MonoDataset, line: SplitLine, listing: FolderListing) -> bool:
    paths = zip(dataset.frame_ids, dataset.frame_paths(line), strict=True)
    return all(listing.holds(path) for frame, path in paths if frame != "s")
