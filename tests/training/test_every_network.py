"""Every network is trained, resumed bit-exactly, evaluated, used for prediction and exported by the commands.

``weights.json`` is the only description of the network after training.
"""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.registry import DEPTH_NETWORKS
from inference.export.model_writers import can_write_onnx

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("efficientnet_lite0",)
RUNS = ("whole", "halves")
NETWORKS = [name for name in DEPTH_NETWORKS if not name.startswith("resnet")]


def command(*words: object) -> str:
    """Run a script of the project and return its output."""
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "network", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_network_through_the_commands(run, stereo_drive, tmp_path, network):
    settings = {"depth_network": network, "pose_model_type": "separate_resnet", "width": 96}
    if network.startswith("lite_mono"):
        settings["scales"] = (0, 1, 2)
    run(model_name="whole", max_steps=2, **settings)
    run(model_name="halves", max_steps=1, **settings)
    run(model_name="halves", max_steps=2, resume="auto", **settings)
    whole, halves = ({p.name: p.read_bytes() for p in weights_of(tmp_path, name).glob("*.pdparams")} for name in RUNS)
    assert len(whole) == 4 and whole == halves

    weights = weights_of(tmp_path, "whole")
    assert json.loads((weights / "weights.json").read_text())["model"]["depth_network"] == network
    common = ("--load_weights_folder", weights)
    data = ("--data_path", stereo_drive, "--eval_split", "kitti_sample", "--num_workers", 0)
    command("evaluate_depth.py", *common, *data, "--eval_mono", "--eval_trained_frames")
    assert 0 < json.loads((weights / "metrics.json").read_text())["abs_rel"] < 1

    image = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    command("predict.py", tmp_path / "image.png", *common, "--output_dir", tmp_path / "out")
    assert list((tmp_path / "out").iterdir())

    printed = command("tools/export_model.py", *common, "--out", tmp_path / "exported")
    for kind in ("paddle", *(["onnx"] if can_write_onnx() else [])):
        assert f"{kind}: maximum relative depth difference on the same input " in printed


def weights_of(folder: Path, name: str) -> Path:
    """Return the weights of a run's last epoch."""
    return folder / name / "models" / "weights_0"
