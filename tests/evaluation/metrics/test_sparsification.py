"""Areas of sparsification curves in closed form."""

import numpy as np
import pytest

from evaluation.metrics.sparsification import SPARSIFICATION_NAMES, sparsification_scores

GT = np.full(10_000, 10.0)
WRONG = np.arange(10_000) % 2 == 0
PRED = np.where(WRONG, 20.0, 10.0)  # half of the pixels have an abs_rel of 1, and fail a1
# Without the share r of the wrong pixels, (1/2 - r) / (1 - r) of the rest is wrong, up to r = 1/2.
BEST = 0.5 - 0.5 * np.log(2)


def test_perfect_uncertainty():
    """The area under the curve is (1 - log 2) / 2; all pixels have an error of 1/2."""
    scores = sparsification_scores(GT, PRED, WRONG.astype(float))
    assert tuple(scores) == SPARSIFICATION_NAMES
    for metric in ("abs_rel", "a1"):
        assert scores[f"ause_{metric}"] == pytest.approx(0, abs=1e-12)
        assert scores[f"aurg_{metric}"] == pytest.approx(0.5 - BEST, abs=1e-3)
    assert scores["ause_rmse"] == pytest.approx(0, abs=1e-12)


def test_inverted_uncertainty():
    """Right pixels leave first: 1/2 / (1 - r) is wrong up to r = 1/2, then all; the area is (1 + log 2) / 2."""
    scores = sparsification_scores(GT, PRED, ~WRONG * 7.0)
    area = 0.5 * np.log(2) + 0.5
    assert scores["ause_abs_rel"] == pytest.approx(area - BEST, abs=1e-3)
    assert scores["aurg_abs_rel"] == pytest.approx(0.5 - area, abs=1e-3)


def test_root_mean_square_by_hand():
    """Two pixels, errors 3 m and 4 m: both count up to r = 1/2, where the more uncertain one leaves."""
    gt, pred = np.array([10.0, 10.0]), np.array([13.0, 14.0])
    both = np.sqrt(12.5)
    # The step from one curve point to the next, 2 % wide, is a trapezium.
    scores = sparsification_scores(gt, pred, np.array([0.0, 1.0]))
    assert scores["aurg_rmse"] == pytest.approx((both - 3) * 0.51) and scores["ause_rmse"] == pytest.approx(0)
    scores = sparsification_scores(gt, pred, np.array([1.0, 0.0]))
    assert scores["aurg_rmse"] == pytest.approx((both - 4) * 0.51) and scores["ause_rmse"] == pytest.approx(0.51)


def test_random_uncertainty_gains_nothing():
    scores = sparsification_scores(GT, PRED, np.random.default_rng(0).random(10_000))
    assert scores["aurg_abs_rel"] == pytest.approx(0, abs=5e-3)


def test_only_the_order_counts_and_one_pixel_suffices():
    random = np.random.default_rng(1)
    gt, pred, ranked = random.uniform(2, 50, (3, 500))
    assert sparsification_scores(gt, pred, ranked) == sparsification_scores(gt, pred, 3 * ranked**3)
    assert set(sparsification_scores(GT[:1], PRED[:1], np.ones(1)).values()) == {0}
