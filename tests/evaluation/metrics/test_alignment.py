"""Alignment of disparity: exact where scale and shift are all that is wrong."""

import numpy as np

from evaluation.metrics.alignment import align_disparity


def test_scale_and_shift_are_undone():
    gt = np.random.default_rng(0).uniform(2, 60, 200)
    np.testing.assert_allclose(align_disparity(gt, (3 / gt + 0.7).astype(np.float32), 80), gt, rtol=1e-3)
    np.testing.assert_allclose(align_disparity(gt, 1 / gt, 80), gt, rtol=1e-9)


def test_the_fit_is_that_of_numpy_polyfit():
    random = np.random.default_rng(1)
    gt, disp = random.uniform(2, 10, 50), random.uniform(0.1, 1, 50)
    scale, shift = np.polyfit(disp, 1 / gt, 1)
    np.testing.assert_allclose(align_disparity(gt, disp, 80), 1 / (scale * disp + shift), rtol=1e-9)


def test_what_ends_behind_the_camera_is_far():
    # The line through disparities 1, 2, 3 and one over depth 1/2, 1/4, 0.001 is below zero at its end.
    aligned = align_disparity(np.array([2.0, 4.0, 1000.0]), np.array([1.0, 2.0, 3.2]), 80)
    assert aligned[2] == 80 and (aligned > 0).all()
    # A constant says nothing: the mean of one over depth.
    np.testing.assert_allclose(align_disparity(np.array([2.0, 4.0]), np.ones(2), 80), 1 / 0.375)
