"""Split lists: the frames for training, validation and testing.

A split is a folder with ``train_files.txt``, ``val_files.txt`` and ``test_files.txt``. Each line is one frame:
``folder frame side``.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import DataError
from common.registry import RULE_DATASETS
from common.text_files import abbreviate, fault_of, read_data_text

REPOSITORY_SPLITS = Path(__file__).resolve().parent.parent / "splits"
MAX_DIGITS = 19  # of a frame number: enough for a time in ns
PUBLISHED_SPLITS = ("eigen_zhou", "eigen_full", "eigen", "eigen_benchmark", "benchmark", "odom")

# Some published lists contain the camera number instead of the side.
SIDES = {"l": "l", "r": "r", "2": "l", "3": "r"}


class SplitLine(NamedTuple):
    """A frame of a split: folder, frame number, and side of the camera, "l" or "r"."""

    folder: str
    frame: int
    side: str

    def __str__(self) -> str:
        return f"{self.folder} {self.frame} {self.side}"


def fingerprint(lines: Sequence[SplitLine]) -> str:
    """Return the number of lines and a hash of the lines and their order."""
    return f"{len(lines)} lines ({hashlib.sha256(repr([str(line) for line in lines]).encode()).hexdigest()[:8]})"


def find_split(name_or_path: str | Path, data_path: str | Path) -> Path:
    """Find the folder of a split.

    The candidates are, in this order: a path, ``splits/NAME`` in the repository, and ``DATA_PATH/splits/NAME``.

    Raises:
        DataError: None of the candidates contains split lists, or one cannot be read.
    """
    candidates = [
        Path(name_or_path),
        REPOSITORY_SPLITS / name_or_path,
        Path(data_path) / "splits" / name_or_path,
    ]
    for folder in candidates:
        try:
            if _holds_split(folder):
                return folder
        except OSError as error:
            raise DataError(f"Split folder {folder} {fault_of(error)}. Change its permissions.") from error
    looked_at = "\n".join(f"  {folder}" for folder in dict.fromkeys(candidates))
    raise DataError(
        f"Split '{name_or_path}' not found. Searched for train_files.txt or test_files.txt in:\n{looked_at}\n"
        f"{_how_to_get(str(name_or_path))}"
    )


def _how_to_get(name: str) -> str:
    if name in RULE_DATASETS:
        return f"Its lists follow from the tree. Run: python tools/prepare_splits.py --dataset {name} --data_path DIR"
    if name in PUBLISHED_SPLITS:
        return f"This is a published split. Run: python tools/prepare_splits.py --split {name}"
    return (
        "Pass the path of a folder with the lists. For a published split "
        f"({', '.join(PUBLISHED_SPLITS)}), run: python tools/prepare_splits.py --split NAME"
    )


def _holds_split(folder: Path) -> bool:
    # The folder must contain lists: the current directory may have a data folder of the same name.
    return folder.is_dir() and (any(folder.glob("*_files*.txt")) or (folder / "gt_depths.npz").is_file())


def read_split_lines(split_dir: str | Path, part: str) -> list[SplitLine]:
    """Read one part of a split, in the order of the file; blank lines are ignored.

    Args:
        split_dir: Folder of the split.
        part: "train", "val" or "test" (``PART_files.txt``), or one with a suffix, such as "test_09"
            (``test_files_09.txt``).

    Raises:
        DataError: The file is missing, unreadable or empty, or a line is not ``folder frame side``.
    """
    stem, _, suffix = part.partition("_")
    path = Path(split_dir) / (f"{stem}_files_{suffix}.txt" if suffix else f"{stem}_files.txt")
    if not path.is_file():
        present = ", ".join(sorted(file.name for file in path.parent.glob("*_files*.txt")))
        known = f"Found in that folder: {present}." if present else _how_to_get(path.parent.name)
        raise DataError(f"Split list {path} not found. {known}")
    text = read_data_text(path, "Split list", "Change its permissions, or copy it again.")
    lines = [_parse_line(line, path, number) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"Split list {path} is empty: expected lines of the form 'folder frame side'.")
    return lines


def _parse_line(line: str, path: Path, number: int) -> SplitLine:
    fields = line.split()
    if len(fields) == 3:
        folder, frame, side = fields
        if folder.isprintable() and is_frame_number(frame) and side in SIDES:
            return SplitLine(folder, int(frame), SIDES[side])
    raise DataError(
        f"{path}, line {number}: got {abbreviate(line.strip())}, expected 'folder frame side' "
        "with a frame number and side l or r, for example '2011_09_26/2011_09_26_drive_0001_sync 5 l'."
    )


def is_frame_number(text: str) -> bool:
    """Return whether a text is a frame number of a split line."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
