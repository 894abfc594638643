"""Robustness to corruptions by the metrics of RoboDepth (Kong et al., NeurIPS 2023), which follow ImageNet-C.

Their unit is a ratio; papers print percentages.
"""

import numpy as np


def depth_estimation_error(abs_rel: np.ndarray, a1: np.ndarray) -> np.ndarray:
    """Compute RoboDepth's depth estimation error: DEE = (abs_rel - a1 + 1) / 2; lower is better.

    Args:
        abs_rel, a1: Of any shape: the metrics of those names, a1 in [0, 1].
    """
    return (np.asarray(abs_rel) - np.asarray(a1) + 1) / 2


def corruption_errors(dee: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Compute the corruption error of each corruption relative to another model; their mean is the mCE.

    CE_c = sum over severities s of DEE_{c,s} / sum over s of the baseline's DEE_{c,s}; below 1 is better than it.

    Args:
        dee, baseline: (C, S) DEE of C corruptions at S severities.

    Returns:
        (C,); NaN where the baseline is without error.
    """
    _check(dee)
    if np.shape(dee) != np.shape(baseline):
        raise ValueError(f"Got errors of shapes {np.shape(dee)} and {np.shape(baseline)}; expected the same.")
    total = np.sum(baseline, axis=1)
    return np.divide(np.sum(dee, axis=1), total, out=np.full(len(total), np.nan), where=total > 0)


def resilience_rates(dee: np.ndarray, clean: float) -> np.ndarray:
    """Compute the resilience rate of each corruption, the share of accuracy that is kept; their mean is the mRR.

    RR_c = sum over severities s of (1 - DEE_{c,s}) / (S (1 - DEE_clean)); 1 is as good as on clean images.

    Args:
        dee: (C, S) DEE of C corruptions at S severities.
        clean: DEE of the clean images, below 1.

    Returns:
        (C,); NaN if the clean images have no accuracy to keep (DEE of at least 1).
    """
    _check(dee)
    return (1 - np.asarray(dee)).mean(axis=1) / (1 - clean) if clean < 1 else np.full(len(dee), np.nan)


def _check(dee: np.ndarray) -> None:
    if np.ndim(dee) != 2 or 0 in np.shape(dee):
        raise ValueError(f"Got errors of shape {np.shape(dee)}; expected (corruptions, severities).")
