"""Result files of an evaluation, read with standard readers."""

import csv
import json

import numpy as np
import pytest

from common.errors import DataError
from evaluation.ground_truth import GroundTruth
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthEvaluation, DepthProtocol
from evaluation.result_files import read_frames, result_files, summarise, write_results

FRAMES = ["a 1 l", "a 2 l", "b 3 r"]


@pytest.fixture
def written(tmp_path):
    """Results of three frames, the second skipped."""
    metrics = np.array([np.arange(1, 8) / 10, np.full(7, np.nan), np.arange(3, 10) / 10])
    means = dict(zip(METRIC_NAMES, np.nanmean(metrics, axis=0).tolist(), strict=True))
    result = DepthEvaluation(metrics, np.array([10.0, np.nan, 12.0]), means, ("a 2 l",))
    details = {"top/rmse": np.array([np.nan, np.nan, 4.0]), "edges/accuracy": np.full(3, np.nan)}
    protocol = DepthProtocol.choose("improved", "auto")
    truth = GroundTruth([], np.asarray, "improved", "there")
    files, summary = result_files("w", FRAMES, result, details, protocol, truth)
    write_results(tmp_path, files)
    return tmp_path, summary


def test_each_frame_has_a_row(written):
    folder, _ = written
    with open(folder / "frames.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["frame"] for row in rows] == FRAMES
    assert list(rows[0]) == ["frame", *METRIC_NAMES, "ratio", "top/rmse", "edges/accuracy"]
    assert [float(rows[0][name]) for name in METRIC_NAMES] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert set(list(rows[1].values())[1:]) == {""} and rows[2]["top/rmse"] == "4.0"
    frames, columns = read_frames(folder / "frames.csv")
    assert frames == FRAMES and np.isnan(columns["abs_rel"][1]) and columns["ratio"][2] == 12


def test_the_summary_is_strict_json(written):
    folder, summary = written
    text = (folder / "summary.json").read_text()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content == summary
    assert (content["frames"], content["skipped"]) == (2, ["a 2 l"])
    # Of two frames a quarter of the draws is either twice: the interval is from one to the other.
    assert content["metrics"]["abs_rel"] == {"mean": pytest.approx(0.2), "low": 0.1, "high": 0.3, "frames": 2}
    assert content["details"]["top/rmse"] == {"mean": 4, "low": 4, "high": 4, "frames": 1}
    assert content["details"]["edges/accuracy"] == {"mean": None, "low": None, "high": None, "frames": 0}
    assert content["scale"]["median"] == 11 and content["protocol"]["max_depth"] is None
    assert "0.200" in (folder / "table.md").read_text() and "w & 0.200" in (folder / "table.tex").read_text()


def test_summary_without_columns():
    assert summarise({}) == {}


def test_byte_order_mark_is_accepted(tmp_path):
    (tmp_path / "frames.csv").write_text("\ufeffframe,abs_rel\r\na,1\r\n", encoding="utf-8", newline="")
    assert read_frames(tmp_path / "frames.csv")[1]["abs_rel"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "not found; expected a frames.csv"),
        ("", "first line"),
        ("name,abs_rel\nx,1\n", "first line"),
        ("frame,abs_rel\na,1,2\n", "line 2"),
        ("frame,abs_rel\na,good\n", "line 2"),
        ("frame,abs_rel\na,1\na,2\n", "each frame once"),
        ("frame,abs_rel\n", "empty"),
    ],
)
def test_invalid_tables_are_an_error(tmp_path, text, words):
    path = tmp_path / "frames.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=words) as error:
        read_frames(path)
    assert str(path) in str(error.value)
