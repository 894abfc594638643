"""Metrics of KITTI's depth server, and others that papers report besides the seven."""

import numpy as np

BENCHMARK_NAMES = ("silog", "sq_error_rel", "abs_error_rel", "irmse")
FURTHER_NAMES = ("mae", "log10", "imae", "d105", "d110")
_RATIO_THRESHOLDS = (1.05, 1.1)
_PER_KILOMETRE = 1000  # 1/km in 1/m


def benchmark_metrics(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Compute the four metrics of KITTI's depth prediction server, in its units.

    Source: development kit of the benchmark (Uhrig et al., "Sparsity Invariant CNNs", 3DV 2017); SILog after Eigen et
    al. (NIPS 2014), equation 4 with lambda = 1, as a root.

    Args:
        gt, pred: (P,) true and predicted depths, metres, positive.

    Returns:
        ``BENCHMARK_NAMES`` -> value, with d = log pred - log gt (natural logarithm):

        - silog: 100 sqrt(mean(d^2) - mean(d)^2), unchanged if ``pred`` is multiplied by a factor.
        - sq_error_rel: 100 mean((pred - gt)^2 / gt^2), percent; sq_rel divides by gt instead.
        - abs_error_rel: 100 mean(|pred - gt| / gt), percent.
        - irmse: sqrt(mean((1 / pred - 1 / gt)^2)), 1/km.
    """
    relative = (pred - gt) / gt
    values = (
        100 * np.std(np.log(pred) - np.log(gt)),
        100 * np.mean(relative**2),
        100 * np.mean(np.abs(relative)),
        _PER_KILOMETRE * np.sqrt(np.mean((1 / pred - 1 / gt) ** 2)),
    )
    return {name: float(value) for name, value in zip(BENCHMARK_NAMES, values, strict=True)}


def further_metrics(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Compute metrics of indoor benchmarks, of depth completion, and stricter shares of accurate pixels.

    Sources: log10 of Saxena et al., "Make3D" (TPAMI 2009), section 8; MAE and inverse MAE of KITTI's depth completion
    server (Uhrig et al., 3DV 2017); shares as a1 of Eigen et al. (NIPS 2014), at lower thresholds.

    Args:
        gt, pred: (P,) true and predicted depths, metres, positive.

    Returns:
        ``FURTHER_NAMES`` -> value:

        - mae: mean(|pred - gt|), metres.
        - log10: mean(|log10 pred - log10 gt|).
        - imae: mean(|1 / pred - 1 / gt|), 1/km.
        - d105, d110: shares of pixels with max(gt / pred, pred / gt) below 1.05 and 1.1.
    """
    ratio = np.maximum(gt / pred, pred / gt)
    values = (
        np.mean(np.abs(pred - gt)),
        np.mean(np.log10(ratio)),  # the ratio is at least 1: this is the absolute difference of logarithms
        _PER_KILOMETRE * np.mean(np.abs(1 / pred - 1 / gt)),
        *(np.mean(ratio < threshold) for threshold in _RATIO_THRESHOLDS),
    )
    return {name: float(value) for name, value in zip(FURTHER_NAMES, values, strict=True)}
