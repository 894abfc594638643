"""The seven measures of predicted depth (Eigen et al., NIPS 2014; supplementary of Monodepth2, section 1).

And its alignment to the truth, for predictions up to scale and shift.
"""

import numpy as np

METRIC_NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
_RATIO_THRESHOLD = 1.25


def compute_depth_metrics(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Scores one frame, in the precision of the inputs.

    Args:
        gt: (P,) true depths in metres, all positive.
        pred: (P,) predicted depths in metres, all positive.

    Returns:
        ``METRIC_NAMES`` -> value: the errors abs_rel (share), sq_rel and rmse (metres), rmse_log (natural
        logarithm), and the shares a1, a2, a3 of pixels whose ratio to the truth, the one way or the other, is
        below 1.25, 1.25^2 and 1.25^3.
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


def align_disparity(gt: np.ndarray, scaled_disp: np.ndarray, cap: float) -> np.ndarray:
    """Convert disparity to depth by the scale and shift that fit it best to one over the true depth (least squares).

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
