"""Validation gives the same depth metrics as evaluate_depth.py, for all datasets, crops and caps."""

from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from datasets.folder_dataset import FolderCamera, write_camera
from evaluate_depth import evaluate
from options import Options
from serialization.weights_folder import save_weights
from training.setup import build_data, build_loss, build_model
from training.validation import validate, validation_protocols

DATE, DRIVE = "2011_01_01", "2011_01_01/2011_01_01_drive_0001_sync"
SIZE = {"kitti": (64, 128), "kitti_depth": (64, 128), "folder": (160, 96)}  # folder: a portrait video
FRAMES = 3  # scored frames, each with both neighbours


def write_split(data_path: Path, folder: str) -> None:
    """Write a split with the same frames in all three parts."""
    split = data_path / "splits" / "same"
    split.mkdir(parents=True)
    lines = "".join(f"{folder} {frame} l\n" for frame in range(1, FRAMES + 1))
    for part in ("train", "val", "test"):
        (split / f"{part}_files.txt").write_text(lines)


def write_image(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_calibration(folder: Path, height: int, width: int) -> None:
    """Write a calibration: baseline 0.5 m, lidar at the left camera's position with KITTI's lidar axes."""
    cameras = "".join(
        f"S_rect_0{number}: {width} {height}\nP_rect_0{number}: 70 0 {width / 2} {shift} 0 70 {height / 2} 0 0 0 1 0\n"
        for number, shift in ((2, 0), (3, -35))
    )
    (folder / "calib_cam_to_cam.txt").write_text(f"R_rect_00: 1 0 0 0 1 0 0 0 1\n{cameras}")
    (folder / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")


@pytest.fixture
def data(tmp_path):
    """A function from a dataset's name to its folder: noise images, with true depths that vary by row up to 100 m."""

    def make(dataset: str) -> Path:
        random = np.random.default_rng(0)
        height, width = SIZE[dataset]
        layout = "{side}/{frame:010d}.jpg" if dataset == "folder" else "image_0{camera}/data/{frame:010d}.jpg"
        folder = tmp_path / ("clip" if dataset == "folder" else DRIVE)
        for frame in range(FRAMES + 2):
            for side, camera in (("left", 2), ("right", 3)):
                noise = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                write_image(folder / layout.format(side=side, camera=camera, frame=frame), noise)
            depth = (random.uniform(2, 100, (height, 1)) * random.uniform(0.9, 1.1, (height, width)) * 256).astype("u2")
            if dataset == "folder":
                write_image(folder / f"depth/{frame:010d}.png", depth)
            elif dataset == "kitti_depth":
                write_image(folder / f"proj_depth/groundtruth/image_02/{frame:010d}.png", depth)
            else:
                scan = folder / f"velodyne_points/data/{frame:010d}.bin"
                scan.parent.mkdir(parents=True, exist_ok=True)
                forward = random.uniform(2, 100, 4000)
                aside, up = (random.uniform(-reach, reach, 4000) * forward for reach in (0.9, 0.45))
                np.stack([forward, aside, up, forward * 0], axis=1).astype(np.float32).tofile(scan)
        if dataset == "folder":
            K = np.array([[80, 0, width / 2], [0, 80, height / 2], [0, 0, 1]])
            write_camera(folder / "calib.txt", FolderCamera(K, (height, width), np.zeros(9), 0.5))
        else:
            write_calibration(tmp_path / DATE, height, width)
        write_split(tmp_path, "clip" if dataset == "folder" else DRIVE)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("dataset", "changes"),
    [
        ("kitti", {}),
        ("kitti", {"eval_max_depth": 30.0}),
        ("kitti", {"eval_crop": "none"}),
        ("kitti_depth", {}),
        ("folder", {}),
        ("folder", {"eval_crop": "garg", "eval_max_depth": 50.0}),
    ],
)
def test_validation_metrics_equal_evaluation_metrics(data, tmp_path, dataset, changes):
    settings = {
        **{"dataset": dataset, "data_path": str(data(dataset)), "split": "same", "eval_split": "same"},
        **{"height": 64, "width": 64, "batch_size": 2, "num_workers": 0, "device": "cpu", "use_stereo": True},
        **{"png": False, "pose_model_type": "posecnn", "weights_init": "scratch", "scales": (0,), **changes},
    }
    opt = Options(**settings, explicitly_set=frozenset(settings))
    paddle.seed(0)
    model = build_model(opt)
    found = validate(model, build_loss(opt), build_data(opt, "val"), validation_protocols(opt))
    assert found.depth_frames == FRAMES and found.selection_metric == found.scalars["abs_rel"]

    weights = tmp_path / "weights"
    networks = {role: network for role, network in model.networks().items() if role in ("encoder", "depth")}
    save_weights(weights, networks, {"height": 64, "width": 64, "use_stereo": True})
    for prefix, scaling in (("", "eval_mono"), ("stereo/", "eval_stereo")):
        expected = evaluate(opt.replace(load_weights_folder=str(weights), **{scaling: True}))
        for name, value in expected.items():
            assert found.scalars[prefix + name] == pytest.approx(value, rel=1e-4), prefix + name
