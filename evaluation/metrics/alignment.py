"""Align predicted disparity with ground truth: by medians, or by least squares with or without a shift.

A prediction that is known only up to scale, or up to scale and shift, has no metric depth. Aligning it makes errors
comparable; what remains is the error of its shape.
"""

from typing import NamedTuple

import numpy as np

_SINGULAR = 1e-12  # of the normal equations: disparity that varies by less than a millionth determines no shift


class Alignment(NamedTuple):
    """Factor and offset that align a prediction: aligned disparity = disparity / ratio + shift.

    Attributes:
        ratio: Factor on depth where there is no shift.
        shift: 1/m; 0 except in a fit of scale and shift.
    """

    ratio: float = 1.0
    shift: float = 0.0


def disparity_moments(gt: np.ndarray, disp: np.ndarray) -> np.ndarray:
    """Compute the sums that a least-squares fit of disparity needs; sums over frames are those of all their pixels.

    Args:
        gt: (P,) true depths, metres, positive.
        disp: (P,) predicted disparities, 1 / depth in any unit.

    Returns:
        float64 (5,): P, and the sums of x, x^2, y and x y, with x = disp and y = 1 / gt.
    """
    x, y = disp.astype(np.float64), 1 / gt.astype(np.float64)
    return np.array([len(x), x.sum(), x @ x, y.sum(), x @ y])


def solve_moments(moments: np.ndarray, with_shift: bool) -> Alignment:
    """Find the alignment that minimises the sum of (a disp + b - 1 / gt)^2: a = 1 / ratio, b = shift.

    Ranftl et al., "Towards Robust Monocular Depth Estimation" (TPAMI 2022), section 5: least squares in disparity. With
    b = 0 the solution is a = sum(x y) / sum(x^2). Unlike median scaling, it weighs near pixels most.

    Args:
        moments: From ``disparity_moments``, summed over frames.
        with_shift: Whether to fit b too. If disparity does not vary, a and b together fit the mean.
    """
    count, sum_x, sum_xx, sum_y, sum_xy = moments
    if not with_shift:
        return Alignment(_inverse(sum_xy / sum_xx))
    unit = np.sqrt(sum_xx / count)  # disparity in units of its root mean square: well-conditioned equations
    normal = np.array([[count, sum_x / unit], [sum_x / unit, count]])
    factor, shift = np.linalg.lstsq(normal, np.array([sum_xy / unit, sum_y]), rcond=_SINGULAR)[0]
    return Alignment(_inverse(factor / unit), float(shift))


def _inverse(factor: float) -> float:
    return float(1 / factor) if factor else float("inf")
