"""Fixtures: a tiny KITTI raw tree with values that can be computed by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.build import build_dataset
from datasets.splits import SplitLine

DATE = "2011_01_01"
DRIVE = f"{DATE}/{DATE}_drive_0001_sync"
HEIGHT, WIDTH = 64, 128

# Lidar axes (forward, left, up) to camera axes; the camera is one metre ahead of the lidar.
VELO_TO_CAM = "R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -1\n"
CAM_TO_CAM = "calib_time: 09-Jan-2012 13:57:47\nR_rect_00: 1 0 0 0 1 0 0 0 1\n" + "".join(
    f"S_rect_0{camera}: {WIDTH}.0 {HEIGHT}.0\nP_rect_0{camera}: 100 0 60 0 0 90 30 0 0 0 1 0\n" for camera in (2, 3)
)


def _write_image(path: Path, seed: int) -> None:
    """Write an image with smooth colours that depend on the seed."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (8, 16, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, quality=95)


@pytest.fixture
def write_image():
    """Return a function (path, seed) that writes a random image of the tree's size."""
    return _write_image


@pytest.fixture
def tree(tmp_path) -> Path:
    """Create frames 0 to 5 of both cameras, a lidar scan of frame 2, and calibration."""
    for frame in range(6):
        for camera in (2, 3):
            _write_image(tmp_path / f"{DRIVE}/image_0{camera}/data/{frame:010d}.jpg", 10 * frame + camera)
    (tmp_path / DATE / "calib_cam_to_cam.txt").write_text(CAM_TO_CAM)
    (tmp_path / DATE / "calib_velo_to_cam.txt").write_text(VELO_TO_CAM)
    scan = tmp_path / DRIVE / "velodyne_points/data/0000000002.bin"
    scan.parent.mkdir(parents=True)
    np.array([[11, -1, 0.5, 0.3]], dtype=np.float32).tofile(scan)
    return tmp_path


@pytest.fixture
def line():
    """Return a function (frame, side) -> split line of the tiny tree."""
    return lambda frame, side="l": SplitLine(DRIVE, frame, side)


@pytest.fixture
def make_dataset(tree, line):
    """Return a factory of datasets of the tiny tree at half its size; by default frames 1 to 4 of both sides."""

    def make(lines=None, name="kitti", **kwargs):
        lines = [line(frame, side) for frame in range(1, 5) for side in "lr"] if lines is None else lines
        defaults = {"height": 32, "width": 64, "frame_ids": [0, -1, 1, "s"], "scales": [0, 1], "train": False}
        return build_dataset(name, str(tree), lines, **{**defaults, **kwargs})

    return make
