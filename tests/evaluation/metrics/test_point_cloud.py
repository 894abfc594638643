"""Point clouds at known positions."""

import numpy as np
import pytest

from evaluation.metrics.point_cloud import back_project, cloud_scores

K = np.array([[100.0, 0, 50], [0, 50.0, 20], [0, 0, 1]])


def test_back_projection_by_hand():
    points = back_project(np.array([10.0, 4.0]), rows=np.array([20, 45]), columns=np.array([50, 0]), K=K)
    np.testing.assert_allclose(points, [[0, 0, 10], [-2, 2, 4]])


def test_identical_clouds():
    cloud = np.random.default_rng(0).uniform(0, 10, (100, 3))
    scores = cloud_scores(cloud, cloud)
    assert scores.pop("chamfer") == 0 and set(scores.values()) == {1}


@pytest.mark.parametrize(("shift", "f_score"), [(0.05, 1), (0.2, 0)])
def test_shifted_cloud(shift, f_score):
    cloud = 5.0 * np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3)  # points 5 m apart
    scores = cloud_scores(cloud, cloud + [0, 0, shift])
    assert scores["chamfer"] == pytest.approx(2 * shift) and scores["f_score"] == f_score


def test_precision_of_predicted_and_recall_of_true_points():
    true = np.array([[0.0, 0, 0], [10, 0, 0], [20, 0, 0]])
    scores = cloud_scores(true, np.array([[0.0, 0, 0], [10, 0, 1]]))
    assert scores["precision"] == 1 / 2 and scores["recall"] == 1 / 3 and scores["f_score"] == pytest.approx(0.4)
    assert scores["iou_10cm"] == pytest.approx(1 / 4)  # one point of both, four of either
    assert scores["chamfer"] == pytest.approx((0 + 1) / 2 + (0 + 1 + np.sqrt(101)) / 3)


def test_thresholds_in_centimetres():
    cloud = np.array([[0.0, 0, 0], [5, 0, 0], [10, 0, 0], [15, 0, 0]])
    scores = cloud_scores(cloud, cloud + np.array([[0.04], [0.07], [0.15], [0.5]]) * [0, 0, 1])
    for centimetres, within in ((5, 1 / 4), (10, 2 / 4), (20, 3 / 4)):  # precision and recall are equal
        assert scores[f"f_score_{centimetres}cm"] == pytest.approx(within)
        assert scores[f"iou_{centimetres}cm"] == pytest.approx(within / (2 - within))
    assert scores["f_score_10cm"] == scores["f_score"]
