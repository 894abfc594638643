"""KITTI's layouts: odometry, improved ground truth, missing files."""

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError, OptionsError
from datasets.build import build_dataset, dataset_class
from datasets.splits import SplitLine


@pytest.fixture
def odometry(tmp_path, write_image):
    for frame in range(3):
        for camera in (2, 3):
            write_image(tmp_path / f"sequences/09/image_{camera}/{frame:06d}.png", 10 * frame + camera)
    P = "100 0 60 0 0 90 30 0 0 0 1 0"
    (tmp_path / "sequences/09/calib.txt").write_text(f"P0: {P}\nP1: {P}\nP2: {P}\nP3: {P}\n")
    return tmp_path


def test_odometry_layout(odometry):
    dataset = build_dataset(
        "kitti_odom",
        odometry,
        [SplitLine("9", 1, "l"), SplitLine("09", 1, "r")],
        height=32,
        width=64,
        frame_ids=[0, 1, "s"],
        scales=[0],
        extension=".png",
        load_depth=True,
        train=False,
    )
    left, right = dataset
    np.testing.assert_array_equal(left["color/s/0"], right["color/0/0"])
    assert (left["color/0/0"] != left["color/1/0"]).any()
    np.testing.assert_allclose(left["K/0"][:2, :3], [[50, 0, 29.75], [0, 45, 14.75]])
    assert left["depth_gt"] is None


def test_improved_ground_truth(make_dataset, tree, line):
    path = tree / line(1).folder / "proj_depth/groundtruth/image_03/0000000001.png"
    path.parent.mkdir(parents=True)
    stored = np.zeros((64, 128), dtype=np.uint16)
    stored[10, 20], stored[30, 40] = 256 * 12 + 64, 65535
    Image.fromarray(stored).save(path)
    dataset = make_dataset([line(1, "r"), line(1, "l")], name="kitti_depth", load_depth=True)
    depth = dataset[0]["depth_gt"]
    assert depth.dtype == np.float32 and (depth > 0).sum() == 2
    assert depth[10, 20] == 12.25 and depth[30, 40] == np.float32(65535 / 256)
    assert dataset[1]["depth_gt"] is None

    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"0000000001\.png cannot be read"):
        dataset.ground_truth(line(1, "r"))
    Image.fromarray(stored.astype(np.uint8)).save(path)
    with pytest.raises(DataError, match="16-bit"):
        dataset.ground_truth(line(1, "r"))


def test_kitti_constants():
    for name in ("kitti", "kitti_odom", "kitti_depth"):
        dataset = dataset_class(name)
        assert dataset.BASELINE == 0.1 and dataset.STEREO_SCALE_FACTOR == 5.4


def test_unknown_dataset_lists_the_known_ones(tmp_path):
    with pytest.raises(OptionsError, match="kitti_odom"):
        build_dataset("sintel", tmp_path, [])


def test_missing_calibration_is_reported_only_when_needed(make_dataset, tree):
    (tree / "2011_01_01" / "calib_cam_to_cam.txt").unlink()
    assert "K/0" not in make_dataset(scales=[])[0]
    with pytest.raises(DataError, match=r"calib_cam_to_cam\.txt not found.*\n?.*split line"):
        make_dataset()[0]
