"""Scores of corrupted images: by hand, written and read again, compared, and damaged."""

import json

import numpy as np
import pytest

from common.errors import DataError
from evaluation.corruption_report import describe, format_rows, table_rows
from evaluation.corruption_scores import CORRUPTIONS_FILE, read_corruptions, score_corruptions, setting_of
from evaluation.ground_truth import GroundTruth
from evaluation.metrics.depth_protocol import DepthProtocol

FACTORS = {"fog": (1.0, 1.1, 1.1, 1.2, 1.5), "dark": (1.1,) * 5}  # predicted depth / true depth by severity


@pytest.fixture
def setting(dataset, gt):
    """Protocol without median scaling, ground truth that may be read once per frame, and their setting."""
    protocol = DepthProtocol.choose("improved", "none", median_scaling=False)
    reads = iter([gt, None, gt])
    truth = GroundTruth(range(3), lambda number: next(reads), "improved", "here")
    return setting_of("mine", dataset, truth, protocol), truth, protocol


@pytest.fixture
def scores(dataset, gt, perfect, setting):
    def disps():
        for _ in range(3):
            yield np.stack([perfect(gt, factor) for factor in (1.0, *FACTORS["fog"], *FACTORS["dark"])])

    described, truth, protocol = setting
    return score_corruptions("w", described, list(FACTORS), disps(), dataset, truth, protocol)


def test_scores_by_hand(scores):
    for name, errors in zip(FACTORS, scores.abs_rel, strict=True):
        np.testing.assert_allclose(errors, np.abs(np.array(FACTORS[name]) - 1), atol=1e-5)
    assert scores.clean[0] == pytest.approx(0, abs=1e-6)
    # a1 is 1, except where the factor is 1.5: (0.5 - 0 + 1) / 2; accuracy 1 - 0.05 three times, and so on
    np.testing.assert_allclose(scores.dee[0], [0, 0.05, 0.05, 0.1, 0.75], atol=1e-5)
    np.testing.assert_allclose(scores.resilience, [1 - 0.95 / 5, 0.95], atol=1e-5)
    relative = scores.relative_to(scores)
    np.testing.assert_allclose(relative.errors, [1, 1])
    assert relative.baseline == "w"


def test_written_and_read_again(scores, tmp_path):
    for written, folder in (
        (scores, tmp_path / "scores_mine"),
        (scores.relative_to(scores), tmp_path / "b/scores_mine"),
    ):
        folder.mkdir(parents=True)
        (folder / CORRUPTIONS_FILE).write_text(written.as_json())
        for place in (folder, folder.parent):
            read = read_corruptions(place, "mine")
            assert (read.name, read.setting, read.names) == (written.name, written.setting, written.names)
            np.testing.assert_array_equal(read.corrupted, written.corrupted)
            assert (read.errors is None) == (written.errors is None) and read.baseline == written.baseline
    assert read_corruptions(tmp_path / "nowhere", "mine") is None
    assert json.loads(scores.as_json())["mean_resilience_rate"] == pytest.approx(0.88, abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: "no JSON",
        lambda content: json.dumps({**content, "corruptions": {}}),
        lambda content: json.dumps({**content, "clean": {"abs_rel": "nan"}}),
        lambda content: json.dumps({**content, "corruptions": {"fog": content["corruptions"]["fog"][:3]}}),
        lambda content: json.dumps([1]),
        lambda content: json.dumps({**content, "corruption_errors": {}}),
    ],
)
def test_damaged_file(scores, tmp_path, change):
    (tmp_path / CORRUPTIONS_FILE).write_text(change(json.loads(scores.as_json())))
    with pytest.raises(DataError, match=r"corruptions\.json is damaged.*run evaluate_depth\.py --corruptions"):
        read_corruptions(tmp_path, "mine")


def test_only_alike_scores_are_compared(scores):
    scores.check_comparable(scores.setting, ["dark"])
    with pytest.raises(DataError, match=r"w was scored with protocol .*, this evaluation with other"):
        scores.check_comparable({**scores.setting, "protocol": "other"}, ["dark"])
    with pytest.raises(DataError, match=r"no scores of frost, snow\. Evaluate it with --corruptions all"):
        scores.check_comparable(scores.setting, ["fog", "frost", "snow"])


def test_table(scores):
    rows = table_rows(scores.relative_to(scores))
    assert rows[0] == ["abs_rel", *(f"severity {s}" for s in range(1, 6)), "mean", "RR, %", "CE, %"]
    assert rows[1] == ["fog", "0.000", "0.100", "0.100", "0.200", "0.500", "0.180", "81.0", "100.0"]
    assert rows[-1][:2] == ["mean", "0.050"] and len(rows) == 4
    lines = format_rows(table_rows(scores)).splitlines()
    assert len({len(line) for line in lines}) == 1 and lines[1].split() == rows[1][:-1]
    assert describe(scores) == ("Clean abs_rel 0.000, with corruptions 0.140; mean resilience rate (mRR) 88.0 %")
    assert describe(scores.relative_to(scores)).endswith("; mean corruption error (mCE) 100.0 % of w")
