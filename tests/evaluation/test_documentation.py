"""The example of docs/evaluation.md runs unchanged with only a copy of evaluation/metrics/."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NO_PADDLE = 'import sys\nsys.modules["paddle"] = None  # importing it fails\n'


def test_the_example_runs_without_the_rest_of_the_project(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/evaluation.md").read_text(), re.DOTALL)
    copied = tmp_path / "evaluation" / "metrics"
    shutil.copytree(ROOT / "evaluation" / "metrics", copied, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "example.py").write_text(NO_PADDLE + example)
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, env={}
    )
    assert done.returncode == 0, done.stderr
    pixels, means, frames, motion = done.stdout.splitlines()
    assert pixels == "abs_rel 0.050, a1 1.0"  # by hand: 1 / 10 and 0
    # Disparities are off by up to a tenth, evenly: by 0.05 in the mean.
    assert abs(float(re.search(r"'abs_rel': ([\d.]+)", means)[1]) - 0.05) < 0.002 and "'a1': 1.0" in means
    assert frames.startswith("(5, 7) [0.") and frames.endswith(" ()")
    assert motion == "t_rel 0.00 %, 5-frame ATE 0.0000 m"
