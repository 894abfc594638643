"""Back-project depth to points, and compare point clouds."""

import numpy as np

THRESHOLD = 0.1  # metres
_THRESHOLDS_CM = (5, 10, 20)


def pixel_rays(rows: np.ndarray, columns: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Compute the rays through pixels, K^-1 (x, y, 1), at depth 1 in the camera frame.

    Args:
        rows, columns: (P,) pixel indices; pixel i has its centre at coordinate i.
        K: (3, 3) intrinsics, pixels.

    Returns:
        float64 (P, 3).
    """
    pixels = np.stack([columns, rows, np.ones(len(rows))])  # (3, P)
    return (np.linalg.inv(K) @ pixels).T


def back_project(depth: np.ndarray, rows: np.ndarray, columns: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Back-project pixels to points (P, 3) in the camera frame: x right, y down, z forward.

    Args:
        depth: (P,) depth along the camera axis, any unit; the points have the same.
        rows, columns, K: As in ``pixel_rays``.
    """
    return pixel_rays(rows, columns, K) * depth[:, np.newaxis]


def cloud_scores(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Compute Chamfer distance and F-score of two point clouds.

    The F-score is that of Knapitsch et al., "Tanks and Temples" (TOG 2017), section 4, at ``THRESHOLD``. It describes
    the quality of depth better than per-pixel metrics (Örnek et al., "From 2D to 3D", 2022); that paper's section on
    metrics also has the intersection over union, P R / (P + R - P R) of precision P and recall R.

    Args:
        true, predicted: (P, 3) and (Q, 3), metres.

    Returns:
        "chamfer": mean distance from predicted points to the nearest true one, plus mean distance from true points to
        the nearest predicted one, metres. "precision" and "recall": shares of predicted and of true points within
        ``THRESHOLD`` of the other cloud. "f_score": their harmonic mean, 2 P R / (P + R). "f_score_5cm",
        "iou_5cm", ...: F-score and intersection over union at 5, 10 and 20 cm.
    """
    to_true, to_predicted = _distances(predicted, true), _distances(true, predicted)
    precision, recall = np.mean(to_true < THRESHOLD), np.mean(to_predicted < THRESHOLD)
    by_threshold = {}
    for centimetres in _THRESHOLDS_CM:
        shares = [np.mean(distances < centimetres / 100) for distances in (to_true, to_predicted)]
        by_threshold[f"f_score_{centimetres}cm"] = _f_score(*shares)
        by_threshold[f"iou_{centimetres}cm"] = _intersection_over_union(*shares)
    return {
        "chamfer": float(to_true.mean() + to_predicted.mean()),
        "precision": float(precision),
        "recall": float(recall),
        "f_score": _f_score(precision, recall),
        **by_threshold,
    }


def _f_score(precision: float, recall: float) -> float:
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _intersection_over_union(precision: float, recall: float) -> float:
    """Points of both clouds over points of either: F / (2 - F) with the F-score F."""
    f_score = _f_score(precision, recall)
    return f_score / (2 - f_score)


def _distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the distance of each point to the nearest of the others."""
    from scipy.spatial import cKDTree  # slow to import, and not needed to back-project

    # An unbalanced tree gives the same distances, and is twice as fast here.
    return cKDTree(others, balanced_tree=False, compact_nodes=False).query(points)[0]
