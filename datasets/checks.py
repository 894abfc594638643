"""A quick check of a whole split before training: is every image that a sample needs there?"""

import os
from pathlib import Path
from typing import NamedTuple

from common.errors import DataError
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine

OTHER_EXTENSION = {".jpg": ".png", ".png": ".jpg"}
PATHS_SHOWN = 3


class SplitCheck(NamedTuple):
    """Lines whose images are all there, and the others, each with the first path that is missing."""

    kept: list[SplitLine]
    dropped: list[tuple[SplitLine, str]]


def check_split(dataset: MonoDataset, part: str, log_dir: str | Path | None = None) -> SplitCheck:
    """Looks up the images of every line of the dataset, by listing each folder once; opens none of them.

    Lines with a missing frame or neighbour go to `dropped`, and into `LOG_DIR/dropped_PART_lines.txt` when a
    log folder is given. To go on with the others: `dataset.replace(lines=check.kept)`.
    Raises DataError, saying where it looked, where no line is left.
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


class FolderListing:
    """Names of the files in each folder asked for; a folder that is not there holds none."""

    def __init__(self):
        self._names: dict[str, frozenset[str]] = {}

    def holds(self, path: str) -> bool:
        """Whether the file is there."""
        folder, _, name = path.rpartition(os.sep)
        names = self._names.get(folder)
        if names is None:
            try:
                names = frozenset(os.listdir(folder))
            except (FileNotFoundError, NotADirectoryError):
                names = frozenset()
            self._names[folder] = names
        return name in names


def _write_dropped(dropped: list[tuple[SplitLine, str]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}  missing: {missing}\n" for line, missing in dropped), encoding="utf-8")


def _nothing_left(dataset: MonoDataset, part: str, dropped: list[tuple[SplitLine, str]], listing: FolderListing) -> str:
    if not dropped:
        return f"The {part} split has no lines: expected lines of the form 'folder frame side'."
    message = (
        f"None of the {len(dropped)} lines of the {part} split has all its {dataset.extension} images "
        f"under {dataset.data_path}. The first that are missing:\n"
    )
    message += "".join(f"  {missing}\n" for _, missing in dropped[:PATHS_SHOWN])
    if all(_lacks_only_the_pair(dataset, line, listing) for line, _ in dropped):
        return (
            f"{message}Only the other camera's images are missing: train on video alone (--no-use_stereo), or add them."
        )
    other = OTHER_EXTENSION.get(dataset.extension)
    if other and any(listing.holds(os.path.splitext(missing)[0] + other) for _, missing in dropped):
        remedy = "Add --png" if other == ".png" else "Leave out --png"
        return f"{message}The same images are there as {other} files. {remedy} to read those."
    return f"{message}Check --data_path, and that the split belongs to this data."


def _lacks_only_the_pair(dataset: MonoDataset, line: SplitLine, listing: FolderListing) -> bool:
    paths = zip(dataset.frame_ids, dataset.frame_paths(line), strict=True)
    return all(listing.holds(path) for frame, path in paths if frame != "s")
