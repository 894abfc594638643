"""Imported videos of any camera, in the layout of ``tools/import_video.py``.

SEQUENCE/left/FRAME.jpg, right/FRAME.jpg     frames, ten digits; right/ only for stereo pairs
SEQUENCE/calib.txt                           camera, see ``write_camera``
SEQUENCE/mask.png                            optional, of any size: black on pixels that are ignored in training, such
                                             as the car's own bonnet
SEQUENCE/frames.csv                          frame table with optional speeds, see ``datasets.frame_table``
SEQUENCE/depth/FRAME.png                     optional ground truth of the left camera, of any size, see
                                             ``datasets.depth_maps``
splits/folder/{train,val,test}_files.txt     split; its lines begin with SEQUENCE
"""

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import DataError
from common.images import load_image
from datasets.cameras import checked_intrinsics, checked_size
from datasets.depth_maps import read_depth_map
from datasets.frame_table import FRAMES, Speeds, displacement, read_speeds, read_times
from datasets.frame_times import FrameTimes
from datasets.kitti_calibration import read_calibration_file
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from datasets.transforms import ExtraMap

CALIBRATION = "calib.txt"
ENTRIES = {"S": 2, "K": 9, "D": 9}  # entry of the calibration file -> number of values
MASK, OVERLAYS = "mask.png", "overlays"
FOLDERS = {"l": "left", "r": "right"}


class FolderCamera(NamedTuple):
    """The camera of a sequence. Both cameras of a stereo pair have the same intrinsics.

    Attributes:
        K: Intrinsics (3, 3) in pixels, for images of ``size``.
        size: (height, width).
        distortion: (9,) as in ``layers.camera_models``; zeros for a pinhole.
        baseline: Stereo baseline in metres; None without a stereo pair.
    """

    K: np.ndarray
    size: tuple[int, int]
    distortion: np.ndarray
    baseline: float | None = None


def write_camera(path: Path, camera: FolderCamera) -> None:
    """Write a camera as KITTI-style lines: S (width, height), K, D (distortion), and baseline (m) for stereo pairs."""
    entries = {"S": camera.size[::-1], "K": camera.K, "D": camera.distortion}
    if camera.baseline is not None:
        entries["baseline"] = camera.baseline
    lines = [f"{key}: {' '.join(f'{number:.12g}' for number in np.ravel(value))}\n" for key, value in entries.items()]
    path.write_text("".join(lines), encoding="utf-8")


def read_camera(path: str | Path) -> FolderCamera:
    """Read a camera written by ``write_camera``.

    Raises:
        DataError: The file is missing or lacks an entry.
    """
    try:
        entries = read_calibration_file(path)
    except DataError as error:
        raise DataError(f"{path} cannot be read: {error.__cause__}. Import the sequence again.") from error
    values = {}
    for key, count in ENTRIES.items():
        value = entries.get(key)
        if not isinstance(value, np.ndarray) or value.size != count or not np.isfinite(value).all():
            raise DataError(f"{path}: expected a line '{key}:' with {count} numbers. Import the sequence again.")
        values[key] = value
    baseline = entries.get("baseline")
    if baseline is not None and not (isinstance(baseline, np.ndarray) and baseline.size == 1 and baseline[0] > 0):
        raise DataError(f"{path}: baseline: expected a number of metres above 0. Import the sequence again.")
    return FolderCamera(
        checked_intrinsics(values["K"].reshape(3, 3), str(path)),
        checked_size(*values["S"].tolist(), str(path)),
        values["D"],
        None if baseline is None else float(baseline[0]),
    )


def stored_size(data_path: str | Path) -> tuple[int, int] | None:
    """Return the (height, width) that all sequences of a dataset share; None if there is no sequence."""
    file = next(Path(data_path).glob(f"*/{CALIBRATION}"), None)
    return read_camera(file).size if file else None


class FolderDataset(MonoDataset):
    """Imported sequences. Intrinsics, distortion and baseline are per sample, so cameras can be mixed."""

    STEREO_SCALE_FACTOR = 5.4  # KITTI's: all baselines share one scene unit, and weights are interchangeable
    GROUND_TRUTH = "improved"  # dense depth maps of the camera, scored like KITTI's improved ground truth

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.mean_intrinsics:
            raise DataError("--kitti_mean_intrinsics is for KITTI only. Omit it: --dataset folder has its own.")
        self._cameras: dict[str, FolderCamera] = {}
        self._speeds: dict[str, Speeds] = {}
        self._masks: dict[str, np.ndarray] = {}

    def camera(self, folder: str) -> FolderCamera:
        """Return the camera of a sequence; each process reads a calibration file once."""
        if folder not in self._cameras:
            self._cameras[folder] = read_camera(self._path(folder, CALIBRATION))
        return self._cameras[folder]

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of an image; frame numbers have ten digits."""
        return self._path(line.folder, FOLDERS[side], f"{line.frame + frame_offset:010d}{self.extension}")

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the intrinsics in the sequence's calibration file."""
        camera = self.camera(line.folder)
        return camera.K, camera.size

    def distortion(self, line: SplitLine) -> np.ndarray | None:
        """Return the distortion of the sequence; None if no sequence of the dataset has distortion."""
        return self.camera(line.folder).distortion if self._bends else None

    @cached_property
    def _bends(self) -> bool:
        """Whether any sequence of the dataset, in any part of the split, was imported with its distortion."""
        folders = {file.parent.name for file in Path(self.data_path).glob(f"*/{CALIBRATION}")}
        folders |= {line.folder for line in self.lines}  # absolute ones may be elsewhere
        return any(self.camera(folder).distortion.any() for folder in folders)

    @cached_property
    def EXTRA_MAPS(self) -> Mapping[str, int]:
        """The map "overlays", 1 on masked pixels and 0 on others; none if no sequence of the split has a mask."""
        folders = {line.folder for line in self.lines}
        return {OVERLAYS: 1} if any(os.path.isfile(self._path(folder, MASK)) for folder in folders) else {}

    def extra_maps(self, line: SplitLine) -> Mapping[str, ExtraMap]:
        """Return the mask of the sequence; each process reads it once.

        Raises:
            DataError: The mask is not an image.
        """
        if line.folder not in self._masks:
            path = self._path(line.folder, MASK)
            is_masked = os.path.isfile(path)
            self._masks[line.folder] = (
                np.asarray(load_image(path).convert("L")) < 128 if is_masked else np.zeros((1, 1), bool)
            )
        return {OVERLAYS: ExtraMap(self._masks[line.folder])}

    def baseline(self, line: SplitLine) -> float:
        """Return the baseline of the sequence in scene units.

        Raises:
            DataError: The sequence has no stereo pair.
        """
        metres = self.camera(line.folder).baseline
        if metres is None:
            raise DataError(
                f"{line.folder} has no stereo pair. Omit --use_stereo, or import the sequence again with --right and "
                "--baseline."
            )
        return metres / self.STEREO_SCALE_FACTOR

    def displacement(self, line: SplitLine, frame_offset: int) -> float | None:
        """Compute the displacement from the speeds in the frame table; None if it has none."""
        if line.folder not in self._speeds:
            self._speeds[line.folder] = read_speeds(self._path(line.folder, FRAMES))
        return displacement(self._speeds[line.folder], line.frame, line.frame + frame_offset)

    def frame_times(self, folder: str) -> FrameTimes | None:
        """Read the times in the frame table; None if it has none, as for images without a frame rate."""
        path = Path(self._path(folder, FRAMES))
        times = read_times(path)
        return FrameTimes(times, path) if times else None

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """List the entries of the sequence's calibration file."""
        pair = {"baseline": 1} if "s" in self.frame_ids else {}
        return {self._path(line.folder, CALIBRATION): {**ENTRIES, **pair}}

    def ground_truth_path(self, line: SplitLine) -> str | None:
        """Return the path of the depth map; None if the sequence has no depth maps."""
        folder = self._path(line.folder, "depth")
        return os.path.join(folder, f"{line.frame:010d}.png") if os.path.isdir(folder) else None

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Read the depth map; None for the right camera."""
        path = self.ground_truth_path(line)
        return read_depth_map(path) if path and line.side == "l" else None

    def poses(self, folder: str) -> np.ndarray:
        """Reject the request: imported videos have no ground-truth poses.

        Raises:
            DataError: Always.
        """
        raise DataError(
            f"{folder}: imported videos have no ground-truth poses. Pass --no_eval to predict the trajectory."
        )

    def _path(self, *parts: str) -> str:
        return os.path.join(self.data_path, *parts)
