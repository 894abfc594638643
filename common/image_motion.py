"""Image motion and static frames: one measure for video imports, dataset checks and generated splits.

Motion is the upper quartile of the optical flow over the cells of an image, as a fraction of the image width, and a
cell has the median flow of its corners. So smooth sky and road, where the flow is unknown, do not count, and a bonnet
or a far horizon, which do not move, may fill most of the other cells. Vehicles that pass a static camera may fill a
quarter.

``common.parallax`` measures how far the camera moves.
"""

from collections.abc import Iterable

import cv2
import numpy as np

MEASURED_WIDTH = 320  # pixels; images are reduced to this width before the flow is computed
CELLS = (6, 12)  # down, across
CORNERS_PER_CELL, LEAST_CORNER = 5, 2e-5  # least eigenvalue of a corner: texture above the noise of a video
RETURN_ERROR = 0.5  # pixels; a corner that is tracked forwards and back returns this closely
# Median flow on KITTI, the method's own dataset, as a share of the width: 297 pairs of successive frames of a drive
# through a residential street at 10 frames/s, left camera. The quartiles are 0.0145 and 0.0207.
TARGET_MOTION = 0.0181
# Fraction of the width per frame. On KITTI (10 Hz), it is reached at about 0.6 m/s. A dash camera on a motorway, with
# much sky and smooth road, has 0.0044 or more at 25 frames/s, a static camera with strong noise (sigma 4 of 255)
# 0.0028.
STATIC_MOTION = 0.0035


def small_grey(pixels: np.ndarray, width: int = MEASURED_WIDTH) -> np.ndarray:
    """Convert an RGB or grey image to grey, uint8 (h, width), and downscale it to ``width``; never upscale it."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, width / grey.shape[1])
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def measure_motion(before: np.ndarray, after: np.ndarray, percentile: float = 75) -> float:
    """Measure the motion between two grey images, uint8 (h, w), as a fraction of their width.

    Images without corners have the median of the dense optical flow: 0 if nothing moves.

    Args:
        before, after: The images.
        percentile: Percentile of the motion over the cells.
    """
    start, end = track_corners(before, after)
    lengths = np.hypot(*(end - start).T) / before.shape[1]
    cells = _cell_numbers(*start.astype(int).T, before.shape)
    medians = [np.median(lengths[cells == cell]) for cell in np.unique(cells)]
    if not medians:
        flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(before, after, None)
        return float(np.median(np.hypot(flow[..., 0], flow[..., 1]))) / before.shape[1]
    return float(np.percentile(medians, percentile))


def track_corners(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Track corners, spread over the image, forwards and back; return the pixels (N, 2) of those that return."""
    strength = cv2.cornerMinEigenVal(before, 5)
    peaks = (strength == cv2.dilate(strength, np.ones((7, 7), np.uint8))) & (strength > LEAST_CORNER)
    border = 6  # pixels
    peaks[:border] = peaks[-border:] = peaks[:, :border] = peaks[:, -border:] = False
    y, x = np.nonzero(peaks)
    cell = _cell_numbers(x, y, before.shape)
    order = np.lexsort((-strength[y, x], cell))
    ranks = np.arange(len(order)) - np.searchsorted(cell[order], cell[order])
    chosen = order[ranks < CORNERS_PER_CELL]
    if len(chosen) == 0:
        return np.zeros((0, 2)), np.zeros((0, 2))
    start = np.stack([x[chosen], y[chosen]], axis=1).astype(np.float32)
    search = {"winSize": (13, 13), "maxLevel": 3}
    end, is_found, _ = cv2.calcOpticalFlowPyrLK(before, after, start[:, None], None, **search)
    back, is_back, _ = cv2.calcOpticalFlowPyrLK(after, before, end, None, **search)
    error = np.linalg.norm(back[:, 0] - start, axis=1)
    good = (is_found.ravel() == 1) & (is_back.ravel() == 1) & (error < RETURN_ERROR)
    return start[good].astype(np.float64), end[good, 0].astype(np.float64)


def _cell_numbers(x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the cell (N,) of each pixel in an image of this (height, width)."""
    return (y * CELLS[0] // size[0]) * CELLS[1] + x * CELLS[1] // size[1]


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
