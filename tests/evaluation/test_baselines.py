"""Baselines by hand, and coloured disparity."""

import numpy as np
import pytest

from common.colormap import colourise_disparity
from common.errors import DataError
from evaluation.baselines import constant_disparity, mean_disparity


def test_mean_disparity_of_walls():
    """Depths 2 and 4 everywhere: the mean of 1/2 and 1/4."""
    walls = [np.full((20, 30), depth, np.float32) for depth in (2, 4)]
    np.testing.assert_allclose(mean_disparity([*walls, None], (20, 30)), 0.375, rtol=1e-5)


def test_mean_disparity_fills_between_sparse_points():
    sparse = np.zeros((21, 31), np.float32)
    sparse[10, 15] = 5
    mean = mean_disparity([sparse], (21, 31))
    np.testing.assert_allclose(mean, 0.2, rtol=1e-5)


def test_mean_disparity_varies_with_position():
    depth = np.full((60, 80), 4, np.float32)
    depth[30:] = 2
    mean = mean_disparity([depth], (60, 80))
    assert mean[0, 40] == pytest.approx(0.25, rel=1e-3) and mean[-1, 40] == pytest.approx(0.5, rel=1e-3)
    assert mean[29, 40] < mean[30, 40]


def test_mean_disparity_resizes_frames_of_other_sizes():
    frames = [np.full((10, 10), 2, np.float32), np.full((20, 40), 2, np.float32)]
    np.testing.assert_allclose(mean_disparity(frames, (10, 10)), 0.5)


def test_no_ground_truth_at_all():
    with pytest.raises(DataError, match="ground truth"):
        mean_disparity([None, np.zeros((4, 4), np.float32)], (4, 4))


def test_constant_disparity():
    np.testing.assert_array_equal(constant_disparity((2, 3)), np.ones((2, 3)))


def test_near_is_bright_and_far_is_dark():
    disp = np.linspace(0.1, 1, 64, dtype=np.float32).reshape(8, 8)
    picture = colourise_disparity(disp)
    assert picture.shape == (8, 8, 3) and picture.dtype == np.uint8
    brightness = picture.astype(int).sum(axis=2).ravel()
    assert brightness[0] < 30 and brightness[-1] > 600
    assert (np.diff(brightness) >= 0).all()
    assert colourise_disparity(np.ones((4, 4), np.float32)).shape == (4, 4, 3)  # no range to divide by
