"""Disparity as a picture."""

import cv2
import numpy as np


def colourise_disparity(disp: np.ndarray) -> np.ndarray:
    """Magma colours from the smallest value (far, dark) to the 95th percentile (near, bright).

    Args:
        disp: (H, W), any scale.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    low, high = float(disp.min()), float(np.percentile(disp, 95))
    scaled = (disp - low) / max(high - low, 1e-12)
    grey = (scaled.clip(0, 1) * 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
