"""Metres in a scene unit, for depth whose scale is not known: by the camera's height, or by one measured distance."""

import numpy as np

from evaluation.metrics.point_cloud import pixel_rays
from evaluation.metrics.road_plane import find_road

_AROUND = 2  # pixels on each side of a measured one, whose median counts


def scale_from_height(depth: np.ndarray, K: np.ndarray, metres: float) -> float | None:
    """By the height of the camera above the road; None where no road is found.

    Args:
        depth: (H, W), along the camera's axis, scene units; 0 where unknown.
        K: (3, 3), pixels of ``depth``.
        metres: between the camera and the road.
    """
    road = find_road(depth, K)
    return None if road is None else metres / road.height


def scale_from_distance(depth: np.ndarray, K: np.ndarray, pixel: tuple[int, int], metres: float) -> float:
    """By the distance of what is seen in a pixel.

    Args:
        depth, K: as for `scale_from_height`.
        pixel: (x, y), in the image.
        metres: straight from the camera to it, as one measures, not along the camera's axis.
    """
    x, y = pixel
    around = depth[max(0, y - _AROUND) : y + _AROUND + 1, max(0, x - _AROUND) : x + _AROUND + 1]
    (ray,) = pixel_rays(np.array([y]), np.array([x]), K)
    return float(metres / (np.median(around) * np.linalg.norm(ray)))
