"""Settings of saved evaluations, those of earlier versions included."""

import json

import pytest

from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.saved_results import differing_settings, read_evaluation, settings_of

NOW = {
    "split": "mine",
    "ground_truth": {"kind": "lidar", "axis": "legacy", "source": "here"},
    "protocol": {"crop": "eigen", "cap": 80.0, "disparity_fit": None, "per_dataset": False},
}
EARLIER = {"ground_truth": {"kind": "lidar", "source": "there"}, "protocol": {"crop": "eigen", "cap": 80.0}}


@pytest.fixture
def evaluation(tmp_path):
    def evaluation(summary, folder="scores_mine"):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}" / folder
        path.mkdir(parents=True)
        (path / "frames.csv").write_text(f"frame,{','.join(METRIC_NAMES)}\nd 1 l{',0.5' * 7}\n")
        (path / "summary.json").write_text(json.dumps(summary))
        return read_evaluation(path)

    return evaluation


def test_earlier_versions_differ_only_where_they_state_it(evaluation):
    now, earlier = evaluation(NOW), evaluation(EARLIER)
    assert differing_settings(now, earlier) == [] == differing_settings(earlier, now)
    fitted = evaluation({**NOW, "protocol": {**NOW["protocol"], "disparity_fit": "lstsq"}})
    assert differing_settings(fitted, earlier) == [("disparity_fit", "lstsq", None)]
    other = evaluation(EARLIER, "scores_other")
    assert differing_settings(now, other) == [("split", "mine", "other")]
    camera = evaluation({**NOW, "ground_truth": {"kind": "lidar", "axis": "camera"}})
    assert differing_settings(now, camera) == [("depth axis", "legacy", "camera")]


@pytest.mark.parametrize("damaged", [[], {}, {"protocol": 3, "ground_truth": []}])
def test_damaged_summaries_have_no_settings(evaluation, damaged):
    assert settings_of(evaluation(damaged)) == {"split": "mine"}
