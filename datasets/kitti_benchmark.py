"""The test images of KITTI's depth prediction benchmark, whose ground truth only KITTI's server has."""

import os
from pathlib import Path

from common.errors import DataError
from datasets.kitti_dataset import KITTIRawDataset
from datasets.splits import SplitLine

# Where data_depth_selection.zip puts them, and the same folder by itself.
_FOLDERS = ("depth_selection/test_depth_prediction_anonymous", "test_depth_prediction_anonymous", "")


class KITTIBenchmarkDataset(KITTIRawDataset):
    """image/NNNNNNNNNN.png of ``depth_selection/test_depth_prediction_anonymous`` under the data path. No depth.

    The folder of a line is "image"; all images are 1216x352.
    """

    SIZE = (352, 1216)  # height, width

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Path of an image; frame numbers have ten digits."""
        folders = [os.path.join(self.data_path, folder, line.folder) for folder in _FOLDERS]
        folder = next((folder for folder in folders if os.path.isdir(folder)), folders[0])
        return os.path.join(folder, f"{line.frame + frame_offset:010d}{self.extension}")

    def ground_truth_path(self, line: SplitLine) -> None:
        """None: only the server has it."""
        return None

    def ground_truth(self, line: SplitLine) -> None:
        """None: only the server has it."""
        return None


def read_benchmark_lines(path: Path) -> list[SplitLine]:
    """The published list's lines ``image N``.

    Raises:
        DataError: the list is missing or empty, or holds other lines.
    """
    if not path.is_file():
        raise DataError(f"Split list {path} not found: python tools/prepare_splits.py --split benchmark gets it.")
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        fields = text.split()
        if not fields:
            continue
        if len(fields) != 2 or not (fields[1].isascii() and fields[1].isdigit()):
            raise DataError(f"{path}, line {number}: got '{text.strip()}', expected 'image N', as in 'image 12'.")
        lines.append(SplitLine(fields[0], int(fields[1]), "l"))
    if not lines:
        raise DataError(f"Split list {path} is empty: expected lines of the form 'image N'.")
    return lines
