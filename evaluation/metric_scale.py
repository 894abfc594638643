"""Compute metres per scene unit from the camera's height above the road, or from one measured distance."""

import numpy as np

from evaluation.metrics.point_cloud import pixel_rays
from evaluation.metrics.road_plane import find_road

_AROUND = 2  # pixels on each side of the measured one; their median depth is used


def scale_from_height(depth: np.ndarray, K: np.ndarray, metres: float) -> float | None:
    """Compute metres per scene unit from the camera's height above the road; None if no road is found.

    Args:
        depth: (H, W) depth along the camera axis, scene units; 0 where unknown.
        K: (3, 3) intrinsics, pixels of ``depth``.
        metres: Height of the camera above the road, metres.
    """
    road = find_road(depth, K)
    return None if road is None else metres / road.height


def scale_from_distance(depth: np.ndarray, K: np.ndarray, pixel: tuple[int, int], metres: float) -> float:
    """Compute metres per scene unit from the distance to the object at a pixel.

    Args:
        depth, K: As in ``scale_from_height``.
        pixel: (x, y) in the image.
        metres: Straight-line distance from the camera, metres; not the depth along the camera axis.
    """
    x, y = pixel
    around = depth[max(0, y - _AROUND) : y + _AROUND + 1, max(0, x - _AROUND) : x + _AROUND + 1]
    (ray,) = pixel_rays(np.array([y]), np.array([x]), K)
    return float(metres / (np.median(around) * np.linalg.norm(ray)))
