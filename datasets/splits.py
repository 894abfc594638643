"""Split lists: which frames are trained, validated and tested on.

A split is a folder with `train_files.txt`, `val_files.txt` and `test_files.txt`, one line a frame:
`folder frame side`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import DataError

REPOSITORY_SPLITS = Path(__file__).resolve().parent.parent / "splits"
PUBLISHED_SPLITS = ("eigen_zhou", "eigen_full", "eigen", "eigen_benchmark", "benchmark", "odom")

# Some published lists name the camera by its number instead of its side.
SIDES = {"l": "l", "r": "r", "2": "l", "3": "r"}


class SplitLine(NamedTuple):
    """One frame of a split: its folder, its number, and the side "l" or "r" of its camera."""

    folder: str
    frame: int
    side: str

    def __str__(self) -> str:
        return f"{self.folder} {self.frame} {self.side}"


def fingerprint(lines: Sequence[SplitLine]) -> str:
    """How many they are and a hash of them: the same for the same lines in the same order."""
    return f"{len(lines)} lines ({hashlib.sha256(repr([str(line) for line in lines]).encode()).hexdigest()[:8]})"


def find_split(name_or_path: str | Path, data_path: str | Path) -> Path:
    """A split's folder: a path to it, else `splits/NAME` in the repository, else `DATA_PATH/splits/NAME`.

    Raises DataError, with the places looked at, where none of them holds split files.
    """
    candidates = [
        Path(name_or_path),
        REPOSITORY_SPLITS / name_or_path,
        Path(data_path) / "splits" / name_or_path,
    ]
    for folder in candidates:
        if _holds_split(folder):
            return folder
    looked_at = "\n".join(f"  {folder}" for folder in dict.fromkeys(candidates))
    raise DataError(
        f"Split '{name_or_path}' not found: no lists (train_files.txt, test_files.txt) in\n{looked_at}\n"
        f"{_how_to_get(str(name_or_path))}"
    )


def _how_to_get(name: str) -> str:
    if name in PUBLISHED_SPLITS:
        return f"It is a published one. To get it: python tools/prepare_splits.py --split {name}"
    return (
        "Give the path of a folder that holds the lists, or put them into one of these folders. Published splits "
        f"({', '.join(PUBLISHED_SPLITS)}) come by: python tools/prepare_splits.py --split NAME"
    )


def _holds_split(folder: Path) -> bool:
    # A folder alone is not enough: the current directory may hold a data folder of the same name.
    return folder.is_dir() and (any(folder.glob("*_files*.txt")) or (folder / "gt_depths.npz").is_file())


def read_split_lines(split_dir: str | Path, part: str) -> list[SplitLine]:
    """The lines of one part of a split, in the order of the file; blank lines are ignored.

    `part` is "train", "val" or "test" (`PART_files.txt`), or has a suffix: "test_09" (`test_files_09.txt`).
    Raises DataError where the file is missing or empty, or a line is not `folder frame side`.
    """
    stem, _, suffix = part.partition("_")
    path = Path(split_dir) / (f"{stem}_files_{suffix}.txt" if suffix else f"{stem}_files.txt")
    if not path.is_file():
        present = ", ".join(sorted(file.name for file in path.parent.glob("*_files*.txt")))
        known = f"Lists in that folder: {present}." if present else _how_to_get(path.parent.name)
        raise DataError(f"Split list {path} not found. {known}")
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [_parse_line(line, path, number) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"Split list {path} is empty: expected lines of the form 'folder frame side'.")
    return lines


def _parse_line(line: str, path: Path, number: int) -> SplitLine:
    fields = line.split()
    if len(fields) == 3:
        folder, frame, side = fields
        if frame.isascii() and frame.isdigit() and side in SIDES:
            return SplitLine(folder, int(frame), SIDES[side])
    raise DataError(
        f"{path}, line {number}: got '{line.strip()}', expected 'folder frame side' "
        "with a frame number and a side l or r, as in '2011_09_26/2011_09_26_drive_0001_sync 5 l'."
    )
