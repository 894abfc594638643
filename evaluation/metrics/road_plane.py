"""The road in a depth map: the plane that the camera drives over, and how high above it the camera is.

What tells the scale of a prediction where the camera's true height is known.
"""

import math
from dataclasses import dataclass

import numpy as np

from evaluation.metrics.point_cloud import pixel_rays

# Where the road is looked for, by the ray through a pixel, (x, y, 1) in the camera's frame: at least so steeply down,
# and on level ground at most so many camera heights to the side.
LEAST_SLOPE = 0.08
SIDE_HEIGHTS = 2.0
LARGEST_TILT = 30.0  # degrees between the plane's normal and the camera's y axis
TOLERANCE = 0.05  # of the depth: a point nearer to the plane than that lies on it
LEAST_SUPPORT = 0.3
MAX_POINTS = 4000
MAX_PIXELS = 60_000  # of larger depth maps every second, third, ... row and column is looked at
HYPOTHESES = 200
REFINEMENTS = 5


@dataclass(frozen=True, eq=False)
class RoadPlane:
    """The plane normal . X = height, in the camera's frame (x right, y down, z forward).

    Attributes:
        normal: (3,), of length 1, from the camera down to the road.
        height: of the camera above the plane, in the unit of the depth.
        support: share of the pixels looked at that lie on the plane.
    """

    normal: np.ndarray
    height: float
    support: float


def find_road(depth: np.ndarray, K: np.ndarray) -> RoadPlane | None:
    """The plane that most pixels ahead of and below the camera lie on, by RANSAC and least squares.

    Where normal . X = height, one over depth is normal . ray / height: linear in the ray (x, y, 1) of a pixel. So the
    fit takes the depth map as it is, and near and far pixels count alike, by the relative error of their depth.

    Args:
        depth: (H, W), along the camera's axis, any unit; 0 where unknown.
        K: (3, 3), pixels of ``depth``; pixel i has its centre at coordinate i.

    Returns:
        The plane, always the same for the same depth; None where too few pixels agree on one, or it is no road:
        tilted by more than ``LARGEST_TILT``.
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
    """Rays (P, 3) and depths (P,) of the pixels where a road would be."""
    step = math.ceil(math.sqrt(depth.size / MAX_PIXELS))
    rows, columns = step * np.indices(depth[::step, ::step].shape).reshape(2, -1)
    rays = pixel_rays(rows, columns, K)
    x, y = rays[:, 0], rays[:, 1]
    depths = depth[::step, ::step].reshape(-1).astype(np.float64)
    looked_at = (y > LEAST_SLOPE) & (np.abs(x) < SIDE_HEIGHTS * y) & (depths > 0) & np.isfinite(depths)
    return rays[looked_at], depths[looked_at]


def _is_level(planes: np.ndarray) -> np.ndarray:
    """Whether planes (..., 3), normal / height, lie below the camera and are tilted by no more than is allowed."""
    return planes[..., 1] > np.cos(np.radians(LARGEST_TILT)) * np.linalg.norm(planes, axis=-1)
