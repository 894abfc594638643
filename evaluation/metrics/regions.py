"""Compute metrics by distance and by image region."""

from itertools import pairwise

import numpy as np

from evaluation.metrics.depth_metrics import METRIC_NAMES, compute_depth_metrics
from evaluation.metrics.road_plane import RoadPlane

DISTANCES = (0, 10, 20, 40, 80)  # metres
THIRDS = (("top", "middle", "bottom"), ("left", "centre", "right"))
GROUND_HEIGHT = 0.25  # metres above the road plane up to which a point counts as ground


def metrics_by_distance(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Compute the seven metrics by true depth, in the intervals (near, far] between successive ``DISTANCES``.

    Args:
        gt, pred: (P,) true and predicted depths, metres, positive.

    Returns:
        "0-10m/abs_rel", ...; NaN for intervals without pixels.
    """
    scores = {}
    for near, far in pairwise(DISTANCES):
        scores |= _of_part(f"{near}-{far}m", gt, pred, (gt > near) & (gt <= far))
    return scores


def metrics_by_third(
    gt: np.ndarray, pred: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]
) -> dict[str, float]:
    """Compute the seven metrics of image thirds: top, middle, bottom, and left, centre, right.

    The outer thirds contain the pixels that leave the view of neighbouring frames and of the other camera.

    Args:
        gt, pred: (P,) true and predicted depths, metres, positive.
        rows, columns: (P,) pixel indices, from 0.
        size: (height, width) of the image.

    Returns:
        "top/abs_rel", "left/abs_rel", ...; NaN for thirds without pixels.
    """
    scores = {}
    for pixels, length, names in zip((rows, columns), size, THIRDS, strict=True):
        for i, name in enumerate(names):
            scores |= _of_part(name, gt, pred, pixels * 3 // length == i)
    return scores


def metrics_by_ground(gt: np.ndarray, pred: np.ndarray, points: np.ndarray, road: RoadPlane | None) -> dict[str, float]:
    """Compute the seven metrics of the ground and of everything above it.

    Args:
        gt, pred: (P,) true and predicted depths, metres, positive.
        points: (P, 3) true points in the camera frame, metres.
        road: Road plane in the camera frame; None if not found.

    Returns:
        "ground/abs_rel", "above/abs_rel", ...; NaN for parts without pixels, and for both without a road.
    """
    ground = above = np.zeros(len(gt), dtype=bool)
    if road is not None:
        ground = road.height - points @ road.normal <= GROUND_HEIGHT
        above = ~ground
    return {**_of_part("ground", gt, pred, ground), **_of_part("above", gt, pred, above)}


def _of_part(part: str, gt: np.ndarray, pred: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    if not mask.any():
        return {f"{part}/{name}": float("nan") for name in METRIC_NAMES}
    return {f"{part}/{name}": value for name, value in compute_depth_metrics(gt[mask], pred[mask]).items()}
