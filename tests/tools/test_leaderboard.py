"""The leaderboard: ranking, significance, refusals, and its three formats."""

import json
import re
import sys

import numpy as np
import pytest

from common.errors import DataError, OptionsError
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.saved_results import read_evaluation
from tools.leaderboard import main
from tools.reporting.leaderboard import build_leaderboard, distinct_names

PROTOCOL = {
    **{"crop": "eigen", "cap": 80.0, "median_scaling": True, "scale_factor": 1.0},
    **{"disparity_fit": None, "per_dataset": False},
}
HARD = np.random.default_rng(0).uniform(0.05, 0.3, 40)  # frames differ much more than runs


@pytest.fixture
def write(tmp_path):
    """Write an evaluation whose metrics all have these values per frame."""

    def write(name, values, network=None, protocol=PROTOCOL, **summary):
        folder = tmp_path / name / "scores_eigen"
        folder.mkdir(parents=True)
        lines = [f"d {i} l{f',{value}' * 7}" for i, value in enumerate(values)]
        (folder / "frames.csv").write_text("\n".join([f"frame,{','.join(METRIC_NAMES)}", *lines]) + "\n")
        prediction = {"depth_network": network, "height": 64, "width": 96, "post_process": False}
        about = {"ground_truth": {"kind": "lidar", "axis": "legacy"}, "protocol": protocol, "prediction": prediction}
        (folder / "summary.json").write_text(json.dumps({**about, **summary}))
        return tmp_path / name

    return write


@pytest.fixture
def runs(write):
    """Three runs: the first two differ by noise, the third is worse in the first four metrics, hence better in a1."""
    noise = np.random.default_rng(1).normal(0, 0.01, (3, 40))
    return [
        write("a_x", HARD + noise[0], "resnet18"),
        write("b_x", HARD + noise[1] + 0.0001, "lite_mono_tiny"),
        write("c_x", HARD + noise[2] + 0.02, "unknown"),
    ]


def test_ranking_significance_and_cost(runs):
    entries = build_leaderboard([read_evaluation(run) for run in runs], "abc", "abs_rel")
    names = [entry.name for entry in entries]
    assert sorted(names[:2]) == ["a", "b"] and names[2] == "c"
    best, tie, worse = entries
    assert [entry.marks["abs_rel"] for entry in entries] == ["best", "tie", ""]
    assert worse.marks["a1"] == "best" and best.marks["a1"] == tie.marks["a1"] == ""  # the higher, the better
    costs = {entry.name: (entry.params, entry.macs) for entry in entries}
    # 8.0 GMACs at 640x192, as in the README: 1 / 20 of the pixels.
    assert costs["a"][1] == pytest.approx(8.0e9 / 20, rel=0.01) and costs["c"] == (None, None)
    assert costs["b"][1] < costs["a"][1] / 2 and costs["a"][0] / 1e6 == pytest.approx(14.3, abs=0.05)
    by_a1 = build_leaderboard([read_evaluation(run) for run in runs[1:]], "bc", "a1")
    assert [entry.name for entry in by_a1] == ["c", "b"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol": {**PROTOCOL, "cap": 50.0}}, "different protocols: cap 80.0 and 50.0"),
        ({"protocol": {**PROTOCOL, "per_dataset": True}}, "per_dataset False and True"),
        ({"ground_truth": {"kind": "improved"}}, "ground truth lidar and improved"),
        ({"split": "eigen_benchmark"}, "split eigen and eigen_benchmark"),
        ({"values": [0.1] * 39}, "40 and 39 scored frames, 'd 39 l' only in one"),
        ({"protocol": None}, "does not state the protocol"),
    ],
)
def test_protocols_are_not_mixed(write, change, words):
    values = change.pop("values", HARD)
    paths = [write("a", HARD), write("b", values, **change)]
    with pytest.raises(DataError, match=words):
        build_leaderboard([read_evaluation(path) for path in paths], "ab", "abs_rel")


def test_three_formats(runs, write, tmp_path, monkeypatch, capsys):
    paths = [tmp_path / f"board.{ending}" for ending in ("md", "tex", "html")]
    hostile = write("<b>_x", HARD + 0.1, "resnet18")
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", *map(str, [*runs, hostile]), "--out", *map(str, paths)])
    main()
    markdown, latex, page = (path.read_text(encoding="utf-8") for path in paths)
    assert capsys.readouterr().out.startswith(markdown)
    rows = [line.split(" | ") for line in markdown.splitlines() if line.startswith("| ")]
    assert [len(row) for row in rows] == [13] * 6 and sum("≈" in row[5] for row in rows) == 1
    assert sorted(row[0] for row in rows[2:4]) == ["| a_x", "| b_x"] and rows[4][0] == "| c_x"
    assert latex.count(r" \\") == 5 and "a\\_x & resnet18 & 96$\\times$64 & 14.3 & 0.4 &" in latex
    assert all(line.count(" & ") == 12 for line in latex.splitlines() if " & " in line)
    assert "&lt;b&gt;_x" in page and "<b>" not in page and not re.search(r"https?://", page)
    assert page.count("<circle ") == 3 and "network is unknown: c_x." in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--out", "board.pdf"], r"board.pdf, allowed: files that end in .md"), (["--names", "x"], "1 names for 3 runs")],
)
def test_mistyped_options(runs, monkeypatch, arguments, words):
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", *map(str, runs), *arguments])
    with pytest.raises(OptionsError, match=words):
        main()


def test_missing_run(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", str(runs[0]), str(tmp_path / "mistyped")])
    with pytest.raises(DataError, match=r"mistyped' does not exist\. Pass frames\.csv of evaluate_depth\.py, "):
        main()


def test_names_are_what_distinguishes_the_paths(tmp_path):
    paths = [tmp_path / name / "scores_eigen/frames.csv" for name in ("runs/a/best", "runs/b/best")]
    assert distinct_names(paths) == ["a", "b"]
    assert distinct_names(paths[:1]) == ["scores_eigen"]
    with pytest.raises(DataError, match="twice"):
        distinct_names([paths[0], paths[0]])
