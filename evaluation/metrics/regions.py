"""Metrics by distance and by region of the image: where a prediction is good and where not."""

from itertools import pairwise

import numpy as np

from evaluation.metrics.depth_metrics import METRIC_NAMES, compute_depth_metrics
from evaluation.metrics.road_plane import RoadPlane

DISTANCES = (0, 10, 20, 40, 80)  # metres
THIRDS = (("top", "middle", "bottom"), ("left", "centre", "right"))
GROUND_HEIGHT = 0.25  # metres: what rises higher stands on the ground


def metrics_by_distance(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """The seven metrics of the pixels whose true depth is above one of ``DISTANCES`` and up to the next.

    Args:
        gt, pred: (P,) true and predicted depths in metres, positive.

    Returns:
        "0-10m/abs_rel" and so on; NaN where no pixel is that far.
    """
    scores = {}
    for near, far in pairwise(DISTANCES):
        scores |= _of_part(f"{near}-{far}m", gt, pred, (gt > near) & (gt <= far))
    return scores


def metrics_by_third(
    gt: np.ndarray, pred: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]
) -> dict[str, float]:
    """The seven metrics of the image's thirds, from top to bottom and from left to right.

    At the sides lies what leaves the view of the neighbouring frames and of the other camera.

    Args:
        gt, pred: (P,) true and predicted depths in metres, positive.
        rows, columns: (P,) of the pixels, from 0.
        size: (height, width) of the image.

    Returns:
        "top/abs_rel", "left/abs_rel" and so on; NaN where a third has no pixel.
    """
    scores = {}
    for pixels, length, names in zip((rows, columns), size, THIRDS, strict=True):
        for i, name in enumerate(names):
            scores |= _of_part(name, gt, pred, pixels * 3 // length == i)
    return scores


def metrics_by_ground(gt: np.ndarray, pred: np.ndarray, points: np.ndarray, road: RoadPlane | None) -> dict[str, float]:
    """The seven metrics of the ground, and of what stands on it.

    Args:
        gt, pred: (P,) true and predicted depths in metres, positive.
        points: (P, 3), where the pixels truly are, metres, in the camera's frame.
        road: in that frame; None where none is seen.

    Returns:
        "ground/abs_rel", "above/abs_rel" and so on; NaN where a part has no pixel, and without a road.
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
