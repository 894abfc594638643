"""Estimate the uncertainty of means over frames, and test whether two runs differ by more than chance."""

import numpy as np

DRAWS = 10_000
LEVEL = 0.95
_CHUNK = 1000  # draws at a time, to limit memory


def bootstrap_means(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Compute bootstrap means over frames, drawn with replacement (Efron, 1979): (draws, K).

    Neighbouring video frames are correlated, which makes intervals from these means too narrow.

    Args:
        values: (N, K), one row per frame, NaN where it has no value. Frames are drawn as whole rows.
    """
    random = np.random.default_rng(seed)
    known = np.isfinite(values)
    filled, count = np.where(known, values, 0.0), len(values)
    means = []
    for start in range(0, draws, _CHUNK):
        rows = min(_CHUNK, draws - start)
        drawn = random.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        # With draw counts per frame, one product gives the means of all draws and columns.
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(float)
        with np.errstate(invalid="ignore"):
            means.append((times @ filled) / (times @ known))
    return np.concatenate(means)


def intervals(values: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Compute bootstrap intervals of the K means of ``values`` (N, K).

    Returns:
        (2, K), lower and upper ends; NaN for columns without values.
    """
    means = bootstrap_means(values)
    ends = np.full((2, values.shape[1]), np.nan)
    some = np.isfinite(values).any(axis=0)
    tail = 100 * (1 - level) / 2
    ends[:, some] = np.nanpercentile(means[:, some], [tail, 100 - tail], axis=0)
    return ends


def sign_flip_test(differences: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Compute two-sided p-values of paired differences by random sign flips (Fisher's randomisation test).

    If two runs are equally good, the sign of each frame's difference is arbitrary. The p-value is the share of random
    sign patterns with a mean at least as far from 0 as the observed one; the observed pattern counts as one of them.

    Args:
        differences: (N, K), finite: metrics of one run minus the other's, per frame.

    Returns:
        (K,), at least 1 / (draws + 1).
    """
    random = np.random.default_rng(seed)
    found = np.abs(differences.sum(axis=0))
    found -= 1e-12 * np.abs(differences).sum(axis=0)  # equal sums may differ by rounding
    as_far = np.zeros(differences.shape[1])
    for start in range(0, draws, _CHUNK):
        signs = random.choice([-1.0, 1.0], size=(min(_CHUNK, draws - start), len(differences)))
        as_far += (np.abs(signs @ differences) >= found).sum(axis=0)
    return (1 + as_far) / (1 + draws)


def scale_consistency(ratios: np.ndarray) -> dict[str, float]:
    """Measure how much the scale of predictions varies between frames.

    Args:
        ratios: (N,) factors of median scaling, NaN for skipped frames.

    Returns:
        "median"; "relative_std", the standard deviation of ratio / median, as published; "relative_iqr", the
        interquartile range over the median, which is robust to outliers.
    """
    ratios = ratios[np.isfinite(ratios)]
    median = float(np.median(ratios))
    low, high = np.percentile(ratios, [25, 75])
    return {
        "median": median,
        "relative_std": float(np.std(ratios / median)),
        "relative_iqr": float((high - low) / median),
    }
