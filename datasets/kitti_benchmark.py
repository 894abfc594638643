"""Test images of KITTI's depth prediction benchmark. Their ground truth is not public."""

import os
from pathlib import Path

from common.errors import DataError
from common.text_files import abbreviate, read_data_text
from datasets.kitti_dataset import KITTIRawDataset
from datasets.splits import SplitLine, is_frame_number

ARCHIVE_FOLDER = "depth_selection/test_depth_prediction_anonymous"  # in data_depth_selection.zip
_FOLDERS = (ARCHIVE_FOLDER, "test_depth_prediction_anonymous", "")


class KITTIBenchmarkDataset(KITTIRawDataset):
    """KITTI depth benchmark: ``depth_selection/test_depth_prediction_anonymous/image/NNNNNNNNNN.png``, no ground truth.

    The folder of a split line is "image". All images have 1216x352 pixels.
    """

    SIZE = (352, 1216)  # height, width

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of an image; frame numbers have ten digits."""
        folders = [os.path.join(self.data_path, folder, line.folder) for folder in _FOLDERS]
        folder = next((folder for folder in folders if os.path.isdir(folder)), folders[0])
        return os.path.join(folder, f"{line.frame + frame_offset:010d}{self.extension}")

    def ground_truth_path(self, line: SplitLine) -> None:
        """Return None: the ground truth is not public."""
        return None

    def ground_truth(self, line: SplitLine) -> None:
        """Return None: the ground truth is not public."""
        return None


def read_benchmark_lines(path: Path) -> list[SplitLine]:
    """Read the published list, whose lines are ``image N``.

    Raises:
        DataError: The list is missing, empty, or has a malformed line.
    """
    lines = []
    content = read_data_text(path, "Split list", "Run: python tools/prepare_splits.py --split benchmark")
    for number, text in enumerate(content.splitlines(), start=1):
        fields = text.split()
        if not fields:
            continue
        if len(fields) != 2 or not (fields[0].isprintable() and is_frame_number(fields[1])):
            raise DataError(
                f"{path}, line {number}: got {abbreviate(text.strip())}, expected 'image N', for example 'image 12'."
            )
        lines.append(SplitLine(fields[0], int(fields[1]), "l"))
    if not lines:
        raise DataError(f"Split list {path} is empty: expected lines of the form 'image N'.")
    return lines
