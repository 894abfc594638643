"""Checks and resizing of disparity maps, scaled disparities (1 / depth) of one frame."""

import cv2
import numpy as np


def resize_disparity(scaled_disp: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize disparity (h, w) bilinearly to another (height, width), float32; depth is never resized."""
    return cv2.resize(scaled_disp.astype(np.float32, copy=False), size[::-1], interpolation=cv2.INTER_LINEAR)


def check_disparity(scaled_disp: np.ndarray, name: str) -> None:
    """Check that disparities are (h, w), floating point, positive and finite, and have a finite inverse in float32.

    Raises:
        ValueError: They are not; the message begins with ``name``, the frame.
    """
    check_map(scaled_disp, f"{name}: disparities")
    with np.errstate(over="ignore"):
        single = scaled_disp.astype(np.float32, copy=False)
    if not (np.isfinite(single) & (single >= np.finfo(np.float32).tiny)).all():
        raise ValueError(f"{name}: disparities are not all positive and finite; expected 1 / depth (scaled_disp).")


def check_map(array: np.ndarray, what: str) -> None:
    """Check that a map is floating point of shape (height, width), neither of them 0.

    Raises:
        ValueError: It is not; the message begins with ``what``.
    """
    if array.ndim != 2 or 0 in array.shape or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{what}: found {array.dtype} of shape {array.shape}; expected floating point of shape (height, width)."
        )
