"""The seven metrics by hand, and alignment of predictions that differ only in scale and shift."""

import numpy as np
import pytest

from evaluation.metrics.depth_metrics import METRIC_NAMES, align_disparity, compute_depth_metrics, scale_disparity


def test_ground_truth_has_no_error():
    gt = np.array([0.5, 1.0, 20.0, 79.0], np.float32)
    assert compute_depth_metrics(gt, gt) == dict(zip(METRIC_NAMES, [0, 0, 0, 0, 1, 1, 1], strict=True))


def test_values_by_hand():
    gt = np.array([1.0, 2.0, 4.0, 10.0])
    pred = np.array([1.2, 1.0, 6.0, 10.0])  # ratios 1.2, 2, 1.5 and 1
    expected = {
        "abs_rel": (0.2 + 0.5 + 0.5 + 0) / 4,
        "sq_rel": (0.04 + 0.5 + 1 + 0) / 4,
        "rmse": np.sqrt((0.04 + 1 + 4 + 0) / 4),
        "rmse_log": np.sqrt((np.log(1.2) ** 2 + np.log(2) ** 2 + np.log(1.5) ** 2) / 4),
        "a1": 2 / 4,
        "a2": 3 / 4,  # below 1.5625
        "a3": 3 / 4,  # below 1.953125
    }
    assert compute_depth_metrics(gt, pred) == pytest.approx(expected, rel=1e-12)


def test_threshold_is_exclusive():
    metrics = compute_depth_metrics(np.array([1.0, 1.25]), np.array([1.25, 1.0]))
    assert (metrics["a1"], metrics["a2"]) == (0, 1)


def test_alignment_removes_scale_and_shift():
    gt = np.random.default_rng(0).uniform(2, 60, 200)
    np.testing.assert_allclose(align_disparity(gt, (3 / gt + 0.7).astype(np.float32), 80), gt, rtol=1e-3)
    np.testing.assert_allclose(align_disparity(gt, 1 / gt, 80), gt, rtol=1e-9)


def test_fit_matches_numpy_polyfit():
    random = np.random.default_rng(1)
    gt, disp = random.uniform(2, 10, 50), random.uniform(0.1, 1, 50)
    scale, shift = np.polyfit(disp, 1 / gt, 1)
    np.testing.assert_allclose(align_disparity(gt, disp, 80), 1 / (scale * disp + shift), rtol=1e-9)


def test_scale_by_least_squares_by_hand():
    # Disparities 1 and 3 for 1 / depth of 1 / 2 and 1: the factor is (0.5 + 3) / (1 + 9).
    np.testing.assert_allclose(scale_disparity(np.array([2.0, 1.0]), np.array([1.0, 3.0]), 80), [1 / 0.35, 1 / 1.05])
    assert scale_disparity(np.array([2.0, 1.0]), np.array([1.0, 3.0]), 2.5)[0] == 2.5


def test_negative_aligned_disparity_becomes_the_cap():
    # The line through disparities 1, 2, 3 and one over depth 1/2, 1/4, 0.001 is below zero at its end.
    aligned = align_disparity(np.array([2.0, 4.0, 1000.0]), np.array([1.0, 2.0, 3.2]), 80)
    assert aligned[2] == 80 and (aligned > 0).all()
    # A constant disparity fits the mean of 1 / depth.
    np.testing.assert_allclose(align_disparity(np.array([2.0, 4.0]), np.ones(2), 80), 1 / 0.375)
