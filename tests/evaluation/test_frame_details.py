"""Details of a frame in closed-form cases, and panels of the worst and best frames."""

import cv2
import numpy as np
import pytest

from evaluation.error_pictures import extreme_frames, extreme_panels, frame_panel, write_panels
from evaluation.frame_details import details_of_frame
from evaluation.ground_truth import GroundTruth
from evaluation.metrics.alignment import Alignment
from evaluation.metrics.depth_protocol import DepthProtocol, evaluate_depths
from evaluation.result_tables import METRIC_GROUPS
from evaluation.split_scores import SplitPrediction

PROTOCOL = DepthProtocol()


def test_scaled_ground_truth_is_perfect(gt, camera, perfect):
    scores = details_of_frame(perfect(gt, 3), gt, PROTOCOL, Alignment(1 / 3), camera)
    for name in ("0-10m/abs_rel", "20-40m/rmse", "middle/abs_rel", "bottom/rmse", "aligned/abs_rel", "cloud/chamfer"):
        assert scores[name] == pytest.approx(0, abs=1e-4)
    assert scores["aligned/a1"] == scores["cloud/f_score"] == 1
    assert scores["edges/accuracy"] == scores["edges/completeness"] == 0
    assert np.isnan(scores["10-20m/abs_rel"]) and np.isnan(scores["top/abs_rel"])  # the crop leaves out the top


def test_alignment_removes_a_disparity_shift(gt, camera, perfect):
    shifted = perfect(gt, 1) + np.float32(0.02)
    result = evaluate_depths(shifted[None], [gt], PROTOCOL)
    assert result.metrics[0, 0] > 0.05
    scores = details_of_frame(shifted, gt, PROTOCOL, result.alignment(0), camera)
    assert scores["aligned/abs_rel"] < 1e-4 < scores["20-40m/abs_rel"] + scores["0-10m/abs_rel"]


def test_ground_is_separated_from_objects_above_it(perfect):
    rows, _ = np.indices((200, 60))
    K = np.array([[100.0, 0, 29.5], [0, 100, 80], [0, 0, 1]])
    depth = np.where(rows > 84, 165 / np.maximum(rows - 80, 1), 0).astype(np.float32)  # a road 1.65 m below
    depth[60:97, 20:28] = 8  # an object above the ground, from 0.29 m up
    disp = perfect(depth, 1)
    disp[60:97, 20:28] *= 2
    scores = details_of_frame(disp, depth, DepthProtocol("none", median_scaling=False), Alignment(), K)
    assert scores["ground/abs_rel"] == pytest.approx(0, abs=1e-5) and scores["above/abs_rel"] == pytest.approx(0.5)


def test_no_edges_for_sparse_depth_and_no_cloud_without_intrinsics(gt, perfect):
    sparse = np.where(np.arange(60) % 10 == 0, gt, 0).astype(np.float32)
    scores = details_of_frame(perfect(gt, 1), sparse, PROTOCOL, Alignment(), None)
    assert np.isnan(scores["edges/accuracy"]) and "cloud/f_score" not in scores and "ground/a1" not in scores
    assert scores["20-40m/abs_rel"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("metrics", "groups"),
    [
        ("eigen", set()),
        ("benchmark", {"benchmark"}),
        ("all", set(METRIC_GROUPS)),
    ],
)
def test_metric_sets(gt, camera, perfect, metrics, groups):
    """A perfect prediction, by sets; distances and regions come with the details alone."""
    scores = details_of_frame(perfect(gt, 3), gt, PROTOCOL, Alignment(1 / 3), camera, metrics, with_details=False)
    assert {name.split("/")[0] for name in scores} == groups
    for name in ("benchmark/silog", "further/mae", "lstsq_scale/abs_rel", "aligned/abs_rel"):
        assert scores.get(name, 0) == pytest.approx(0, abs=1e-3)


def test_metrics_by_distance_average_to_the_frame(gt):
    """Pixel-weighted errors of the parts equal the error of the frame."""
    disp = np.random.default_rng(0).uniform(0.02, 0.2, (20, 30)).astype(np.float32)
    result = evaluate_depths(disp[None], [gt], PROTOCOL)
    scores = details_of_frame(disp, gt, PROTOCOL, result.alignment(0), None)
    valid = gt[PROTOCOL.valid_mask(gt)]
    near = (valid <= 10).mean()
    total = near * scores["0-10m/abs_rel"] + (1 - near) * scores["20-40m/abs_rel"]
    assert total == pytest.approx(result.metrics[0, 0], rel=1e-4)


def test_extreme_frames():
    errors = np.array([0.3, np.nan, 0.1, 0.5, 0.2])
    assert extreme_frames(errors, 1) == {"worst": [3], "best": [2]}
    assert extreme_frames(errors, 2) == {"worst": [3, 0], "best": [2, 4]}
    assert extreme_frames(errors, 3) == {"worst": [3, 0, 4], "best": [2]}


def test_a_panel_shows_the_error_of_scored_pixels(gt, perfect):
    disp = perfect(gt, 1)
    disp[20:38, 30:40] /= 3  # half of the house is thrice too far
    image = np.full((40, 60, 3), 90, np.uint8)
    panel = frame_panel(image, disp, gt, DepthProtocol.choose("improved", "auto", median_scaling=False), Alignment())
    assert panel.shape == (120, 60, 3) and (panel[:40] == 90).all()
    error = panel[80:].astype(int)
    assert error[30, 35, 0] > error[30, 35, 2] and error[30, 22, 2] > error[30, 22, 0]  # red, blue
    assert error[2].tolist() == [[36, 36, 36]] * 60  # the sky: the image in dark grey


def test_the_worst_and_best_are_drawn(dataset, gt, tmp_path, perfect):
    disps = np.stack([perfect(gt, 1)] * 3)
    disps[1, 20:30, 20:40] *= 2
    disps[2, 20:30, 20:30] *= 2
    result = evaluate_depths(disps, [gt] * 3, PROTOCOL)
    scored = dataset, SplitPrediction(disps, PROTOCOL), GroundTruth([gt] * 3, np.asarray, "improved", ""), result
    out = tmp_path / "out"
    out.mkdir()
    (out / "best_3.png").touch()  # of a run before
    panels = list(extreme_panels(*scored, 1))
    assert [panel[:2] for panel in panels] == [("worst_1", 1), ("best_1", 0)]
    assert write_panels(out, panels) == 2
    assert sorted(path.name for path in out.iterdir()) == ["best_1.png", "worst_1.png"]
    red = [int(cv2.imread(str(out / f"{name}.png"))[10, 10, 2]) for name in ("worst_1", "best_1")]
    assert red == pytest.approx([50, 0], abs=4)  # frame 1, frame 0
    (tmp_path / "day/drive/image_02/data/0000000001.jpg").unlink()
    assert len(list(extreme_panels(*scored, 1))) == 1
