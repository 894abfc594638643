"""Depth baselines that ignore the image; a trained network must beat them."""

from collections.abc import Iterable

import cv2
import numpy as np

from common.errors import DataError

BLUR_SIGMA = 6.0  # pixels


def constant_disparity(size: tuple[int, int]) -> np.ndarray:
    """Return the same disparity everywhere: float32 (h, w)."""
    return np.ones(size, dtype=np.float32)


def mean_disparity(ground_truths: Iterable[np.ndarray | None], size: tuple[int, int]) -> np.ndarray:
    """Compute the mean disparity (1 / depth) of training frames at each pixel.

    Lidar is sparse: sums and counts per pixel are both blurred by a Gaussian with a sigma of 6 pixels before the
    division. Pixels without lidar points nearby get the mean over all pixels.

    Args:
        ground_truths: (h, w) of any sizes, metres, 0 where unknown; None for a frame without ground truth.
        size: (height, width); frames of another size are resized with nearest-neighbour sampling.

    Returns:
        float32 (height, width), 1 / metres.

    Raises:
        DataError: No frame has ground truth.
    """
    total = np.zeros(size, dtype=np.float64)
    count = np.zeros(size, dtype=np.float64)
    for depth in ground_truths:
        if depth is None:
            continue
        if depth.shape != size:
            depth = cv2.resize(depth, size[::-1], interpolation=cv2.INTER_NEAREST)
        known = depth > 0
        total[known] += 1.0 / depth[known]
        count += known
    if not count.any():
        raise DataError("None of the training frames has ground truth, so the mean depth map is unavailable.")
    mean = total.sum() / count.sum()
    total, count = (cv2.GaussianBlur(x, (0, 0), BLUR_SIGMA) for x in (total, count))
    return np.where(count > 1e-6, total / np.maximum(count, 1e-6), mean).astype(np.float32)
