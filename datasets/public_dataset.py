"""What the datasets share that are read in the layout of their own release, and whose split lists follow by rule."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from serialization.opening import read_json

VALIDATED = 10  # one of so many training scenes is for validation


class PublicDataset(MonoDataset):
    """Base class of datasets in the layout of their own release.

    ``STEREO_SCALE_FACTOR`` is KITTI's, so that all baselines share one scene unit and weights are interchangeable.
    """

    STEREO_SCALE_FACTOR = 5.4
    DOWNLOAD: str  # what to unpack where, for messages

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.mean_intrinsics:
            raise DataError("--kitti_mean_intrinsics is for KITTI only. Omit it: this dataset has its own.")

    @classmethod
    def split_lists(cls, data_path: Path) -> dict[str, list[SplitLine]]:
        """List the frames of "train", "val" and "test" by the dataset's own division; parts without frames are empty.

        Raises:
            DataError: The tree has none of these frames.
        """
        raise NotImplementedError

    def baseline(self, line: SplitLine) -> float:
        """Reject the request, unless a subclass has stereo pairs.

        Raises:
            DataError: Always.
        """
        raise DataError(f"{line.folder} has no stereo pair. Omit --use_stereo.")

    def poses(self, folder: str) -> np.ndarray:
        """Reject the request: odometry is scored on KITTI.

        Raises:
            DataError: Always.
        """
        raise DataError(
            f"{folder}: poses are read for KITTI only. Pass --no_eval to predict the trajectory without ground truth."
        )

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """Return nothing, unless a subclass reads calibration files."""
        return {}


def is_validated(number: int, count: int) -> bool:
    """Return whether a training scene, by its number of ``count``, is for validation: one of ten, the last of fewer."""
    return count > 1 and number % VALIDATED == min(VALIDATED, count) - 1


def read_record(path: str | Path, remedy: str) -> Any:
    """Read a JSON file of a dataset.

    Args:
        path: The file.
        remedy: What to do if it is missing or damaged.

    Raises:
        DataError: It is missing, or not JSON.
    """
    if not Path(path).is_file():
        raise DataError(f"{path} not found. {remedy}")
    return read_json(Path(path), remedy, DataError)


def numbers_of(record: Any, keys: Mapping[str, int], path: str | Path, remedy: str) -> dict[str, np.ndarray]:
    """Read numbers from nested JSON.

    Args:
        record: Content of the file.
        keys: "outer/inner" -> expected count of numbers.
        path: The file, for messages.
        remedy: What to do if a number is missing.

    Returns:
        Key -> float64 array (count,).

    Raises:
        DataError: A key is missing, or is not that many finite numbers.
    """
    found = {}
    for key, count in keys.items():
        value = record
        for name in key.split("/"):
            value = value.get(name) if isinstance(value, Mapping) else None
        try:
            numbers = np.array(value, np.float64).reshape(-1)
        except (TypeError, ValueError):
            numbers = np.array([np.nan])
        if numbers.size != count or not np.isfinite(numbers).all():
            raise DataError(f"{path}: {key}: expected {count} finite numbers, got {str(value)[:60]}. {remedy}")
        found[key] = numbers
    return found
