"""Test the command that compares two evaluations."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics.depth_metrics import METRIC_NAMES

ROOT = Path(__file__).resolve().parents[2]


def compare(*arguments, status=0) -> str:
    done = subprocess.run(
        [sys.executable, "tools/compare_runs.py", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == status and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def write(tmp_path):
    """Write an evaluation folder from a name and frame -> abs_rel (None: skipped)."""

    def write(name, frames, split="eigen", **columns):
        folder = tmp_path / name / f"scores_{split}"
        folder.mkdir(parents=True)
        lines = [",".join(["frame", *METRIC_NAMES, "ratio", *columns])]
        for i, (frame, value) in enumerate(frames.items()):
            extra = [str(values[i]) for values in columns.values()]
            lines.append(",".join([frame, *(["" if value is None else repr(value)] * 7), "1.0", *extra]))
        (folder / "frames.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / name

    return write


def test_frames_are_matched_by_name(write):
    a = write("a", {"d 1 l": 0.1, "d 2 l": 0.2, "d 3 l": 0.4, "d 4 l": 0.3})
    b = write("b", {"d 3 l": 0.5, "e 9 l": 9.0, "d 1 l": 0.2, "d 2 l": 0.3, "d 4 l": None})
    printed = compare(a, b / "scores_eigen")
    assert "3 frames in both" in printed and "excluded: 1 of A, 2 of B" in printed
    row = next(line.split() for line in printed.splitlines() if line.startswith("abs_rel"))
    # Means 0.7 / 3 and 1 / 3, each frame differs by 0.1: 2 of 8 sign patterns have a mean as far from 0.
    assert row[:6] == ["abs_rel", "0.2333", "0.3333", "+0.1000", "+0.1000", "+0.1000"]
    assert float(row[6]) == pytest.approx(0.25, abs=0.02)
    assert compare(a, b) == printed


def test_real_difference_is_significant_and_noise_is_not(write):
    random = np.random.default_rng(0)
    base = dict.fromkeys((f"d {i} l" for i in range(60)), 0.0)
    hard = random.uniform(0.05, 0.3, 60)  # frames differ much more than runs
    runs = [
        write(name, dict(zip(base, (hard + shift + random.normal(0, 0.01, 60)).tolist(), strict=True)))
        for name, shift in (("a", 0.0), ("same", 0.0), ("worse", 0.02))
    ]
    p = [
        float(next(line for line in compare(runs[0], other).splitlines() if line.startswith("rmse ")).split()[-1])
        for other in runs[1:]
    ]
    assert p[0] > 0.05 > 0.01 > p[1]


def test_details_on_demand(write):
    a = write("a", {"d 1 l": 0.1, "d 2 l": 0.2}, top=[1.0, 2.0], only_a=[1, 1])
    b = write("b", {"d 1 l": 0.1, "d 2 l": 0.2}, top=[2.0, ""])
    assert "\ntop" not in compare(a, b)
    printed = compare(a, b, "--details")
    assert "only_a" not in printed and "ratio" not in printed
    assert next(line.split() for line in printed.splitlines() if line.startswith("top"))[1:4] == [
        *("1.0000", "2.0000", "+1.0000"),
    ]


def test_note_names_different_protocols(write):
    runs = [write(name, {"d 1 l": 0.1}) for name in "ab"]
    for run, cap in zip(runs, (80.0, 50.0), strict=True):
        (run / "scores_eigen/summary.json").write_text(json.dumps({"protocol": {"crop": "eigen", "cap": cap}}))
    assert "different settings: cap 80.0 and 50.0" in compare(*runs)
    (runs[0] / "scores_eigen/summary.json").write_text("[]")
    assert "Note" not in compare(*runs)


def test_incomparable_runs_are_rejected(write, tmp_path):
    a, b = write("a", {"d 1 l": 0.1}), write("b", {"e 1 l": 0.1})
    assert "no scored frame in common" in compare(a, b, status=2)
    assert "scores_SPLIT" in compare(a, tmp_path, status=2)
    write("a", {"d 1 l": 0.1}, split="other")
    assert "several splits" in compare(a, b, status=2)
    assert "required: B" in compare(a, status=2)
    assert "missing.csv' does not exist" in compare(b, tmp_path / "missing.csv", status=2)
    (tmp_path / "few.csv").write_text("frame,abs_rel\nd 1 l,1\n")
    assert "lacks the columns sq_rel" in compare(b, tmp_path / "few.csv", status=2)
