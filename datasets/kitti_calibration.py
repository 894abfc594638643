"""KITTI's calibration files, and sparse depth maps from its lidar scans.

Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013, describe the files and coordinate frames:
x_image = P_rect_0c R_rect_00 T_velo_to_cam x_velo, all in homogeneous coordinates.
"""

from pathlib import Path

import numpy as np

from common.errors import DataError
from common.text_files import abbreviate, read_data_text
from datasets.cameras import checked_intrinsics, checked_size
from datasets.lidar_scans import read_scan

FORWARD_AXES = ("legacy", "camera")


def read_calibration_file(path: str | Path) -> dict[str, np.ndarray | str]:
    """Read the entries ``key: values`` of a KITTI calibration file.

    Returns:
        Key -> float64 array, or text if the value is not numeric.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    remedy = (
        "Unpack the KITTI archive of that day or sequence there (*_calib.zip). "
        "For training alone, --kitti_mean_intrinsics is sufficient."
    )
    text = read_data_text(path, "Calibration file", remedy)
    entries: dict[str, np.ndarray | str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            continue
        try:
            entries[key.strip()] = np.array([float(number) for number in value.split()])
        except ValueError:  # calib_time is a date
            entries[key.strip()] = value.strip()
    return entries


def rectified_intrinsics(calib_dir: str | Path, camera: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Read the intrinsics of a rectified camera of KITTI raw from ``calib_cam_to_cam.txt``.

    Returns:
        Intrinsics (3, 3) in pixels, and the (height, width) of the images they apply to.

    Raises:
        DataError: The file or an entry is missing.
    """
    path = Path(calib_dir) / "calib_cam_to_cam.txt"
    entries = read_calibration_file(path)
    projection = _numbers(entries, f"P_rect_0{camera}", 12, path).reshape(3, 4)
    return checked_intrinsics(projection[:, :3], str(path)), _rectified_size(entries, camera, path)


def odometry_intrinsics(sequence_dir: str | Path, camera: int) -> np.ndarray:
    """Read the intrinsics of a camera of an odometry sequence from ``calib.txt``.

    Returns:
        Intrinsics (3, 3) in pixels, for images of the original size.

    Raises:
        DataError: The file or its entry is missing.
    """
    path = Path(sequence_dir) / "calib.txt"
    projection = _numbers(read_calibration_file(path), f"P{camera}", 12, path).reshape(3, 4)
    return checked_intrinsics(projection[:, :3], str(path))


def lidar_to_depth(velodyne_path: str | Path, calib_dir: str | Path, camera: int, forward_axis: str) -> np.ndarray:
    """Project a lidar scan of KITTI raw into a rectified camera.

    Coordinates are rounded and reduced by one, because KITTI counts pixels from 1. The nearest of several points in a
    pixel is kept.

    Args:
        velodyne_path: The lidar scan.
        calib_dir: Folder with the calibration files of the day.
        camera: Number of the camera.
        forward_axis: Stored value. "legacy": the lidar's forward coordinate x, as in the published Eigen evaluation;
            "camera": depth along the camera's z axis.

    Returns:
        Sparse depth, float32 (height, width) in metres, 0 where unknown.

    Raises:
        DataError: A file is missing or does not follow its format.
        ValueError: ``forward_axis`` is unknown.
    """
    if forward_axis not in FORWARD_AXES:
        raise ValueError(f"forward_axis: got {forward_axis!r}, allowed {FORWARD_AXES}")
    points = read_scan(Path(velodyne_path)).astype(np.float64)  # (N, 4)
    points[:, 3] = 1  # homogeneous
    projection, (height, width) = _lidar_to_image(Path(calib_dir), camera)

    points = points[points[:, 0] >= 0]
    x, y, depth = projection @ points.T  # each (N,)
    ahead = depth > 0
    x, y, depth, forward = x[ahead], y[ahead], depth[ahead], points[ahead, 0]
    columns = np.round(x / depth) - 1
    rows = np.round(y / depth) - 1
    inside = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
    values = (forward if forward_axis == "legacy" else depth)[inside]

    pixels = rows[inside].astype(np.int64) * width + columns[inside].astype(np.int64)
    depth_map = np.full(height * width, np.inf)
    np.minimum.at(depth_map, pixels, values)
    depth_map[np.isinf(depth_map)] = 0
    return depth_map.reshape(height, width).astype(np.float32)


def imu_to_camera(calib_dir: str | Path, camera: int) -> np.ndarray:
    """Compute T_imu_to_camera (4, 4) in metres for a rectified camera of KITTI raw, from the day's calibration files.

    Raises:
        DataError: One of the three files or an entry is missing.
    """
    cameras_path, lidar_path, imu_path = (
        Path(calib_dir) / f"calib_{what}.txt" for what in ("cam_to_cam", "velo_to_cam", "imu_to_velo")
    )
    cameras, lidar, imu = (read_calibration_file(path) for path in (cameras_path, lidar_path, imu_path))
    P_rect = _numbers(cameras, f"P_rect_0{camera}", 12, cameras_path).reshape(3, 4)
    T_reference_to_camera = np.eye(4)
    T_reference_to_camera[:3, 3] = np.linalg.solve(P_rect[:, :3], P_rect[:, 3])
    R_rect = _reference_rectification(cameras, cameras_path)
    return T_reference_to_camera @ R_rect @ _rigid(lidar, lidar_path) @ _rigid(imu, imu_path)


def _lidar_to_image(calib_dir: Path, camera: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Compute the projection (3, 4) from lidar points to pixels of a rectified camera, and its image size."""
    cameras_path, lidar_path = calib_dir / "calib_cam_to_cam.txt", calib_dir / "calib_velo_to_cam.txt"
    cameras, lidar = read_calibration_file(cameras_path), read_calibration_file(lidar_path)

    R_rect = _reference_rectification(cameras, cameras_path)
    P_rect = _numbers(cameras, f"P_rect_0{camera}", 12, cameras_path).reshape(3, 4)
    return P_rect @ R_rect @ _rigid(lidar, lidar_path), _rectified_size(cameras, camera, cameras_path)


def _rigid(entries: dict[str, np.ndarray | str], path: Path) -> np.ndarray:
    """Build the rigid transform (4, 4) from the entries R and T of a file."""
    transform = np.eye(4)
    transform[:3, :3] = _numbers(entries, "R", 9, path).reshape(3, 3)
    transform[:3, 3] = _numbers(entries, "T", 3, path)
    return transform


def _reference_rectification(cameras: dict[str, np.ndarray | str], path: Path) -> np.ndarray:
    """Return the rotation (4, 4) from the reference camera to the rectified cameras."""
    R_rect = np.eye(4)
    R_rect[:3, :3] = _numbers(cameras, "R_rect_00", 9, path).reshape(3, 3)
    return R_rect


def _rectified_size(entries: dict[str, np.ndarray | str], camera: int, path: Path) -> tuple[int, int]:
    width, height = _numbers(entries, f"S_rect_0{camera}", 2, path)
    return checked_size(width, height, str(path))


def _numbers(entries: dict[str, np.ndarray | str], key: str, count: int, path: Path) -> np.ndarray:
    value = entries.get(key)
    if not isinstance(value, np.ndarray) or value.size != count:
        got = (
            "no such line" if value is None else abbreviate(value.tolist() if isinstance(value, np.ndarray) else value)
        )
        raise DataError(f"{path}: expected the entry '{key}:' with {count} numbers, got {got}.")
    if not np.isfinite(value).all():
        raise DataError(f"{path}: the entry '{key}:' contains numbers that are not finite. Copy the file again.")
    return value
