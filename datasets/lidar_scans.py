"""Lidar scans in KITTI's format: little-endian float32 x (forward), y (left), z (up) in metres, and reflectance."""

from pathlib import Path

import numpy as np

from common.errors import DataError
from common.signatures import open_file
from common.text_files import fault_of

BYTES_PER_POINT = 16
MIN_RANGE, MAX_RANGE = 1.0, 1000.0  # metres, of the farthest point of any automotive lidar; KITTI's reaches 120
MAX_REFLECTANCE = 255.0  # KITTI's is in [0, 1]; other tools write 0 to 255
MIN_AHEAD = 0.05  # share of the points in front of the lidar; half of a full turn, all of a scan cropped to the image


def read_scan(path: Path) -> np.ndarray:
    """Read a lidar scan, float32 (N, 4).

    The file states neither the number of columns nor their type. In other layouts (3 or 5 columns, float64, big-endian)
    some values are implausible as coordinate or reflectance.

    Raises:
        DataError: The file is missing, empty, truncated, or not in KITTI's format.
    """
    try:
        with open_file(path) as stream:
            content = stream.read()
    except OSError as error:
        raise DataError(f"Lidar scan {path} {fault_of(error)}. Copy it again.") from error
    if not content or len(content) % BYTES_PER_POINT:
        raise DataError(
            f"Lidar scan {path} is empty or truncated: got {len(content)} bytes, "
            f"expected a multiple of {BYTES_PER_POINT} (float32 x, y, z, reflectance). Copy it again."
        )
    points = np.frombuffer(content, dtype="<f4").reshape(-1, 4)
    fault = _fault(points)
    if fault:
        raise DataError(
            f"Lidar scan {path} is not in KITTI's format: {fault}. Expected little-endian float32 x (forward), y "
            "(left), z (up) in metres and reflectance in [0, 1] or 0 to 255, four numbers per point. Convert it."
        )
    return points


def _fault(points: np.ndarray) -> str | None:
    """Describe what is implausible in a scan (N, 4); None if nothing is."""
    unusual = points.size - int(np.isfinite(points).sum())
    if unusual:
        return f"{unusual} of {points.size} numbers are not finite"
    reach = float(np.abs(points[:, :3]).max())
    if not MIN_RANGE <= reach <= MAX_RANGE:
        return f"coordinates reach {reach:.3g} m, which should be {MIN_RANGE:g} to {MAX_RANGE:g} m"
    least, most = float(points[:, 3].min()), float(points[:, 3].max())
    if least < 0 or most > MAX_REFLECTANCE:
        return f"reflectance is {least:.3g} to {most:.3g}"
    ahead = float((points[:, 0] >= 0).mean())
    if ahead < MIN_AHEAD:
        return f"{ahead:.0%} of the points are in front of the lidar, less than {MIN_AHEAD:.0%}"
    return None
