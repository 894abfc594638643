"""Scene with a house in front of a plane, and three frames of it."""

import numpy as np
import pytest
from PIL import Image

from datasets.kitti_dataset import KITTIRawDataset
from datasets.splits import SplitLine


@pytest.fixture
def camera():
    """Intrinsics of the frames."""
    return np.array([[100.0, 0, 29.5], [0, 100.0, 19.5], [0, 0, 1]])


@pytest.fixture
def gt():
    """Dense depth of a house at 10 m in front of a plane at 30 m, with unknown sky."""
    depth = np.full((40, 60), 30, np.float32)
    depth[20:38, 20:40] = 10
    depth[:5] = 0
    return depth


@pytest.fixture
def perfect():
    """Disparities of the ground truth times a factor."""

    def make(truth: np.ndarray, factor: float) -> np.ndarray:
        return (1 / np.where(truth > 0, truth, 80) / factor).astype(np.float32)

    return make


@pytest.fixture
def dataset(tmp_path, camera):
    """Three frames in KITTI layout, with images and intrinsics ``camera``."""
    lines = [SplitLine("day/drive", i, "l") for i in range(3)]
    folder = tmp_path / "day/drive/image_02/data"
    folder.mkdir(parents=True)
    for line in lines:
        Image.new("RGB", (60, 40), (50 * line.frame, 99, 0)).save(folder / f"{line.frame:010d}.jpg")
    projection = " ".join(str(value) for value in np.hstack([camera, np.zeros((3, 1))]).ravel())
    (tmp_path / "day/calib_cam_to_cam.txt").write_text(f"P_rect_02: {projection}\nS_rect_02: 60 40\n")
    return KITTIRawDataset(str(tmp_path), lines, height=64, width=96, frame_ids=(0,), train=False)
