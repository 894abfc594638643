"""Ground-truth poses and speeds, from pose files or KITTI's GPS and IMU (OXTS files, 30 numbers per frame).

Poses are T_world_from_camera, (N, 4, 4), translations in metres.
"""

import re
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.text_files import abbreviate, read_data_text, read_text
from datasets.kitti_calibration import imu_to_camera

EARTH_RADIUS = 6378137.0  # metres, as in KITTI's development kit
LATITUDE, LONGITUDE, ALTITUDE, ROLL, PITCH, YAW = range(6)  # first fields of an OXTS file
FORWARD_VELOCITY = 8  # follows these and the velocities to north and east


def read_poses(path: str | Path) -> np.ndarray:
    """Read poses from a file with 12 numbers per line: the first three rows of each matrix.

    Raises:
        DataError: The file is missing or empty, or a line is malformed.
    """
    lines = read_data_text(path, "Pose file", "Copy it again.").splitlines()
    rows = [_numbers(line, 12, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise DataError(f"Pose file {path} is empty, expected 12 numbers per line. Copy it again.")
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = np.reshape(rows, (-1, 3, 4))
    return poses


def oxts_poses(folder: str | Path, calib_dir: str | Path, camera: int) -> np.ndarray:
    """Compute the poses of a rectified camera of a KITTI raw drive from GPS and IMU: x east, y north, z up.

    Positions use the Mercator projection at the latitude of the first frame, as in KITTI's development kit.

    Args:
        folder: Folder ``oxts/data`` of the drive, with one file per frame, from 0.
        calib_dir: Folder of the day.
        camera: Number of the camera.

    Raises:
        DataError: A file is missing or malformed.
    """
    paths = sorted(path for path in Path(folder).glob("*.txt") if re.fullmatch(r"\d+", path.stem))
    gap = next((frame for frame, path in enumerate(paths) if int(path.stem) != frame), None)
    if gap is not None:
        raise DataError(f"{folder} has {len(paths)} files, but none for frame {gap}. Copy the folder again.")
    texts = [read_data_text(path, "OXTS file", "Copy the folder again.") for path in paths]
    fields = np.array([_numbers(text, 30, str(path)) for path, text in zip(paths, texts, strict=True)])
    scale = np.cos(np.radians(fields[0, LATITUDE])) * EARTH_RADIUS
    poses = np.tile(np.eye(4), (len(fields), 1, 1))
    poses[:, 0, 3] = scale * np.radians(fields[:, LONGITUDE])
    poses[:, 1, 3] = scale * np.log(np.tan(np.radians(90 + fields[:, LATITUDE]) / 2))
    poses[:, 2, 3] = fields[:, ALTITUDE]
    about_x, about_y, about_z = (_turns(fields[:, field], axis) for axis, field in enumerate((ROLL, PITCH, YAW)))
    poses[:, :3, :3] = about_z @ about_y @ about_x
    return poses @ np.linalg.inv(imu_to_camera(calib_dir, camera))


def read_speed(path: str | Path) -> float | None:
    """Read the forward speed in m/s from an OXTS file; None if the file is missing or malformed."""
    try:
        return float(read_text(path).split()[FORWARD_VELOCITY])
    except (OSError, ValueError, IndexError):
        return None


def _turns(angles: np.ndarray, axis: int) -> np.ndarray:
    """Build rotations (N, 3, 3) by angles (N,) in radians about axis x, y or z (0, 1, 2)."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    rotations = np.tile(np.eye(3), (len(angles), 1, 1))
    rotations[:, first, first] = rotations[:, second, second] = np.cos(angles)
    rotations[:, second, first] = np.sin(angles)
    rotations[:, first, second] = -np.sin(angles)
    return rotations


def _numbers(text: str, count: int, where: str) -> list[float]:
    try:
        numbers = [float(number) for number in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise DataError(f"{where}: expected {count} numbers, got {abbreviate(text.strip())}. Copy the file again.")
    return numbers
