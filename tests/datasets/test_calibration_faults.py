"""Calibration files with impossible values, byte order marks, and calibration of absolute folders."""

import time

import numpy as np
import pytest

from common.errors import DataError
from datasets.build import build_dataset
from datasets.camera_files import read_camera_file
from datasets.folder_dataset import FolderCamera, FolderDataset, read_camera, write_camera
from datasets.kitti_calibration import lidar_to_depth, odometry_intrinsics, rectified_intrinsics
from datasets.kitti_poses import read_poses
from datasets.splits import SplitLine
from inference.camera_intrinsics import read_intrinsics

SECONDS = 10.0
LONG = "9" * 400
K = "100 0 60 0 90 30 0 0 1"
FAULTS = {  # (entry, numbers in the file of an imported sequence, in KITTI's, in a camera file)
    "K of 0": ("K", "0 " * 9, "0 " * 12, "fx: 0, fy: 0, cx: 0, cy: 0, width: 128, height: 64"),
    "negative focal length": (
        *("K", "-100 0 60 0 90 30 0 0 1", "-100 0 60 0 0 90 30 0 0 0 1 0"),
        "fx: -100, fy: 90, cx: 60, cy: 30, width: 128, height: 64",
    ),
    "infinite focal length": (
        *("K", "inf 0 60 0 90 30 0 0 1", "inf 0 60 0 0 90 30 0 0 0 1 0"),
        "fx: .inf, fy: 90, cx: 60, cy: 30, width: 128, height: 64",
    ),
    "size NaN": ("S", "nan 64", "nan 64", "fx: 100, fy: 90, cx: 60, cy: 30, width: .nan, height: 64"),
    "size of 1e9 x 1e9": ("S", "1e9 1e9", "1e9 1e9", "fx: 100, fy: 90, cx: 60, cy: 30, width: 1e+9, height: 1e+9"),
    "size of 1e9 x 1": ("S", "1e9 1", "1e9 1", "fx: 100, fy: 90, cx: 60, cy: 30, width: 1e+9, height: 1"),
    "negative size": ("S", "-128 64", "-128 64", "fx: 100, fy: 90, cx: 60, cy: 30, width: -128, height: 64"),
    "infinite size": ("S", "inf 64", "inf 64", "fx: 100, fy: 90, cx: 60, cy: 30, width: .inf, height: 64"),
    "size of 400 digits": (
        "S",
        f"{'9' * 400} 64",
        f"{'9' * 400} 64",
        f"fx: 1, fy: 9, cx: 6, cy: 3, width: {'9' * 400}",
    ),
}


def _reports(read, *words: str) -> None:
    started = time.monotonic()
    with pytest.raises(DataError) as error:
        read()
    message = str(error.value)
    assert time.monotonic() - started < SECONDS
    assert message.isprintable() and len(message) < 900 and all(word in message for word in words)


@pytest.mark.parametrize("fault", FAULTS)
def test_impossible_calibrations_fail_in_one_sentence(tree, fault):
    entry, own, kitti, camera = FAULTS[fault]
    (tree / "calib.txt").write_text(
        "".join(f"{key}: {own if key == entry else value}\n" for key, value in FOLDER.items())
    )
    _reports(lambda: read_camera(tree / "calib.txt"), "calib.txt")
    (tree / "camera.yml").write_text(camera.replace(", ", "\n") + ("" if "height" in camera else "\nheight: 64"))
    _reports(lambda: read_camera_file(tree / "camera.yml", (64, 128)), "camera.yml")
    day = tree / "2011_01_01"
    name = "P_rect_02" if entry == "K" else "S_rect_02"
    lines = (day / "calib_cam_to_cam.txt").read_text().splitlines()
    edited = [f"{name}: {kitti}" if line.startswith(name) else line for line in lines]
    (day / "calib_cam_to_cam.txt").write_text("\n".join(edited))
    _reports(lambda: rectified_intrinsics(day, 2), "calib_cam_to_cam.txt")
    if entry == "K":
        (tree / "calib.txt").write_text(f"P2: {kitti}\n")
        _reports(lambda: odometry_intrinsics(tree, 2), "calib.txt")
    else:
        scan = next(tree.glob("*/*/velodyne_points/data/*.bin"))
        _reports(lambda: lidar_to_depth(scan, day, 2, "legacy"), "calib_cam_to_cam.txt")


FOLDER = {"S": "128 64", "K": K, "D": "0 " * 9}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_change_nothing(tree, encoding):
    def rewrite(path):
        path.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))

    def read_all():
        camera = read_camera(tree / "calib.txt")
        file = read_camera_file(tree / "camera.json", (64, 128))
        return [
            *(camera.K, camera.size, camera.distortion, file.K, file.size, read_poses(tree / "poses.txt")),
            *(*rectified_intrinsics(tree / "2011_01_01", 2), read_intrinsics(tree / "K.txt")[0]),
        ]

    write_camera(tree / "calib.txt", FolderCamera(np.diag([90.0, 90, 1]), (64, 128), np.zeros(9)))
    (tree / "camera.json").write_text('{"fx": 100, "fy": 90, "cx": 60, "cy": 30, "width": 128, "height": 64}')
    (tree / "poses.txt").write_text("1 0 0 5 0 1 0 6 0 0 1 7\n" * 3)
    (tree / "K.txt").write_text("100 90 60 30\n")
    before = read_all()
    names = ("calib.txt", "camera.json", "poses.txt", "K.txt", "2011_01_01/calib_cam_to_cam.txt")
    for name in names:
        rewrite(tree / name)
    for a, b in zip(before, read_all(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", ["{root}/{drive}", "{root}/{drive}/", "./{drive}", "../tree/{drive}"])
def test_calibration_of_absolute_and_dotted_folders(tree, line, form, tmp_path_factory):
    drive = line(2).folder
    is_relative = form.startswith(".")
    linked = tmp_path_factory.mktemp("data") / "tree"
    linked.symlink_to(tree)
    folder = form.format(root=tree, drive=drive)
    data_path = linked if is_relative else tmp_path_factory.mktemp("elsewhere")
    size = {"height": 32, "width": 64, "frame_ids": (0, 1), "scales": (0,), "train": False, "load_depth": True}
    if form.startswith(".."):
        data_path = linked.parent / "other"
        data_path.mkdir()
    (sample,) = build_dataset("kitti", str(data_path), [SplitLine(folder, 2, "l")], **size)
    (expected,) = build_dataset("kitti", str(tree), [line(2)], **size)
    np.testing.assert_array_equal(sample["K/0"], expected["K/0"])
    np.testing.assert_array_equal(sample["depth_gt"], expected["depth_gt"])


def test_poses_and_distortion_of_absolute_folders(tmp_path):
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses/09.txt").write_text("1 0 0 5 0 1 0 6 0 0 1 7\n")
    size = {"height": 32, "width": 64, "frame_ids": (0,), "train": False}
    odometry = build_dataset("kitti_odom", "/nowhere", [], **size)
    assert odometry.poses(str(tmp_path / "sequences/09")).shape == (1, 4, 4)
    (tmp_path / "video").mkdir()
    distortion = np.array([0, -0.1, *[0.0] * 7])
    write_camera(tmp_path / "video/calib.txt", FolderCamera(np.diag([90.0, 90, 1]), (64, 128), distortion))
    line = SplitLine(str(tmp_path / "video"), 1, "l")
    dataset = FolderDataset(str(tmp_path / "nowhere"), [line], **size)
    np.testing.assert_array_equal(dataset.distortion(line), distortion)
