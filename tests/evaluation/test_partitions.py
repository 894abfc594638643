"""Metrics by distance and third, by hand."""

import numpy as np
import pytest

from evaluation.partitions import metrics_by_distance, metrics_by_third


def test_each_pixel_counts_at_its_true_distance():
    gt = np.array([5.0, 10.0, 15.0, 79.0, 90.0])
    pred = np.array([6.0, 10.0, 18.0, 79.0, 45.0])
    scores = metrics_by_distance(gt, pred)
    assert scores["0-10m/abs_rel"] == pytest.approx((0.2 + 0) / 2)  # 10 m is still near
    assert scores["10-20m/abs_rel"] == pytest.approx(0.2)
    assert np.isnan(scores["20-40m/abs_rel"]) and np.isnan(scores["20-40m/a1"])
    assert scores["40-80m/abs_rel"] == 0 and scores["40-80m/a1"] == 1  # 90 m is in none
    assert len(scores) == 4 * 7


def test_each_pixel_counts_in_its_third():
    rows = np.array([0, 2, 3, 5, 6, 8])  # of 9
    gt = np.full(6, 10.0)
    pred = np.array([11.0, 13, 10, 10, 10, 15])
    scores = metrics_by_third(gt, pred, rows, 9)
    found = [scores[f"{third}/abs_rel"] for third in ("top", "middle", "bottom")]
    assert found == pytest.approx([0.2, 0, 0.25])
    assert np.isnan(metrics_by_third(gt[:2], pred[:2], rows[:2], 9)["bottom/rmse"])
