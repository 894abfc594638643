"""Score depth edges."""

import cv2
import numpy as np

MAX_DISTANCE = 10.0  # pixels
_JUMPS = (1.05, 1.1)  # Canny's low and high thresholds, as ratios of depth
_UNITS = 1000  # integer steps per unit of log depth: Canny takes integer gradients


def depth_edges(depth: np.ndarray) -> np.ndarray:
    """Detect depth discontinuities: bool (H, W), lines one pixel wide.

    Runs Canny's detector on the logarithm of depth, so that an edge depends on the ratio of depths, near and far alike.
    An edge starts where depth changes by 10 % over a pixel and continues where it changes by 5 %. The threshold is that
    low because predictions, resized to the size of the ground truth, never change abruptly.

    Args:
        depth: (H, W), positive.
    """
    log_depth = np.log(depth.astype(np.float32))
    # A 3x3 Sobel filter responds with 4 to a step of 1.
    gradients = [cv2.Sobel(log_depth, cv2.CV_32F, dx, 1 - dx, scale=_UNITS / 4) for dx in (1, 0)]
    low, high = _UNITS * np.log(_JUMPS)
    limits = np.iinfo(np.int16)
    across, down = (gradient.clip(limits.min, limits.max).astype(np.int16) for gradient in gradients)
    return cv2.Canny(across, down, low, high, L2gradient=True) > 0


def edge_scores(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Compute accuracy and completeness of the depth edges of ``depth_edges``.

    After Koch et al., "Evaluation of CNN-based Single-Image Depth Estimation Methods" (ECCV workshops 2018), section
    3.2.

    Args:
        gt: (H, W), metres, positive, known everywhere.
        pred: (H, W), metres, positive.

    Returns:
        "accuracy": mean distance in pixels from predicted edges to the nearest true edge, over those within
        ``MAX_DISTANCE``; ``MAX_DISTANCE`` if none is. "completeness": mean distance in pixels from true edges to the
        nearest predicted edge, each at most ``MAX_DISTANCE``. Lower is better; NaN if the ground truth has no edge.
    """
    true, predicted = depth_edges(gt), depth_edges(pred)
    if not true.any():
        return {"accuracy": float("nan"), "completeness": float("nan")}
    to_true = _distances(true)[predicted]
    matched = to_true[to_true < MAX_DISTANCE]
    to_predicted = np.minimum(_distances(predicted)[true], MAX_DISTANCE) if predicted.any() else np.array(MAX_DISTANCE)
    return {
        "accuracy": float(matched.mean()) if len(matched) else MAX_DISTANCE,
        "completeness": float(to_predicted.mean()),
    }


def _distances(edges: np.ndarray) -> np.ndarray:
    """Compute the distance of every pixel to the nearest edge, in pixels."""
    return cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
