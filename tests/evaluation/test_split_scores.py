"""Scores of a split equal those of single frames, with any number of processes and without keeping depth maps."""

import weakref

import numpy as np
import pytest

from common.errors import DataError
from evaluation.ground_truth import GroundTruth
from evaluation.metrics.depth_protocol import DepthProtocol
from evaluation.split_scores import SplitPrediction, score_frames

PROTOCOL = DepthProtocol()
STEREO = DepthProtocol(median_scaling=False, scale_factor=2.0)


def of(truths, read=np.asarray) -> GroundTruth:
    return GroundTruth(truths, read, "improved", "")


def stand_in(number):
    """Ground truth of frame ``number``: a wall; the second frame has none."""
    return None if number == 1 else np.full((40, 60), 10.0 * (1 + number), np.float32)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_several_predictions_in_one_pass(dataset, monkeypatch, num_workers):
    monkeypatch.setattr("evaluation.split_scores.FEW_FRAMES", 0)  # processes, for three frames
    near = np.full((3, 20, 30), 1 / 5, np.float32)  # walls at 5 and, in units of 2 m, at 20 m
    predictions = [SplitPrediction(near, PROTOCOL), SplitPrediction(near / 2, STEREO)]
    truth = of(range(3), stand_in)
    (scaled, stereo), details = score_frames(predictions, truth, dataset, num_workers, with_details=True)
    assert scaled.ratios[[0, 2]].tolist() == pytest.approx([2, 6]) and stereo.ratios[[0, 2]].tolist() == [1, 1]
    assert scaled.metrics[[0, 2], 0] == pytest.approx([0, 0], abs=1e-6)
    assert stereo.metrics[[0, 2], 0] == pytest.approx([1, 1 / 3])  # 20 m for 10 and for 30
    for result in (scaled, stereo):
        assert result.skipped == ("day/drive 1 l",) and np.isnan([*result.metrics[1], result.ratios[1]]).all()
    # Of the first prediction, and empty where it was not scored.
    assert np.isnan(details["cloud/f_score"]).tolist() == [False, True, False]
    assert details["20-40m/abs_rel"][2] == pytest.approx(0, abs=1e-6) and np.isnan(details["20-40m/abs_rel"][0])


def test_no_cloud_or_ground_scores_without_calibration(dataset, gt, perfect, tmp_path):
    (tmp_path / "day/calib_cam_to_cam.txt").unlink()
    prediction = SplitPrediction(np.stack([perfect(gt, 2)] * 3), PROTOCOL)
    _, details = score_frames([prediction], of([gt] * 3), dataset, 0, with_details=True)
    assert not any(name.startswith(("cloud", "ground")) for name in details)
    assert np.isfinite(details["aligned/rmse"]).all()


def test_one_ground_truth_at_a_time(dataset, gt, perfect):
    """The depth map of a frame is freed before the second next one is read."""
    alive: list[weakref.ref] = []

    def make(_):
        assert sum(ref() is not None for ref in alive) <= 1
        depth = gt.copy()
        alive.append(weakref.ref(depth))
        return depth

    score_frames([SplitPrediction(np.stack([perfect(gt, 2)] * 3), PROTOCOL)], of(range(3), make), dataset, 0)
    assert len(alive) == 3


def test_a_frame_that_cannot_be_scored_is_reported(dataset, gt, perfect):
    disps = np.stack([perfect(gt, 2)] * 3)
    with pytest.raises(DataError, match="3 frames has valid ground truth"):
        score_frames([SplitPrediction(disps, PROTOCOL)], of([None, gt * 0, gt + 90], lambda depth: depth), dataset, 0)
    disps[2, 5, 5] = np.nan
    with pytest.raises(DataError, match=r"day/drive 2 l: .*positive and finite"):
        score_frames([SplitPrediction(disps, PROTOCOL)], of([gt] * 3), dataset, 0)
