"""How much images move, and in which frames nothing moves: one measure for imports, dataset checks and splits by rule.

Motion is the median over an image of the length of its optical flow, as a share of the image's width. The median
passes over others who drive by.
"""

from collections.abc import Iterable

import cv2
import numpy as np

MEASURED_WIDTH = 320  # pixels of the images that motion is measured in
# Of the width, from frame to frame. On KITTI's images (10 a second), motion falls below this where the car is slower
# than about 0.9 m/s (its speed found from lidar and tracked points); at 2.5 m/s it is 0.0044, at 12 m/s 0.0145.
STATIC_MOTION = 0.0023


def small_grey(pixels: np.ndarray, width: int = MEASURED_WIDTH) -> np.ndarray:
    """Reduce an RGB image to grey levels, uint8 (h, width); a narrower image keeps its size."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, width / grey.shape[1])
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def measure_motion(before: np.ndarray, after: np.ndarray) -> float:
    """Measure the median length of the flow between two grey images, uint8 (h, w), as a share of their width.

    Right up to about 0.03, too small above: there the flow that is searched for is not found everywhere.
    """
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(before, after, None)
    return float(np.median(np.hypot(flow[..., 0], flow[..., 1]))) / before.shape[1]


def static_frames(motions: Iterable[tuple[int, float | None]], threshold: float = STATIC_MOTION) -> set[int]:
    """Find the frames in which nothing moves: neither since the frame before nor until the next.

    Args:
        motions: (number, motion since the number before; None where that has no frame), ascending.
        threshold: less motion is none.
    """
    since = dict(motions)
    static = {number for number, motion in since.items() if motion is not None and motion < threshold}
    # The first frame of a static stretch has moved before, or has none before it; the last moves on.
    return {number for number in static if number + 1 in static or since.get(number + 1) is None}
