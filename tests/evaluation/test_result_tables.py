"""Text, JSON, Markdown and LaTeX output of metrics."""

import json

import pytest

from common.errors import UserError
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthProtocol
from evaluation.result_tables import (
    format_metrics_table,
    format_pose_tables,
    latex_table,
    markdown_table,
    save_metrics,
)

MEANS = dict(zip(METRIC_NAMES, [0.1061234567891, 0.818, 4.75, 0.196, 0.874, 0.957, 0.979], strict=True))


def test_table_aligns_values_under_their_names():
    protocol, header, values = format_metrics_table(MEANS, DepthProtocol()).splitlines()
    assert protocol == "crop eigen (54% of the image), cap 80 m"
    assert header.split() == list(METRIC_NAMES)
    assert values.split() == ["0.106", "0.818", "4.750", "0.196", "0.874", "0.957", "0.979"]
    for name, value in zip(header.split(), values.split(), strict=True):
        assert header.index(name) + len(name) == values.index(value) + len(value)


def test_json_contains_unrounded_metrics(tmp_path):
    folder = tmp_path / "results"
    save_metrics(folder, "a", {**MEANS, "ratio": 2.0}, DepthProtocol())
    path = save_metrics(folder, "a", {**MEANS, "ratio": 3.0}, DepthProtocol("none", cap=50.0))
    assert path == folder / "metrics_a.json"
    for name in ("metrics.json", "metrics_a.json"):
        assert json.loads((folder / name).read_text()) == {**MEANS, "split": "a", "crop": "none", "cap": 50.0}
    assert sorted(file.name for file in folder.iterdir()) == ["metrics.json", "metrics_a.json"]


def test_an_unwritable_path_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"metrics_a\.json cannot be written"):
        save_metrics(tmp_path / "file", "a", MEANS, DepthProtocol())


def test_markdown_and_latex_rows():
    metrics = {name: {"mean": mean, "low": mean - 0.01, "high": mean + 0.0104} for name, mean in MEANS.items()}
    assert markdown_table("my|run", metrics, "crop none").splitlines() == [
        "| crop none | abs_rel | sq_rel | rmse | rmse_log | a1 | a2 | a3 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        r"| my\|run | 0.106 | 0.818 | 4.750 | 0.196 | 0.874 | 0.957 | 0.979 |",
        "| 95 % interval | 0.096–0.117 | 0.808–0.828 | 4.740–4.760 | 0.186–0.206 | 0.864–0.884 | 0.947–0.967 "
        "| 0.969–0.989 |",
    ]
    caption, header, row, interval = latex_table("my_run", metrics, "crop none").splitlines()
    assert caption == "% crop none" and header.startswith("% name & abs_rel & ")
    assert row == r"my\_run & 0.106 & 0.818 & 4.750 & 0.196 & 0.874 & 0.957 & 0.979 \\"
    assert interval.startswith(r"95\,\% interval & 0.096--0.117 & ") and interval.count("&") == row.count("&") == 7


def test_pose_tables_show_units():
    numbers = {"ate_5": 0.01712, "ate_5_std": 0.0081, "ate_sim3": 7.12345, "ate_se3": 99.0, "scale": 31.0}
    by_length = {"100": {"t_rel": 2.5, "r_rel": 0.4, "segments": 12}}
    text = format_pose_tables({**numbers, "t_rel": 3.456, "r_rel": 0.789, "by_length": by_length})
    rows = dict(line.split("  ", 1) for line in text.replace("  over", "over").splitlines())
    rows = {name.strip(): value.strip() for name, value in rows.items()}
    assert rows["5-frame ATE, m"] == "0.0171 +- 0.0081" and rows["ATE after Sim(3), m"] == "7.123"
    assert rows["translation, %"] == "3.46" and rows["rotation, deg/100 m"] == "0.79"
    assert rows["over 100 m"] == "2.50 %, 0.40 deg/100 m, 12 segments"
    assert "error per frame, m" not in rows  # an earlier version did not compute it
    further = {"sim3_scale": 1.5, "rpe_translation": 0.0123, "rpe_rotation": 0.04567}
    text = format_pose_tables({**numbers, **further, "t_rel": None, "r_rel": None, "by_length": {}})
    for row in ("scale of Sim(3)       1.5\n", "per frame, m    0.0123\n", "per frame, deg  0.0457\n"):
        assert row in text
    assert "nan" not in text and "not available: the path is shorter than 100 m" in text
    assert "shorter than 100 m" in format_pose_tables({**numbers, "t_rel": None, "r_rel": None, "by_length": {}})
