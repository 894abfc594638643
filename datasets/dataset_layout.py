"""What a dataset says about its files: where images, intrinsics, ground truth and other facts of a frame are."""

from collections.abc import Mapping

import numpy as np

from datasets.frame_times import FrameTimes
from datasets.kitti_calibration import read_calibration_file
from datasets.splits import SplitLine
from datasets.transforms import ExtraMap, Window


class DatasetLayout:
    """Interface between a dataset's files and ``MonoDataset``, which makes samples of them.

    Every dataset defines ``image_path``, ``intrinsics``, ``ground_truth`` and ``ground_truth_path``. The other methods
    have defaults, or serve single commands: ``poses`` the evaluation of odometry, ``needed_calibration`` the check of a
    dataset.
    """

    BASELINE: float  # stereo baseline in the method's scene units
    STEREO_SCALE_FACTOR: float  # metres per scene unit
    MEAN_INTRINSICS: tuple[float, float, float, float]  # fx, fy, cx, cy as fractions of width and height
    GROUND_TRUTH: str  # one of ``serialization.depth_npz.KINDS``
    PROTOCOL: str | None = None  # key of ``evaluation.metrics.dataset_protocols``; None for KITTI's protocols
    EXTENSION: str | None = None  # of the image files, if the dataset has only one
    REGION: Window | None = None  # the part of every image that samples show and ground truth covers; None for all
    EXTRA_MAPS: Mapping[str, int] = {}  # name -> channels of the maps returned by ``extra_maps``

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of the image ``frame_offset`` frames after the line's frame, of the camera on ``side``."""
        raise NotImplementedError

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int] | None]:
        """Return K (3, 3) in pixels and the (height, width) it applies to, or None for the size of the image file."""
        raise NotImplementedError

    def distortion(self, line: SplitLine) -> np.ndarray | None:
        """Return the distortion (9,), as in ``layers.camera_models``; None if no camera of the dataset has any."""
        return None

    def baseline(self, line: SplitLine) -> float:
        """Return the baseline of the line's stereo pair in scene units."""
        return self.BASELINE

    def ground_truth_path(self, line: SplitLine) -> str | None:
        """Return the path of the line's ground truth, which may not exist; None if the dataset has no depth."""
        raise NotImplementedError

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Read the depth of the line's camera, float32 (h, w) in metres, 0 where unknown; None if there is none.

        It reads no image: evaluation calls ``dataset.ground_truth(dataset.lines[index])`` without loading the sample.
        """
        raise NotImplementedError

    def speed_path(self, line: SplitLine, frame_offset: int) -> str | None:
        """Return the path of the file with the car's speed, which may not exist; None if the dataset has no speeds."""
        return None

    def displacement(self, line: SplitLine, frame_offset: int) -> float | None:
        """Return the displacement of the camera in metres between the line's frame and that frame; None if unknown."""
        return None

    def poses(self, folder: str) -> np.ndarray:
        """Read the ground-truth poses of the left camera, from frame 0: T_world_from_camera (N, 4, 4) in metres.

        Args:
            folder: Folder of a split line.

        Raises:
            DataError: The poses are missing or damaged.
        """
        raise NotImplementedError

    def frame_times(self, folder: str) -> FrameTimes | None:
        """Read the recording times of a folder's frames; None if the dataset does not have them.

        Raises:
            DataError: The times are damaged.
        """
        return None

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """List the calibration entries that ``intrinsics`` reads.

        Args:
            line: The split line.
            with_depth: Include the entries that ``ground_truth`` reads.

        Returns:
            Path of a file -> entry -> number of values.
        """
        raise NotImplementedError

    def read_calibration(self, path: str) -> Mapping[str, np.ndarray | str]:
        """Read the entries of a file that ``needed_calibration`` lists.

        Raises:
            DataError: The file is missing or cannot be read.
        """
        return read_calibration_file(path)

    def extra_maps(self, line: SplitLine) -> Mapping[str, ExtraMap]:
        """Return the maps named in ``EXTRA_MAPS`` for the line's frame, such as depth hints, masks or flow.

        Maps may have any size: they are resized to the input size and mirrored with the image. They are not cached.
        """
        return {}
