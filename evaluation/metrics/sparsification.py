"""Score uncertainty by sparsification: the error should fall when the most uncertain pixels are left out."""

from collections.abc import Callable

import numpy as np

_STEPS = 50  # 2 % of the pixels at a time
_RATIO_THRESHOLD = 1.25
_PixelError = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Metric -> error of each pixel, and what the mean over pixels becomes.
_ERRORS: dict[str, tuple[_PixelError, Callable[[np.ndarray], np.ndarray]]] = {
    "abs_rel": (lambda gt, pred: np.abs(gt - pred) / gt, np.asarray),
    "rmse": (lambda gt, pred: (gt - pred) ** 2, np.sqrt),
    "a1": (lambda gt, pred: np.maximum(gt / pred, pred / gt) >= _RATIO_THRESHOLD, np.asarray),
}
SPARSIFICATION_NAMES = tuple(f"{area}_{metric}" for metric in _ERRORS for area in ("ause", "aurg"))


def sparsification_scores(gt: np.ndarray, pred: np.ndarray, uncertainty: np.ndarray) -> dict[str, float]:
    """Compute the areas of sparsification curves of one frame.

    The curve of a ranking is the error e(r) of the pixels that remain without the share r that ranks highest. Source:
    Poggi et al., "On the Uncertainty of Self-Supervised Monocular Depth Estimation" (CVPR 2020), section 4.1, after Ilg
    et al., "Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow" (ECCV 2018), section 4. The errors
    are those of ``abs_rel``, ``rmse`` and, for ``a1``, the share of pixels with a ratio of at least 1.25.

    Args:
        gt, pred: (P,) true and predicted depths, metres, positive.
        uncertainty: (P,), in any unit: only its order counts.

    Returns:
        ``SPARSIFICATION_NAMES`` -> value, integrals over r from 0 to 1:

        - ause_abs_rel, ...: AUSE, of e by uncertainty minus e by true error; 0 if the uncertainty is perfect.
        - aurg_abs_rel, ...: AURG, of the error of all pixels minus e by uncertainty; 0 if the ranking is random on
          average, negative if it is worse.
    """
    scores = {}
    by_uncertainty = np.argsort(uncertainty, kind="stable")
    for metric, (error, of_mean) in _ERRORS.items():
        errors = error(gt.astype(np.float64), pred.astype(np.float64)).astype(np.float64)
        curve = of_mean(_remaining(errors[by_uncertainty]))
        best = of_mean(_remaining(np.sort(errors)))
        scores[f"ause_{metric}"] = _area(curve - best)
        scores[f"aurg_{metric}"] = _area(curve[0] - curve)
    return scores


def _remaining(errors: np.ndarray) -> np.ndarray:
    """Compute the mean of the remaining errors, least uncertain first, at each step; the last repeats the one before.

    Args:
        errors: (P,), sorted by rising uncertainty.

    Returns:
        float64 (51,), at the shares 0, 0.02, ..., 1 of removed pixels.
    """
    kept = len(errors) - np.arange(_STEPS) * len(errors) // _STEPS
    means = np.cumsum(errors)[kept - 1] / kept
    return np.append(means, means[-1])


def _area(curve: np.ndarray) -> float:
    """Integrate a curve over [0, 1] by the trapezoidal rule."""
    return float((curve[:-1] + curve[1:]).sum() / (2 * _STEPS))
