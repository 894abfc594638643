"""Test the baseline command on the real sample."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_baselines_on_the_sample(stereo_drive):
    command = [sys.executable, "tools/evaluate_baselines.py", "--data_path", str(stereo_drive)]
    command += ["--split", "kitti_sample", "--eval_split", "kitti_sample"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("constant depth") and lines[4].startswith("mean training depth map")
    assert lines[1] == lines[5] == "crop eigen (54% of the image), cap 80 m"
    constant, mean = (float(lines[i].split()[0]) for i in (3, 7))
    assert 0 < mean < constant
