"""Colour maps of disparity."""

import cv2
import numpy as np


def colour_range(disp: np.ndarray) -> tuple[float, float]:
    """Return the disparities of the darkest and brightest colour: the minimum (far) and the 95th percentile (near)."""
    return float(disp.min()), float(np.percentile(disp, 95))


def colourise_disparity(disp: np.ndarray, ends: tuple[float, float] | None = None) -> np.ndarray:
    """Colour a disparity map with the magma colour map, from dark (far) to bright (near).

    Args:
        disp: (H, W), any scale.
        ends: Disparities of the darkest and brightest colour; ``colour_range(disp)`` by default.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    low, high = colour_range(disp) if ends is None else ends
    scaled = (disp - low) / max(high - low, 1e-12)
    grey = (scaled.clip(0, 1) * 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
