"""KITTI in three layouts: raw with lidar, raw with improved ground truth, and odometry."""

import os
from pathlib import Path

import numpy as np

from common.errors import DataError, shell_quoted
from common.text_files import list_folder
from datasets.depth_maps import read_depth_map
from datasets.frame_times import FrameTimes, read_frame_times
from datasets.kitti_calibration import lidar_to_depth, odometry_intrinsics, rectified_intrinsics
from datasets.kitti_poses import oxts_poses, read_poses, read_speed
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine

CAMERAS = {"l": 2, "r": 3}  # the colour cameras
FRAME_SECONDS = 0.1  # frame interval of KITTI and of the built-in synthetic world


class _KITTIDataset(MonoDataset):
    # The stereo baseline of 0.54 m counts as 0.1 scene units: one unit is 5.4 m.
    BASELINE = 0.1
    STEREO_SCALE_FACTOR = 5.4
    MEAN_INTRINSICS = (0.58, 1.92, 0.5, 0.5)
    GROUND_TRUTH = "lidar"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._intrinsics: dict[tuple[str, int], tuple[np.ndarray, tuple[int, int] | None]] = {}

    def calibration_folder(self, line: SplitLine) -> str:
        """Return the folder with the calibration files of the line's drive or sequence."""
        raise NotImplementedError

    def read_intrinsics(self, folder: str, camera: int) -> tuple[np.ndarray, tuple[int, int] | None]:
        """Read what ``intrinsics`` returns from a calibration folder."""
        raise NotImplementedError

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int] | None]:
        """Return K of the rectified camera; each process reads a calibration file once."""
        key = self.calibration_folder(line), CAMERAS[side]
        if key not in self._intrinsics:
            self._intrinsics[key] = self.read_intrinsics(*key)
        return self._intrinsics[key]


class KITTIRawDataset(_KITTIDataset):
    """KITTI raw: DATE/DRIVE/image_0{2,3}/data/FRAME.jpg, velodyne_points/data/FRAME.bin, DATE/calib_*.txt.

    The folder of a split line is DATE/DRIVE. The ground truth is the lidar scan of the frame, if there is one.
    """

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of an image; frame numbers have ten digits."""
        name = f"{line.frame + frame_offset:010d}{self.extension}"
        return os.path.join(self.data_path, line.folder, f"image_0{CAMERAS[side]}", "data", name)

    def speed_path(self, line: SplitLine, frame_offset: int) -> str:
        """Return the path of the OXTS file, for ``kitti_poses.read_speed``."""
        return os.path.join(self.data_path, line.folder, "oxts", "data", f"{line.frame + frame_offset:010d}.txt")

    def displacement(self, line: SplitLine, frame_offset: int) -> float | None:
        """Compute the displacement from the mean of the car's speeds in both frames."""
        speeds = [read_speed(self.speed_path(line, offset)) for offset in (0, frame_offset)]
        return None if None in speeds else abs(sum(speeds) / 2 * frame_offset * FRAME_SECONDS)

    def poses(self, folder: str) -> np.ndarray:
        """Read the poses from DRIVE/poses.txt (built-in synthetic world only), else from GPS and IMU.

        Raises:
            DataError: Neither exists, or a file is damaged.
        """
        drive = os.path.join(self.data_path, folder)
        exact, measured = os.path.join(drive, "poses.txt"), os.path.join(drive, "oxts", "data")
        if os.path.isfile(exact):
            return read_poses(exact)
        if not list_folder(measured):
            raise DataError(
                f"Ground-truth poses of {folder} not found: expected {exact} or files in {measured}. Download the "
                "drive's archive of KITTI raw, or pass --no_eval to predict the trajectory without ground truth."
            )
        calib_dir = self.calibration_folder(SplitLine(folder, 0, "l"))
        return oxts_poses(measured, calib_dir, CAMERAS["l"])

    def frame_times(self, folder: str) -> FrameTimes | None:
        """Read the times of the left camera's frames, else those of GPS and IMU, which differ by milliseconds."""
        drive = Path(self.data_path, folder)
        paths = [drive / part / "timestamps.txt" for part in (f"image_0{CAMERAS['l']}", "oxts")]
        return next((read_frame_times(path) for path in paths if path.is_file()), None)

    def calibration_folder(self, line: SplitLine) -> str:
        """Return the folder of the day: the first component of the line's folder, or the parent if it is absolute."""
        drive = os.path.normpath(line.folder)
        is_elsewhere = os.path.isabs(drive) or drive.startswith(os.pardir)
        day = os.path.dirname(drive) if is_elsewhere else drive.split(os.sep)[0]
        return os.path.join(self.data_path, day)

    def read_intrinsics(self, folder: str, camera: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Read the intrinsics from ``calib_cam_to_cam.txt``."""
        return rectified_intrinsics(folder, camera)

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """List the camera's entries; for lidar depth also the reference rectification and the lidar's pose."""
        folder, camera = self.calibration_folder(line), CAMERAS[line.side]
        of_cameras = {f"P_rect_0{camera}": 12, f"S_rect_0{camera}": 2}
        if not with_depth:
            return {os.path.join(folder, "calib_cam_to_cam.txt"): of_cameras}
        return {
            os.path.join(folder, "calib_cam_to_cam.txt"): {**of_cameras, "R_rect_00": 9},
            os.path.join(folder, "calib_velo_to_cam.txt"): {"R": 9, "T": 3},
        }

    def ground_truth_path(self, line: SplitLine) -> str:
        """Return the path of the lidar scan."""
        return os.path.join(self.data_path, line.folder, "velodyne_points", "data", f"{line.frame:010d}.bin")

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Project the lidar scan into the image, with the depth selected by ``gt_depth``."""
        scan = self.ground_truth_path(line)
        if not os.path.isfile(scan):
            return None
        return lidar_to_depth(scan, self.calibration_folder(line), CAMERAS[line.side], self.gt_depth)


class KITTIDepthDataset(KITTIRawDataset):
    """KITTI raw with the improved ground truth (Uhrig et al., "Sparsity Invariant CNNs", 3DV 2017).

    The depth maps are in DATE/DRIVE/proj_depth/groundtruth/image_0{2,3}/FRAME.png: 16 bits, metres x 256, 0 where
    unknown. They store depth along the camera's z axis, regardless of ``gt_depth``.
    """

    GROUND_TRUTH = "improved"

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """List the camera's entries only: the depth maps are already in its image."""
        return super().needed_calibration(line, with_depth=False)

    def ground_truth_path(self, line: SplitLine) -> str:
        """Return the path of the improved depth map."""
        folder = os.path.join(self.data_path, line.folder, "proj_depth", "groundtruth")
        return os.path.join(folder, f"image_0{CAMERAS[line.side]}", f"{line.frame:010d}.png")

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Read the improved depth map of the frame.

        Raises:
            DataError: The depth map is damaged or not a 16-bit image.
        """
        return read_depth_map(self.ground_truth_path(line))


class KITTIOdomDataset(_KITTIDataset):
    """KITTI odometry: sequences/NN/image_{2,3}/FRAME.jpg and sequences/NN/calib.txt, no depth.

    The folder of a split line is the number of the sequence.
    """

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of an image; frame numbers have six digits."""
        name = f"{line.frame + frame_offset:06d}{self.extension}"
        return os.path.join(self.calibration_folder(line), f"image_{CAMERAS[side]}", name)

    def poses(self, folder: str) -> np.ndarray:
        """Read the poses from poses/NN.txt.

        They are those of the left grey camera; its motion is used as the motion of the left colour camera.

        Raises:
            DataError: The file is missing or damaged.
        """
        sequence = self.calibration_folder(SplitLine(folder, 0, "l"))  # ROOT/sequences/NN
        parent, name = os.path.split(sequence.rstrip(os.sep))
        path = os.path.join(os.path.dirname(parent), "poses", f"{name}.txt")
        if not os.path.isfile(path):
            raise DataError(
                f"Ground-truth poses {path} not found; KITTI provides them for sequences 00 to 10. Run: "
                f"python tools/prepare_kitti.py --data_path {shell_quoted(self.data_path)} --split odom. "
                "Or pass --no_eval to predict the trajectory without ground truth."
            )
        return read_poses(path)

    def frame_times(self, folder: str) -> FrameTimes | None:
        """Read ``times.txt`` of the sequence."""
        path = Path(self.calibration_folder(SplitLine(folder, 0, "l")), "times.txt")
        return read_frame_times(path) if path.is_file() else None

    def calibration_folder(self, line: SplitLine) -> str:
        """Return the folder of the sequence; sequence numbers have two digits."""
        return os.path.join(self.data_path, "sequences", line.folder.zfill(2))

    def read_intrinsics(self, folder: str, camera: int) -> tuple[np.ndarray, None]:
        """Read the intrinsics from ``calib.txt``, which does not state an image size."""
        return odometry_intrinsics(folder, camera), None

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """List the camera's entry."""
        return {os.path.join(self.calibration_folder(line), "calib.txt"): {f"P{CAMERAS[line.side]}": 12}}

    def ground_truth_path(self, line: SplitLine) -> None:
        """Return None: the odometry benchmark has no depth."""
        return None

    def ground_truth(self, line: SplitLine) -> None:
        """Return None: the odometry benchmark has no depth."""
        return None
