"""Videos of any camera, as `tools/import_video.py` lays them out.

SEQUENCE/left/FRAME.jpg, right/FRAME.jpg     the frames, ten digits; right where there is a stereo pair
SEQUENCE/calib.txt                           the camera, as `write_camera` says
SEQUENCE/frames.csv                          the frames and, where it is known, the speed, as in `datasets.frame_table`
SEQUENCE/depth/FRAME.png                     ground truth of the left camera as in `datasets.depth_maps`, where there is
                                             any, at any size
splits/folder/{train,val,test}_files.txt     the split, whose lines begin with SEQUENCE
"""

import os
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import DataError
from datasets.depth_maps import read_depth_map
from datasets.frame_table import FRAMES, Speeds, displacement, read_speeds
from datasets.kitti_calibration import read_calibration_file
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine

CALIBRATION = "calib.txt"
ENTRIES = {"S": 2, "K": 9, "D": 9}  # of it -> how many numbers
FOLDERS = {"l": "left", "r": "right"}


class FolderCamera(NamedTuple):
    """The camera of a sequence; both of a pair are alike.

    Attributes:
        K: (3, 3) in pixels of images of `size`.
        size: (height, width).
        distortion: (9,) as in `layers.camera_models`; zeros where lines are straight.
        baseline: metres between the cameras of a pair; None without.
    """

    K: np.ndarray
    size: tuple[int, int]
    distortion: np.ndarray
    baseline: float | None = None


def write_camera(path: Path, camera: FolderCamera) -> None:
    """A file of lines as KITTI's: S (width, height), K, D (the distortion), and baseline in metres for a pair."""
    entries = {"S": camera.size[::-1], "K": camera.K, "D": camera.distortion}
    if camera.baseline is not None:
        entries["baseline"] = camera.baseline
    lines = [f"{key}: {' '.join(f'{number:.12g}' for number in np.ravel(value))}\n" for key, value in entries.items()]
    path.write_text("".join(lines), encoding="utf-8")


def read_camera(path: str | Path) -> FolderCamera:
    """What `write_camera` wrote. Raises DataError where the file is missing or lacks an entry."""
    try:
        entries = read_calibration_file(path)
    except DataError as error:
        raise DataError(f"{path} cannot be read: {error.__cause__}. Import the sequence again.") from error
    values = {}
    for key, count in ENTRIES.items():
        value = entries.get(key)
        if not isinstance(value, np.ndarray) or value.size != count:
            raise DataError(f"{path}: expected a line '{key}:' with {count} numbers. Import the sequence again.")
        values[key] = value
    width, height = values["S"].astype(int).tolist()
    baseline = entries.get("baseline")
    return FolderCamera(
        values["K"].reshape(3, 3), (height, width), values["D"], None if baseline is None else float(baseline[0])
    )


def stored_size(data_path: str | Path) -> tuple[int, int] | None:
    """(height, width) of the frames of all sequences in a folder; None where there is none."""
    file = next(Path(data_path).glob(f"*/{CALIBRATION}"), None)
    return read_camera(file).size if file else None


class FolderDataset(MonoDataset):
    """Sequences of different cameras and pairs mix freely: K, lens and baseline are each sample's own."""

    STEREO_SCALE_FACTOR = 5.4  # KITTI's, so that pairs of any baseline count in one unit, and weights can be exchanged
    GROUND_TRUTH = "improved"  # depth maps of the camera, scored as KITTI's improved ones: wherever they know

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.mean_intrinsics:
            raise DataError("--kitti_mean_intrinsics are those of KITTI; --dataset folder has each camera's own.")
        self._cameras: dict[str, FolderCamera] = {}
        self._speeds: dict[str, Speeds] = {}

    def camera(self, folder: str) -> FolderCamera:
        """The camera of a sequence; each file is read once in a process."""
        if folder not in self._cameras:
            self._cameras[folder] = read_camera(self._path(folder, CALIBRATION))
        return self._cameras[folder]

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Path of an image; frame numbers have ten digits."""
        return self._path(line.folder, FOLDERS[side], f"{line.frame + frame_offset:010d}{self.extension}")

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int]]:
        """From the sequence's calibration file."""
        camera = self.camera(line.folder)
        return camera.K, camera.size

    def distortion(self, line: SplitLine) -> np.ndarray | None:
        """Of the sequence; zeros where its lines are straight but those of another sequence are not."""
        return self.camera(line.folder).distortion if self._bends else None

    @cached_property
    def _bends(self) -> bool:
        """Whether any sequence, of whatever part of the split, was imported with its lens."""
        files = Path(self.data_path).glob(f"*/{CALIBRATION}")
        return any(self.camera(file.parent.name).distortion.any() for file in files)

    def baseline(self, line: SplitLine) -> float:
        """Of the sequence. Raises DataError where it has no pair."""
        metres = self.camera(line.folder).baseline
        if metres is None:
            raise DataError(
                f"{line.folder} has no stereo pair: train without --use_stereo, or import it with --right and "
                "--baseline."
            )
        return metres / self.STEREO_SCALE_FACTOR

    def displacement(self, line: SplitLine, frame_offset: int) -> float | None:
        """By the speeds of both frames, where the sequence's table has a column of them."""
        if line.folder not in self._speeds:
            self._speeds[line.folder] = read_speeds(self._path(line.folder, FRAMES))
        return displacement(self._speeds[line.folder], line.frame, line.frame + frame_offset)

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """The sequence's one file."""
        pair = {"baseline": 1} if "s" in self.frame_ids else {}
        return {self._path(line.folder, CALIBRATION): {**ENTRIES, **pair}}

    def ground_truth_path(self, line: SplitLine) -> str | None:
        """Path of the depth map; None where the sequence has none at all."""
        folder = self._path(line.folder, "depth")
        return os.path.join(folder, f"{line.frame:010d}.png") if os.path.isdir(folder) else None

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """The depth map, of the left camera alone."""
        path = self.ground_truth_path(line)
        return read_depth_map(path) if path and line.side == "l" else None

    def poses(self, folder: str) -> np.ndarray:
        """Raises DataError: imported videos have none."""
        raise DataError(f"{folder}: an imported video has no true poses; --no_eval predicts its trajectory.")

    def _path(self, *parts: str) -> str:
        return os.path.join(self.data_path, *parts)
