"""Tools that also accept the options of train.py suggest their own options, too."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("command", "mistyped", "nearest"),
    [
        ("check_dataset.py", "--jsn", "--json"),
        ("check_dataset.py", "--pgn", "--png"),
        ("export_gt_depth.py", "--ot", "--out"),
        ("benchmark.py", "--onyl", "--only"),
        ("step_cost.py", "--bandwith", "--bandwidth"),
        ("report.py run", "--frame", "--frames"),
    ],
)
def test_mistyped_own_option(command, mistyped, nearest):
    words = [sys.executable, *f"tools/{command}".split(), mistyped, "1"]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert f"unknown option {mistyped}; the nearest is {nearest} " in result.stderr
