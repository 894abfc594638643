"""What depth can be had without looking at the image: what a trained network must beat."""

from collections.abc import Iterable

import cv2
import numpy as np

from common.errors import DataError

BLUR_SIGMA = 6.0  # pixels


def constant_disparity(size: tuple[int, int]) -> np.ndarray:
    """The same depth everywhere: float32 (h, w)."""
    return np.ones(size, dtype=np.float32)


def mean_disparity(ground_truths: Iterable[np.ndarray | None], size: tuple[int, int]) -> np.ndarray:
    """The mean disparity (1 / depth) that training frames have at each pixel.

    Lidar is sparse: sums and counts by pixel are both blurred, by a Gaussian of 6 pixels, before one is divided by the
    other. Where no scan came near, the mean over all pixels stands.

    Args:
        ground_truths: (h, w), metres, 0 where unknown, of any sizes; None for a frame without.
        size: (height, width) to which frames of another size are brought, pixel by nearest pixel.

    Returns:
        float32 (height, width), one over metres.

    Raises:
        DataError: no frame has ground truth.
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
        raise DataError("none of the training frames has ground truth: there is no mean depth to compare with.")
    mean = total.sum() / count.sum()
    total, count = (cv2.GaussianBlur(x, (0, 0), BLUR_SIGMA) for x in (total, count))
    return np.where(count > 1e-6, total / np.maximum(count, 1e-6), mean).astype(np.float32)
