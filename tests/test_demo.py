"""Run the whole demo script at a tiny size."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TINY = {"FRAMES": "9", "STEPS": "2", "FINETUNE_STEPS": "1", "HEIGHT": "64", "WIDTH": "96"}
TINY |= {"FINETUNE_HEIGHT": "96", "FINETUNE_WIDTH": "160", "WORLD_HEIGHT": "96", "WORLD_WIDTH": "160"}


def test_demo_trains_evaluates_predicts_and_reports(tmp_path):
    environment = {**os.environ, **TINY, "PYTHON": sys.executable, "DEMO_DIR": str(tmp_path / "demo")}
    command = ["bash", str(ROOT / "configs/demo/demo.sh"), "--batch_size", "2", "--num_workers", "0"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    # One table of seven metrics for each of the two baselines and the two stages.
    tables = [line for line in done.stdout.splitlines() if line.split()[:2] == ["abs_rel", "sq_rel"]]
    assert len(tables) == 4
    assert done.stdout.index("== Evaluation") < done.stdout.index("== Prediction") < done.stdout.index("== Report")
    out = tmp_path / "demo"
    for stage in ("pretrain", "finetune"):
        assert (out / stage / "demo/models/weights_best/metrics.json").is_file()
    assert len(list((out / "predictions").rglob("*_picture.png"))) == 3
    assert (out / "report.html").stat().st_size > 100_000
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}


def test_a_mistyped_option_is_reported_before_the_world_is_generated(tmp_path):
    environment = {**os.environ, "PYTHON": sys.executable, "DEMO_DIR": str(tmp_path / "demo")}
    command = ["bash", str(ROOT / "configs/demo/demo.sh"), "--batch_sise", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "the nearest is --batch_size" in done.stderr
    assert not list(tmp_path.iterdir())
