"""Find the road plane in a depth map, and the height of the camera above it.

With the true camera height, this gives the scale of a prediction.
"""

import math
from dataclasses import dataclass

import numpy as np

from evaluation.metrics.point_cloud import pixel_rays

# Search region, by the ray (x, y, 1) of a pixel in the camera frame: minimum slope y, and maximum |x| / y, the distance
# to the side in camera heights on level ground.
LEAST_SLOPE = 0.08
SIDE_HEIGHTS = 2.0
LARGEST_TILT = 30.0  # degrees between the plane's normal and the camera's y axis
TOLERANCE = 0.05  # distance of inliers to the plane, relative to their depth
LEAST_SUPPORT = 0.3
MAX_POINTS = 4000
MAX_PIXELS = 60_000  # larger depth maps are subsampled to every second, third, ... row and column
HYPOTHESES = 200
REFINEMENTS = 5


@dataclass(frozen=True, eq=False)
class RoadPlane:
    """Plane normal . X = height in the camera frame (x right, y down, z forward).

    Attributes:
        normal: (3,) unit vector from the camera down to the road.
        height: Height of the camera above the plane, in the unit of the depth.
        support: Share of the candidate pixels on the plane.
    """

    normal: np.ndarray
    height: float
    support: float


def find_road(depth: np.ndarray, K: np.ndarray) -> RoadPlane | None:
    """Fit a plane to the pixels ahead of and below the camera by RANSAC and least squares.

    On the plane normal . X = height, 1 / depth equals normal . ray / height, which is linear in the ray (x, y, 1) of a
    pixel. Residuals are relative to depth, which weights near and far pixels equally.

    Args:
        depth: (H, W) depth along the camera axis, any unit; 0 where unknown.
        K: (3, 3) intrinsics, pixels of ``depth``; pixel i has its centre at coordinate i.

    Returns:
        The plane, deterministic for a given depth map; None if too few pixels agree on one, or if it is tilted by more
        than ``LARGEST_TILT``.
    """
    rays, depths = _candidates(depth, K)
    if len(depths) < MAX_POINTS // 40:
        return None
    rng = np.random.default_rng(0)
    if len(depths) > MAX_POINTS:
        chosen = rng.choice(len(depths), MAX_POINTS, replace=False)
        rays, depths = rays[chosen], depths[chosen]
    # scaled . q = 1 for pixels on the plane, where q = normal / height
    scaled = rays * depths[:, np.newaxis]
    triples = scaled[rng.integers(0, len(scaled), (HYPOTHESES, 3))]  # (HYPOTHESES, 3, 3)
    triples = triples[np.abs(np.linalg.det(triples)) > 1e-9 * np.median(depths) ** 3]
    planes = np.linalg.solve(triples, np.ones((len(triples), 3, 1)))[:, :, 0]
    planes = planes[_is_level(planes)]
    if not len(planes):
        return None
    support = (np.abs(scaled @ planes.T - 1) < TOLERANCE).mean(axis=0)
    plane = planes[support.argmax()]
    for _ in range(REFINEMENTS):
        on_plane = np.abs(scaled @ plane - 1) < TOLERANCE
        plane = np.linalg.lstsq(scaled[on_plane], np.ones(on_plane.sum()), rcond=None)[0]
    share = float((np.abs(scaled @ plane - 1) < TOLERANCE).mean())
    if share < LEAST_SUPPORT or not _is_level(plane):
        return None
    length = float(np.linalg.norm(plane))
    return RoadPlane(plane / length, 1 / length, share)


def _candidates(depth: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rays (P, 3) and depths (P,) of the pixels where a road can be."""
    step = math.ceil(math.sqrt(depth.size / MAX_PIXELS))
    rows, columns = step * np.indices(depth[::step, ::step].shape).reshape(2, -1)
    rays = pixel_rays(rows, columns, K)
    x, y = rays[:, 0], rays[:, 1]
    depths = depth[::step, ::step].reshape(-1).astype(np.float64)
    looked_at = (y > LEAST_SLOPE) & (np.abs(x) < SIDE_HEIGHTS * y) & (depths > 0) & np.isfinite(depths)
    return rays[looked_at], depths[looked_at]


def _is_level(planes: np.ndarray) -> np.ndarray:
    """Return whether planes (..., 3), normal / height, are below the camera and tilted at most ``LARGEST_TILT``."""
    return planes[..., 1] > np.cos(np.radians(LARGEST_TILT)) * np.linalg.norm(planes, axis=-1)
