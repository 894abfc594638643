"""Metrics by distance, image third and ground, by hand."""

import numpy as np
import pytest

from evaluation.metrics.regions import metrics_by_distance, metrics_by_ground, metrics_by_third
from evaluation.metrics.road_plane import RoadPlane


def test_pixels_are_grouped_by_true_distance():
    gt = np.array([5.0, 10.0, 15.0, 79.0, 90.0])
    pred = np.array([6.0, 10.0, 18.0, 79.0, 45.0])
    scores = metrics_by_distance(gt, pred)
    assert scores["0-10m/abs_rel"] == pytest.approx((0.2 + 0) / 2)  # 10 m is still near
    assert scores["10-20m/abs_rel"] == pytest.approx(0.2)
    assert np.isnan(scores["20-40m/abs_rel"]) and np.isnan(scores["20-40m/a1"])
    assert scores["40-80m/abs_rel"] == 0 and scores["40-80m/a1"] == 1  # 90 m is in none
    assert len(scores) == 4 * 7


def test_pixels_are_grouped_by_thirds():
    rows, columns = np.array([0, 2, 3, 5, 6, 8]), np.array([0, 3, 4, 7, 8, 11])  # of 9 and 12
    gt = np.full(6, 10.0)
    pred = np.array([11.0, 13, 10, 10, 10, 15])
    scores = metrics_by_third(gt, pred, rows, columns, (9, 12))
    found = [scores[f"{third}/abs_rel"] for third in ("top", "middle", "bottom", "left", "centre", "right")]
    assert found == pytest.approx([0.2, 0, 0.25, 0.2, 0, 0.25])
    assert np.isnan(metrics_by_third(gt[:2], pred[:2], rows[:2], columns[:2], (9, 12))["bottom/rmse"])


def test_ground_and_above():
    x, z = (grid.ravel() for grid in np.meshgrid(np.arange(-5.0, 6), np.arange(5.0, 30)))
    road = np.stack([x, np.full_like(x, 1.65), z], axis=1)
    kerb, car = road[:10] - [0, 0.2, 0], road[100:120] - [0, 1, 0]
    points = np.concatenate([road, kerb, car])
    gt, pred = points[:, 2], points[:, 2].copy()
    pred[len(road) : len(road) + len(kerb)] *= 2
    pred[-len(car) :] *= 3
    scores = metrics_by_ground(gt, pred, points, RoadPlane(np.array([0.0, 1, 0]), 1.65, support=1.0))
    assert scores["ground/abs_rel"] == pytest.approx(10 / (len(road) + 10)) and scores["above/abs_rel"] == 2
    assert all(np.isnan(value) for value in metrics_by_ground(gt, pred, points, None).values())
