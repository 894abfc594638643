"""Alignment of disparity with ground truth: normal equations by hand, one frame and all frames."""

import numpy as np
import pytest

from evaluation.metrics.alignment import Alignment, disparity_moments, solve_moments
from evaluation.metrics.depth_protocol import DepthProtocol, evaluate_depths

EVERYTHING = {"crop": "none", "min_depth": 0.0, "max_depth": np.inf, "median_scaling": False}


def test_least_squares_by_hand():
    """x = 1, 2, 3 and y = 1, 2, 6: a = 23 / 14 through the origin; a = 5/2, b = -2 with a shift."""
    moments = disparity_moments(1 / np.array([1.0, 2.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert moments.tolist() == pytest.approx([3, 6, 14, 9, 23])
    assert solve_moments(moments, with_shift=False) == pytest.approx(Alignment(14 / 23, 0))
    assert solve_moments(moments, with_shift=True) == pytest.approx(Alignment(2 / 5, -2))
    # Disparity that does not vary is fitted to the mean of y.
    flat = solve_moments(disparity_moments(np.array([1.0, 0.5]), np.array([4.0, 4.0])), with_shift=True)
    assert 4 / flat.ratio + flat.shift == pytest.approx(1.5)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_fit_does_not_depend_on_the_unit_of_disparity(unit):
    disp = np.array([1.0, 2.0, 4.0]) * unit
    fit = solve_moments(disparity_moments(1 / (0.3 * disp / unit + 0.1), disp), with_shift=True)
    assert fit == pytest.approx(Alignment(unit / 0.3, 0.1), rel=1e-6)


TRUTHS = np.array([[[2.0, 4.0, 8.0]], [[3.0, 5.0, 9.0]], [[2.0, 4.0, 6.0]]], np.float32)


@pytest.mark.parametrize(
    ("settings", "disps", "perfect"),
    [
        # Factors 2, 3 and 4 on depth: each image has its own, all frames share the median.
        ({"median_scaling": True}, 1, [1, 1, 1]),
        ({"median_scaling": True, "per_dataset": True}, 1, [0, 1, 0]),
        ({"disparity_fit": "lstsq"}, 1, [1, 1, 1]),
        ({"disparity_fit": "lstsq", "per_dataset": True}, 1, [0, 0, 0]),
        # A shift of disparity is removed by the fit of scale and shift alone.
        ({"disparity_fit": "lstsq"}, 2, [0, 0, 0]),
        ({"disparity_fit": "affine"}, 2, [1, 1, 1]),
        ({"disparity_fit": "affine", "per_dataset": True}, 2, [1, 1, 1]),
        ({}, 1, [0, 0, 0]),
    ],
)
def test_scope_and_kind(settings, disps, perfect):
    factors = np.array([2, 3, 4], np.float32)[:, None, None]
    predicted = {1: factors / TRUTHS, 2: 0.5 / TRUTHS + np.float32(0.05)}[disps]
    protocol = DepthProtocol(**{**EVERYTHING, **settings})
    result = evaluate_depths(predicted, list(TRUTHS), protocol)
    assert (result.metrics[:, 0] < 1e-5).astype(int).tolist() == perfect
    if protocol.per_dataset:
        assert len(set(result.ratios.tolist())) == 1
    if settings.get("median_scaling"):
        assert result.ratios.tolist() == pytest.approx([3, 3, 3] if protocol.per_dataset else [2, 3, 4])


def test_one_fit_for_all_frames_by_hand():
    """x y = 2 and x^2 = 4, then 1 and 1: a = 3 / 5, so the depths 1 and 1 are predicted as 5 / 6 and 5 / 3."""
    protocol = DepthProtocol(**EVERYTHING, disparity_fit="lstsq", per_dataset=True)
    disps = np.array([[[2.0]], [[1.0]]], np.float32)
    result = evaluate_depths(disps, [np.ones((1, 1), np.float32)] * 2, protocol)
    assert result.metrics[:, 0].tolist() == pytest.approx([1 / 6, 2 / 3]) and result.ratios[0] == pytest.approx(5 / 3)
    # Frames without ground truth take no part.
    result = evaluate_depths(np.concatenate([disps, disps]), [np.ones((1, 1), np.float32)] * 2 + [None] * 2, protocol)
    assert result.ratios[:2].tolist() == pytest.approx([5 / 3] * 2) and np.isnan(result.ratios[2:]).all()


def test_points_behind_the_camera_are_at_the_cap():
    """a = 5/2 and b = -2 (by hand above): disparity 1 gives 0.5, and 0.5 gives -0.75, behind the camera."""
    protocol = DepthProtocol(**EVERYTHING, disparity_fit="affine", cap=50.0)
    depth = protocol.to_depth(np.array([1.0, 0.5], np.float32), Alignment(2 / 5, -2))
    assert depth.tolist() == pytest.approx([2, 50])
    # A factor of 0 on disparity leaves the shift.
    assert protocol.to_depth(np.ones(1, np.float32), Alignment(np.inf, 0.25)).tolist() == [4]


@pytest.mark.parametrize("settings", [{"disparity_fit": "lstsq"}, {"disparity_fit": "cubic", "median_scaling": False}])
def test_contradictions_are_an_error(settings):
    with pytest.raises(ValueError, match="disparity_fit"):
        DepthProtocol(**settings)
