"""The seven depth metrics (Eigen et al., NIPS 2014; supplementary material of Monodepth2, section 1).

Also depths after a least-squares fit of disparity, for predictions up to scale and shift.
"""

import numpy as np

from evaluation.metrics.alignment import disparity_moments, solve_moments

METRIC_NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
_RATIO_THRESHOLD = 1.25


def compute_depth_metrics(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Compute the seven metrics of one frame, in the precision of the inputs.

    Args:
        gt: (P,) true depths, metres, positive.
        pred: (P,) predicted depths, metres, positive.

    Returns:
        ``METRIC_NAMES`` -> value: errors abs_rel (a share), sq_rel and rmse (metres), rmse_log (natural logarithm), and
        a1, a2, a3, the shares of pixels with max(gt / pred, pred / gt) below 1.25, 1.25^2 and 1.25^3.
    """
    difference = gt - pred
    ratio = np.maximum(gt / pred, pred / gt)
    values = (
        np.mean(np.abs(difference) / gt),
        np.mean(difference**2 / gt),
        np.sqrt(np.mean(difference**2)),
        np.sqrt(np.mean((np.log(gt) - np.log(pred)) ** 2)),
        *(np.mean(ratio < _RATIO_THRESHOLD**power) for power in (1, 2, 3)),
    )
    return {name: float(value) for name, value in zip(METRIC_NAMES, values, strict=True)}


def scale_disparity(gt: np.ndarray, scaled_disp: np.ndarray, cap: float) -> np.ndarray:
    """Convert disparity to depth with the factor that fits it best to 1 / true depth (``solve_moments``).

    Args:
        gt, scaled_disp, cap: As in ``align_disparity``.

    Returns:
        (P,) float64, metres.
    """
    return _fitted_depth(gt, scaled_disp, cap, with_shift=False)


def align_disparity(gt: np.ndarray, scaled_disp: np.ndarray, cap: float) -> np.ndarray:
    """Convert disparity to depth with the scale and shift that fit it best to 1 / true depth (``solve_moments``).

    Args:
        gt: (P,) true depths, metres, positive.
        scaled_disp: (P,) predicted disparities, 1 / depth in any unit.
        cap: Depth of points that are farther or behind the camera, metres.

    Returns:
        (P,) float64, metres.
    """
    return _fitted_depth(gt, scaled_disp, cap, with_shift=True)


def _fitted_depth(gt: np.ndarray, scaled_disp: np.ndarray, cap: float, with_shift: bool) -> np.ndarray:
    fit = solve_moments(disparity_moments(gt, scaled_disp), with_shift)
    return 1 / np.maximum(scaled_disp.astype(np.float64) / fit.ratio + fit.shift, 1 / cap)
