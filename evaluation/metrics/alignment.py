"""Predictions up to scale and shift, aligned to the truth."""

import numpy as np


def align_disparity(gt: np.ndarray, scaled_disp: np.ndarray, cap: float) -> np.ndarray:
    """Depth after the scale and shift of disparity that fit one over the true depth best, by least squares.

    Ranftl et al., "Towards Robust Monocular Depth Estimation" (TPAMI 2022), section 5: what is left of the error is
    that of the shape.

    Args:
        gt: (P,) true depths in metres, positive.
        scaled_disp: (P,) predicted disparities, one over depth in any unit.
        cap: what is further, or behind the camera, is taken for it; metres.

    Returns:
        (P,) float64, metres.
    """
    disp = scaled_disp.astype(np.float64)
    columns = np.stack([disp, np.ones_like(disp)], axis=1)
    fit = np.linalg.lstsq(columns, 1 / gt.astype(np.float64), rcond=None)[0]
    return 1 / np.maximum(columns @ fit, 1 / cap)
