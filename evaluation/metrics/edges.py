"""Whether depth jumps where it should."""

import cv2
import numpy as np

MAX_DISTANCE = 10.0  # pixels
_JUMPS = (1.05, 1.1)  # ratios of depth: where an edge may go on, and where it must begin
_UNITS = 1000  # of the logarithm of depth, for Canny's integer gradients


def depth_edges(depth: np.ndarray) -> np.ndarray:
    """Where depth jumps: bool (H, W), lines one pixel wide.

    Canny's detector on the logarithm of depth, so that a jump counts by its ratio, near and far alike: an edge begins
    where depth changes by a tenth over a pixel, and goes on where it changes by a twentieth: predictions, which are
    resized to the truth's size, never jump at once.

    Args:
        depth: (H, W), positive.
    """
    log_depth = np.log(depth.astype(np.float32))
    # A Sobel filter of 3 x 3 makes 4 of a step of 1.
    gradients = [cv2.Sobel(log_depth, cv2.CV_32F, dx, 1 - dx, scale=_UNITS / 4) for dx in (1, 0)]
    low, high = _UNITS * np.log(_JUMPS)
    limits = np.iinfo(np.int16)
    across, down = (gradient.clip(limits.min, limits.max).astype(np.int16) for gradient in gradients)
    return cv2.Canny(across, down, low, high, L2gradient=True) > 0


def edge_scores(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Accuracy and completeness of depth edges, after Koch et al., "Evaluation of CNN-based Single-Image Depth
    Estimation Methods" (ECCV workshops 2018), section 3.2, with the edges of ``depth_edges``.

    Args:
        gt: (H, W), metres, positive, known everywhere.
        pred: (H, W), metres, positive.

    Returns:
        "accuracy": mean distance in pixels from the predicted edges to the nearest true one, of those that have one
        within ``MAX_DISTANCE``; that distance where none has. "completeness": mean distance from the true edges to the
        nearest predicted one, at most ``MAX_DISTANCE``. Both are better the less; NaN where the truth has no edge.
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
    """Of every pixel to the nearest edge, in pixels."""
    return cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
