"""Image motion and static frames: one measure for video imports, dataset checks and generated splits.

Motion is the median length of the optical flow over an image, as a fraction of the image width. The median ignores
other vehicles that pass through the image.
"""

from collections.abc import Iterable

import cv2
import numpy as np

MEASURED_WIDTH = 320  # pixels; images are reduced to this width before the flow is computed
# Fraction of the width per frame. Measured on KITTI (10 Hz), with the car's speed from lidar and tracked points:
# 0.0023 at about 0.9 m/s, 0.0044 at 2.5 m/s, 0.0145 at 12 m/s.
STATIC_MOTION = 0.0023


def small_grey(pixels: np.ndarray, width: int = MEASURED_WIDTH) -> np.ndarray:
    """Convert an RGB image to grey, uint8 (h, width), and downscale it to ``width``; never upscale it."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, width / grey.shape[1])
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def measure_motion(before: np.ndarray, after: np.ndarray) -> float:
    """Measure the median flow length between two grey images, uint8 (h, w), as a fraction of their width.

    Accurate up to about 0.03. Larger motion is underestimated, because it exceeds the search range of the flow.
    """
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(before, after, None)
    return float(np.median(np.hypot(flow[..., 0], flow[..., 1]))) / before.shape[1]


def static_frames(motions: Iterable[tuple[int, float | None]], threshold: float = STATIC_MOTION) -> set[int]:
    """Find the static frames: those without motion from the previous frame and to the next frame.

    Args:
        motions: Pairs (frame number, motion since frame number - 1, or None if that frame is missing), ascending.
        threshold: Motion below this counts as static, as a fraction of the image width.
    """
    since = dict(motions)
    static = {number for number, motion in since.items() if motion is not None and motion < threshold}
    # The first frame of a static stretch is not in ``static``, as its motion is large or unknown. Drop the last frame,
    # which moves to the next one.
    return {number for number in static if number + 1 in static or since.get(number + 1) is None}
