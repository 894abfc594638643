"""Sparse depth maps from lidar points of any sensor, by rigid transforms between sensors."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from common.errors import DataError

MIN_DEPTH = 0.1  # metres; nearer points belong to the car itself


def rigid_transform(quaternion: Sequence[float], translation: Sequence[float], where: str) -> np.ndarray:
    """Build T_sensor_to_parent (4, 4) of a sensor's pose in its parent frame.

    Args:
        quaternion: w, x, y, z of the sensor's orientation.
        translation: x, y, z of the sensor's origin, metres.
        where: File and entry, for messages.

    Raises:
        DataError: They are not a pose.
    """
    try:
        w, x, y, z = np.array(quaternion, np.float64)
        T = np.eye(4)
        T[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
        T[:3, 3] = translation
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: got rotation {quaternion} and translation {translation}, expected w, x, y, z of a quaternion "
            "and x, y, z in metres. Copy the file again."
        ) from error
    if not np.isfinite(T).all():
        raise DataError(f"{where}: the pose is not finite. Copy the file again.")
    return T


def project_points(points: np.ndarray, K: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Project points into an image; the nearest of several points in a pixel is kept.

    Args:
        points: (N, 3) in the camera's frame: x right, y down, z forward, metres.
        K: (3, 3) in pixels; pixel i has its centre at coordinate i.
        size: (height, width).

    Returns:
        Depth along the camera's z axis, float32 (height, width), metres, 0 where unknown.
    """
    height, width = size
    points = points[points[:, 2] > MIN_DEPTH].astype(np.float64)
    x, y, depth = K @ points.T  # each (N,)
    columns, rows = np.round(x / depth), np.round(y / depth)
    inside = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
    pixels = rows[inside].astype(np.int64) * width + columns[inside].astype(np.int64)
    depth_map = np.full(height * width, np.inf)
    np.minimum.at(depth_map, pixels, depth[inside])
    depth_map[np.isinf(depth_map)] = 0
    return depth_map.reshape(height, width).astype(np.float32)
