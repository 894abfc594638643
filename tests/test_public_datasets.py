"""The commands on datasets in the layout of their own release: lists, check, evaluation and training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import public_trees as trees
import pytest

from common.errors import DataError
from common.registry import DATASETS, RULE_DATASETS, load
from evaluate_depth import evaluate
from options import parse_options
from tools.check_dataset import check
from tools.kitti.split_by_rule import write_lists

ROOT = Path(__file__).resolve().parents[1]
TREES = {name: getattr(trees, f"{name}_tree") for name in RULE_DATASETS}
FRAMES = {"cityscapes": ("--frame_ids", "0", "-2", "2")}
# Depth of each tree where it is known, up to one factor per image.
TRUTHS = {
    **dict.fromkeys(("cityscapes", "nyuv2", "nuscenes", "ddad"), np.full((8, 16), 7.0)),
    "make3d": np.repeat(np.arange(18.0, 39)[:, None], 305, 1),
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    """Make a tree of each dataset with its lists."""
    roots = {name: make(tmp_path_factory.mktemp(name) / "tree") for name, make in TREES.items()}
    for name, root in roots.items():
        write_lists(load(DATASETS, name).split_lists(root), root / f"splits/{name}")
    return roots


@pytest.fixture(params=TREES)
def tree(request, roots) -> tuple[str, Path]:
    """Return name and root of each dataset."""
    return request.param, roots[request.param]


def options(name: str, root: Path, *arguments: str):
    return parse_options(
        ["--dataset", name, "--data_path", str(root), "--num_workers", "0", *FRAMES.get(name, ()), *arguments]
    )


def test_check_finds_no_errors(tree):
    result = check(options(*tree))
    assert result.passed, result.summary()
    lists = {path.stem[:-6]: len(path.read_text().splitlines()) for path in (tree[1] / "splits").glob("*/*.txt")}
    assert result.lines == lists and result.images and result.depth_maps


def test_a_perfect_prediction_has_no_error(tree, tmp_path, capsys):
    name, root = tree
    count = len((root / f"splits/{name}/test_files.txt").read_text().splitlines())
    path = tmp_path / "disps.npy"
    np.save(path, np.stack([1 / TRUTHS[name].astype(np.float32)] * count))
    means = evaluate(options(name, root, "--eval_mono", "--ext_disp_to_eval", str(path), "--metrics", "benchmark"))
    assert means["abs_rel"] < 1e-6 and means["a1"] == 1
    printed = capsys.readouterr().out
    assert f"{count} frames, {load(DATASETS, name).GROUND_TRUTH} ground truth" in printed


# File (for glob), its damage (None: deleted, else the remaining bytes), kind of the finding, and what it says.
DAMAGE = {
    "cityscapes": [
        ("leftImg8bit_sequence/*/*/*_000000_l*.png", None, "neighbour_missing", "not found"),
        ("leftImg8bit_sequence/*/*/*_000002_l*.png", 50, "image_damaged", "truncated"),
        ("camera/val/*/*.json", None, "calibration_missing", "not found"),
        ("camera/train/*/*.json", 50, "calibration_incomplete", "is damaged"),
        ("disparity/test/*/*.png", 50, "depth_damaged", "truncated"),
    ],
    "make3d": [
        ("Test134/img-math*.jpg", None, "image_missing", "not found"),
        ("Gridlaserdata/*-math*.mat", 50, "depth_damaged", "Copy it again"),
        ("Gridlaserdata/*-comb*.mat", None, "test_depth_missing", "not found"),
    ],
    "nyuv2": [
        ("rgb/0001.png", 50, "image_damaged", "truncated"),
        ("depth/0001.png", 50, "depth_damaged", "truncated"),
        ("depth/0003.png", None, "test_depth_missing", "not found"),
    ],
    "nuscenes": [
        ("sweeps/CAM_FRONT/scene-0061*01.jpg", 50, "image_damaged", "Truncated"),
        ("samples/CAM_FRONT/scene-0103*00.jpg", None, "image_missing", "not found"),
        ("samples/LIDAR_TOP/scene-0103*02.pcd.bin", 50, "depth_damaged", "got 50 bytes, expected a multiple of 20"),
        ("samples/LIDAR_TOP/scene-0103*04.pcd.bin", None, "test_depth_missing", "not found"),
    ],
    "ddad": [
        ("000000/rgb/CAMERA_01/3.png", None, "neighbour_missing", "not found"),
        ("000150/rgb/CAMERA_01/3.png", 50, "image_damaged", "truncated"),
        ("000000/calibration/key.json", 50, "calibration_incomplete", "is damaged"),
        ("000150/point_cloud/LIDAR/0.npz", 50, "depth_damaged", "Unpack DDAD.tar again"),
        ("000150/point_cloud/LIDAR/1.npz", None, "test_depth_missing", "not found"),
    ],
}


def test_check_reports_damage(tree, tmp_path):
    name, root = tree
    root = Path(shutil.copytree(root, tmp_path / "tree", copy_function=os.link))
    for pattern, size, _, _ in DAMAGE[name]:
        (path,) = root.glob(pattern)
        content = path.read_bytes()
        path.unlink()
        if size is not None:
            path.write_bytes(content[:size])
    result = check(options(name, root))
    found = {finding.kind: finding for finding in result.findings}
    for pattern, _, kind, text in DAMAGE[name]:
        assert Path(found[kind].path).relative_to(root).match(pattern) and text in found[kind].detail
    errors = [finding for finding in result.findings if finding.kind != "images_downscaled"]
    assert len(errors) == len(DAMAGE[name]) and not result.passed, result.summary()


def test_missing_lists_name_the_command(tmp_path):
    with pytest.raises(DataError, match=r"prepare_splits\.py --dataset cityscapes --data_path"):
        check(options("cityscapes", tmp_path))


@pytest.mark.slow
def test_commands(tmp_path):
    """List, check, train two steps and evaluate as a user does."""
    root = trees.cityscapes_tree(tmp_path / "city", frames=8, size=(128, 256))

    def run(*arguments, status=0) -> str:
        done = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    assert "4 train, 1 val, 1 test lines" in run(
        "tools/prepare_splits.py", "--dataset", "cityscapes", "--data_path", root
    )
    data = ("--dataset", "cityscapes", "--data_path", root, "--num_workers", "0", "--height", "64", "--width", "128")
    frames = ("--frame_ids", "0", "-2", "2")
    report = tmp_path / "check.json"
    run("tools/check_dataset.py", *data, *frames, "--use_stereo", "--json", report)
    assert json.loads(report.read_text())["images"] == (8 + 4) + (3 + 1) + 1  # with the right ones
    log = ("--log_dir", tmp_path / "logs", "--model_name", "city", "--device", "cpu")
    printed = run(
        *("train.py", *data, *frames, "--use_stereo", *log, "--weights_init", "scratch", "--batch_size", "2"),
        *("--max_steps", "2", "--cache", "ram"),
    )
    assert "nan" not in printed.lower()
    weights = next((tmp_path / "logs/city/models").glob("weights_*"))
    printed = run("evaluate_depth.py", *data, "--load_weights_folder", weights, "--eval_mono", "--device", "cpu")
    assert "crop cityscapes (54% of the image), cap 80 m" in printed
