"""Layouts other than KITTI raw with jpg: odometry, improved ground truth, png, the built-in world."""

import os

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from datasets.build import build_dataset
from datasets.splits import SplitLine
from tools.dataset_check.list_checks import read_lists
from tools.dataset_check.run_checks import plan_checks, run_checks
from tools.synthetic.world import World, generate

SIZE = 64, 128


def write_image(path, seed):
    """Write an image of smooth colours, different for every seed."""
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 16, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path)


def check(root, lines, name, depth_parts=(), **changes):
    settings = {"height": 32, "width": 64, "frame_ids": (0, -1, 1), "train": False, **changes}
    parts = {part: build_dataset(name, str(root), its, **settings) for part, its in lines.items()}
    return run_checks(plan_checks(parts, depth_parts), 0, lambda files: None)


@pytest.fixture
def odometry(tmp_path):
    for frame in range(3):
        write_image(tmp_path / f"sequences/09/image_2/{frame:06d}.png", frame)
    (tmp_path / "sequences/09/calib.txt").write_text("P2: 100 0 60 0 0 90 30 0 0 0 1 0\n")
    return tmp_path


def test_odometry_with_png_images(odometry):
    lines = {"train": [SplitLine("9", 1, "l")], "test_09": [SplitLine("9", frame, "l") for frame in (0, 2)]}

    def run():
        return check(odometry, lines, "kitti_odom", ["test_09"], frame_ids=(0,), extension=".png")

    result = run()
    assert result.passed and not result.findings and result.images == 3
    (view,) = (
        result.views
    )  # 2 atan(128 / 2 / 100) and 2 atan(64 / 2 / 90); calib.txt states no size, so the images decide
    assert view.size == SIZE and view.field_of_view == pytest.approx((65.24, 39.14), abs=0.01)

    image = odometry / "sequences/09/image_2/000002.png"
    image.write_bytes(image.read_bytes()[:-40])
    (odometry / "sequences/09/calib.txt").write_text("P0: 100 0 60 0 0 90 30 0 0 0 1 0\n")
    found = {(finding.kind, finding.path) for finding in run().findings}
    calibration = str(odometry / "sequences/09/calib.txt")
    assert found == {("image_damaged", str(image)), ("calibration_incomplete", calibration)}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset_check") / "world"
    generate(World(height=96, width=320, frames=9, seed=1), root, num_workers=0)
    return root


def check_world(root, name):
    lists, unreadable = read_lists(root / "splits" / "synthetic")
    assert list(lists) == ["train", "val", "test"] and not unreadable
    return check(root, lists, name, ["val", "test"], frame_ids=(0, -1, 1, "s"))


def test_built_in_world_has_no_problems(world):
    for name in ("kitti", "kitti_depth"):
        result = check_world(world, name)
        assert result.passed and result.drives == 3 and result.depth_maps == 2


def test_truncated_improved_ground_truth_is_reported(world):
    (line,) = (world / "splits/synthetic/test_files.txt").read_text().splitlines()
    folder, frame, _ = line.split()
    path = world / folder / f"proj_depth/groundtruth/image_02/{int(frame):010d}.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        (finding,) = check_world(world, "kitti_depth").findings
    finally:
        path.write_bytes(whole)
    assert (finding.kind, finding.path, finding.line, finding.part) == ("depth_damaged", str(path), line, "test")


def test_swapped_cameras_of_one_drive_are_reported(world):
    drive = sorted(world.glob("*/*_sync"))[0]

    def swap():
        for new, old in (("aside", "image_02"), ("image_02", "image_03"), ("image_03", "aside")):
            os.rename(drive / old, drive / new)

    swap()
    try:
        (finding,) = check_world(world, "kitti").findings
    finally:
        swap()
    assert (finding.kind, finding.path) == ("stereo_swapped", str(drive / "image_02/data"))


def test_lists_of_all_parts_are_read(tmp_path):
    (tmp_path / "train_files.txt").write_text("a 1 l\n")
    (tmp_path / "test_files_10.txt").write_text("10 3 l\n")
    (tmp_path / "test_files.txt").write_text("image 0\n")
    lists, unreadable = read_lists(tmp_path)
    assert lists == {"train": [SplitLine("a", 1, "l")], "test_10": [SplitLine("10", 3, "l")]}
    assert [(finding.kind, finding.part) for finding in unreadable] == [("test_list_unreadable", "test")]
    (tmp_path / "val_files.txt").write_text("\n")
    assert [finding.kind for finding in read_lists(tmp_path)[1]] == ["list_unreadable", "test_list_unreadable"]


def test_folder_without_readable_lists_is_an_error(tmp_path):
    (tmp_path / "test_files.txt").write_text("image 0\n")
    with pytest.raises(DataError, match="got 'image 0'"):
        read_lists(tmp_path)
    (tmp_path / "test_files.txt").unlink()
    with pytest.raises(DataError, match="no lists found"):
        read_lists(tmp_path)
