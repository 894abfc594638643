"""Where the camera was and how fast it drove: pose files, and KITTI's GPS and IMU (oxts), 30 numbers for each frame.

Poses are T_world_from_camera, (N, 4, 4).
"""

import re
from pathlib import Path

import numpy as np

from common.errors import DataError
from datasets.kitti_calibration import imu_to_camera

EARTH_RADIUS = 6378137.0  # metres, as in KITTI's development kit
LATITUDE, LONGITUDE, ALTITUDE, ROLL, PITCH, YAW = range(6)  # the first fields of a file of oxts
FORWARD_VELOCITY = 8  # after those and the velocities to north and east


def read_poses(path: str | Path) -> np.ndarray:
    """The poses of a file with 12 numbers a line, the upper three rows of each.

    Raises:
        DataError: the file is missing, empty, or a line is not as the format says.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        fault = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DataError(f"Poses {path} {fault}.") from error
    rows = [_numbers(line, 12, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise DataError(f"Poses {path}: the file is empty, expected 12 numbers a line. Copy it again.")
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = np.reshape(rows, (-1, 3, 4))
    return poses


def oxts_poses(folder: str | Path, calib_dir: str | Path, camera: int) -> np.ndarray:
    """The poses of a rectified camera of a drive of KITTI raw, from its GPS and IMU: x east, y north, z up.

    Positions are on the plane that KITTI's development kit maps the drive to, Mercator's at the first frame's latitude.

    Args:
        folder: the drive's oxts/data, a file for each frame from 0 on.
        calib_dir: the day's folder.
        camera: its number.

    Raises:
        DataError: a file is missing, or not as its format says.
    """
    paths = sorted(path for path in Path(folder).glob("*.txt") if re.fullmatch(r"\d+", path.stem))
    gap = next((frame for frame, path in enumerate(paths) if int(path.stem) != frame), None)
    if gap is not None:
        raise DataError(f"{folder} has {len(paths)} files, but none of frame {gap}: copy them again.")
    fields = np.array([_numbers(path.read_text(encoding="ascii", errors="replace"), 30, str(path)) for path in paths])
    scale = np.cos(np.radians(fields[0, LATITUDE])) * EARTH_RADIUS
    poses = np.tile(np.eye(4), (len(fields), 1, 1))
    poses[:, 0, 3] = scale * np.radians(fields[:, LONGITUDE])
    poses[:, 1, 3] = scale * np.log(np.tan(np.radians(90 + fields[:, LATITUDE]) / 2))
    poses[:, 2, 3] = fields[:, ALTITUDE]
    about_x, about_y, about_z = (_turns(fields[:, field], axis) for axis, field in enumerate((ROLL, PITCH, YAW)))
    poses[:, :3, :3] = about_z @ about_y @ about_x
    return poses @ np.linalg.inv(imu_to_camera(calib_dir, camera))


def read_speed(path: str | Path) -> float | None:
    """Read from a file of oxts how many metres a second the car drives forwards; None where it does not say."""
    try:
        return float(Path(path).read_text(encoding="ascii").split()[FORWARD_VELOCITY])
    except (OSError, ValueError, IndexError):
        return None


def _turns(angles: np.ndarray, axis: int) -> np.ndarray:
    """Rotations about the axis x, y or z (0, 1, 2) by radians: (N, 3, 3)."""
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
        raise DataError(f"{where}: expected {count} numbers, got '{text.strip()[:60]}'. Copy the file again.")
    return numbers
