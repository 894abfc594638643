"""Intervals and p-values with known answers, and comparison with SciPy's exact test."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from evaluation.metrics.statistics import bootstrap_means, intervals, scale_consistency, sign_flip_test


def test_two_frames_give_a_binomial_distribution():
    means = bootstrap_means(np.array([[0.0], [1.0]]))[:, 0]
    shares = [(means == value).mean() for value in (0, 0.5, 1)]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.02)


def test_interval_of_many_frames_approaches_the_normal_one():
    values = np.random.default_rng(1).normal(3, 0.5, (400, 2))
    low, high = intervals(values)
    error = 1.96 * values.std(axis=0) / np.sqrt(400)
    np.testing.assert_allclose(low, values.mean(axis=0) - error, atol=0.003)
    np.testing.assert_allclose(high, values.mean(axis=0) + error, atol=0.003)


def test_frames_and_columns_without_values():
    values = np.array([[2.0, np.nan], [np.nan, np.nan], [2.0, np.nan]])
    ends = intervals(values)
    assert ends[:, 0].tolist() == [2, 2] and np.isnan(ends[:, 1]).all()


def test_sign_flip_test_matches_scipy():
    differences = np.random.default_rng(2).normal(0.4, 1, (9, 3))
    expected = [
        permutation_test((column,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        for column in differences.T
    ]
    np.testing.assert_allclose(sign_flip_test(differences), expected, atol=0.02)


def test_three_equal_differences_give_a_quarter():
    """Two of 8 sign patterns have a mean as far from 0; without any difference, p is 1."""
    p = sign_flip_test(np.array([[0.1, 0], [0.1, 0], [0.1, 0]]))
    assert p[0] == pytest.approx(0.25, abs=0.02) and p[1] == 1
    assert sign_flip_test(np.full((50, 1), 0.1))[0] == pytest.approx(1 / 10001)


def test_scale_consistency():
    ratios = np.array([9.0, 10.0, 11.0, np.nan, 8.0, 12.0])
    spread = scale_consistency(ratios)
    assert spread == pytest.approx({"median": 10, "relative_std": np.sqrt(2) / 10, "relative_iqr": 0.2})
    assert scale_consistency(np.full(4, 5.4))["relative_std"] == 0
