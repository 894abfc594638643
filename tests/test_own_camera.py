"""Run the own-camera script at a tiny size: render videos, import, train, evaluate."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = {"VIDEOS": "2", "SECONDS_EACH": "6", "FPS": "20", "HEIGHT": "64", "WIDTH": "96", "STEPS": "2"}


@pytest.mark.slow
@pytest.mark.parametrize("camera", ["known", "unknown"])
def test_videos_are_imported_trained_on_and_evaluated(tmp_path, camera):
    environment = {**os.environ, **TINY, "CAMERA": camera, "PYTHON": sys.executable, "OWN_DIR": str(tmp_path / "own")}
    command = ["bash", str(ROOT / "configs/own_camera/own_camera.sh"), "--batch_size", "2", "--num_workers", "0"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert ("guessed" in done.stdout) == (camera == "unknown")
    # One table of seven metrics for each of the two baselines and the weights.
    assert sum(line.split()[:2] == ["abs_rel", "sq_rel"] for line in done.stdout.splitlines()) == 3
