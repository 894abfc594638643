"""Files and folders without read permission are reported in one sentence that names them."""

import os
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.errors import DataError, OptionsError, UserError, WeightsError
from common.option_types import read_config
from datasets.build import build_dataset
from datasets.camera_files import read_camera_file
from datasets.checks import check_split
from datasets.depth_maps import read_depth_map
from datasets.folder_dataset import read_camera
from datasets.frame_table import kept_numbers, read_speeds
from datasets.kitti_benchmark import read_benchmark_lines
from datasets.kitti_calibration import read_calibration_file
from datasets.kitti_poses import oxts_poses, read_poses
from datasets.lidar_scans import read_scan
from datasets.splits import SplitLine, find_split, read_split_lines
from datasets.transforms import load_frame
from serialization.weights_folder import read_weights_info
from tools.video_import.sequence import read_record
from tools.video_import.split_lists import write_lists

NOBODY = 65534


@contextmanager
def unprivileged():
    """Run the block as a user to whom permissions apply."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def _frames(root):
    line = SplitLine("day/drive", 1, "l")
    return build_dataset("kitti", str(root), [line], height=32, width=64, frame_ids=(0,), train=False)


FILES = {  # name of the file -> reader
    "train_files.txt": lambda path: read_split_lines(path.parent, "train"),
    "test_files.txt": read_benchmark_lines,
    "poses.txt": read_poses,
    "0.txt": lambda path: oxts_poses(path.parent, path.parent, 2),
    "calib.txt": read_camera,
    "calib_cam_to_cam.txt": read_calibration_file,
    "camera.yml": lambda path: read_camera_file(path, (64, 128)),
    "frames.csv": kept_numbers,
    "frames.csv, speeds": read_speeds,
    "config.yml": lambda path: read_config({}, path),
    "scan.bin": read_scan,
    "depth.png": read_depth_map,
    "image.jpg": lambda path: load_frame(path, 32, 64),
    "weights.json": lambda path: read_weights_info(path.parent),
    "sequence.json": lambda path: read_record(path.parent),
}
FOLDERS = {
    "split": lambda path: find_split("split", path.parent / "none"),
    "day/drive/image_02/data": lambda path: check_split(_frames(path.parents[3]), "train"),
    "day/drive/oxts/data": lambda path: _frames(path.parents[3]).poses("day/drive"),
    "dataset": write_lists,
}


@pytest.fixture
def open_root(monkeypatch):
    """Yield a folder that every user may enter; those of pytest are the user's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        monkeypatch.chdir(name)
        yield Path(name)
        monkeypatch.undo()


# Files named on the command line may be pipes of a shell, --config <(...). A depth map counts as missing.
READ_PIPES = {"camera.yml", "config.yml", "depth.png"}


@pytest.mark.parametrize("name", [name for name in FILES if name not in READ_PIPES])
def test_pipes_do_not_block(tmp_path, name):
    path = tmp_path / name.split(",")[0]
    os.mkfifo(path)
    signal.alarm(20)  # a reader that waits for a writer ends the test run
    try:
        with pytest.raises(UserError, match=r"pipe or a device|not found"):
            FILES[name](path)
    finally:
        signal.alarm(0)


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_missing_read_permission(open_root, name):
    path = open_root / name.split(",")[0]
    if name in FILES:
        path.write_text("1 2 3")
    else:
        path.mkdir(parents=True)
    path.chmod(0)
    try:
        with unprivileged(), pytest.raises(UserError) as error:
            {**FILES, **FOLDERS}[name](path)
    finally:
        path.chmod(0o755)
    assert isinstance(error.value, DataError | OptionsError | WeightsError)
    assert path.name in str(error.value) and "Permission denied" in str(error.value)
    assert str(error.value).isprintable()
