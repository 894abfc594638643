"""The benchmark's line can be read by a program."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_step_prints_one_line_of_json():
    command = [sys.executable, "tools/benchmark.py", "--repeat", "1", "--use_stereo"]
    command += ["--height", "64", "--width", "64", "--batch_size", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["name"] == "step" and result["unit"] == "s"
    assert 0 < result["min"] <= result["median"] <= result["max"]
    assert result["ratio"] > 0 and result["baseline_median"] > 0
