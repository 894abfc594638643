"""Test the command that renders a synthetic dataset."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments):
    command = [sys.executable, "tools/make_synthetic.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_small_dataset_and_summary(tmp_path):
    options = ("--height", 32, "--width", 64, "--frames", 10, "--seed", 5, "--num_workers", 2)
    done = _run("--out", tmp_path / "world", *options)
    assert done.returncode == 0, done.stderr
    assert "10 stereo frames of 64x32 in 3 streets" in done.stdout
    assert "split synthetic: 4 for training, 1 for validation, 1 for testing" in done.stdout
    assert len(list((tmp_path / "world").rglob("image_0*/data/*.jpg"))) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["world"]
    again = _run("--out", tmp_path / "world", *options)
    assert again.returncode == 0 and "already contains this dataset" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frames", 2), "frames: got 2, expected at least 9"),
        (("--num_workers", -1), "--num_workers: got -1, expected 0 or more"),
        (("--heigth", 96), "unknown option --heigth; the nearest is --height"),
    ],
)
def test_errors_are_one_line(tmp_path, arguments, message):
    done = _run("--out", tmp_path / "world", *arguments)
    assert done.returncode != 0 and message in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())
