"""Metrics by distance and by region of the image: where a prediction is good and where not."""

from itertools import pairwise

import numpy as np

from evaluation.depth_metrics import METRIC_NAMES, compute_depth_metrics

DISTANCES = (0, 10, 20, 40, 80)  # metres
THIRDS = ("top", "middle", "bottom")


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


def metrics_by_third(gt: np.ndarray, pred: np.ndarray, rows: np.ndarray, height: int) -> dict[str, float]:
    """The seven metrics of the image's thirds, from top to bottom: of a car's camera sky and trees, cars, road.

    Args:
        gt, pred: (P,) true and predicted depths in metres, positive.
        rows: (P,) the pixels' rows, from 0.
        height: of the image.

    Returns:
        "top/abs_rel" and so on; NaN where a third has no pixel.
    """
    third = rows * 3 // height
    scores = {}
    for i, name in enumerate(THIRDS):
        scores |= _of_part(name, gt, pred, third == i)
    return scores


def _of_part(part: str, gt: np.ndarray, pred: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    if not mask.any():
        return {f"{part}/{name}": float("nan") for name in METRIC_NAMES}
    return {f"{part}/{name}": value for name, value in compute_depth_metrics(gt[mask], pred[mask]).items()}
