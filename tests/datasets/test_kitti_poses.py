"""Poses from pose files and from GPS and IMU, compared with the exact poses of the synthetic world."""

import numpy as np
import pytest

from common.errors import DataError
from datasets.build import build_dataset
from datasets.kitti_poses import oxts_poses, read_poses, read_speed
from tools.synthetic.kitti_tree import write_calibration, write_poses
from tools.synthetic.render import PinholeCamera
from tools.synthetic.street import Street

DRIVE = "2000_01_01/2000_01_01_drive_0001_sync"


@pytest.fixture(scope="module")
def street() -> Street:
    return Street((0, 1), 60)


@pytest.fixture
def tree(street, tmp_path):
    """Create a day with one drive: calibration and poses, no images."""
    write_calibration(tmp_path / "2000_01_01", PinholeCamera.like_kitti(96, 320))
    write_poses(tmp_path / DRIVE, street)
    return tmp_path


def dataset(root, name="kitti"):
    return build_dataset(name, root, [], height=64, width=96, frame_ids=(0,), train=False)


def from_start(poses) -> np.ndarray:
    return np.linalg.inv(poses[0]) @ poses


def test_poses_from_file(tree, street):
    np.testing.assert_allclose(dataset(tree).poses(DRIVE), street.poses, atol=1e-9)


def test_poses_from_gps_and_imu(tree, street):
    (tree / DRIVE / "poses.txt").unlink()
    poses, truth = from_start(dataset(tree).poses(DRIVE)), from_start(street.poses)
    assert np.linalg.norm(truth[-1, :3, 3]) > 10
    # The files store latitude to 1e-8 degrees, about one millimetre.
    np.testing.assert_allclose(poses[:, :3, 3], truth[:, :3, 3], atol=5e-3)
    np.testing.assert_allclose(poses[:, :3, :3], truth[:, :3, :3], atol=1e-6)


def test_poses_from_gps_by_hand(tree):
    """At the equator, 0.001 degrees of longitude are 111.319 m to the east, which is the car's forward direction."""
    folder = tree / DRIVE / "oxts/data"
    for path in folder.iterdir():
        path.unlink()
    for frame in range(2):
        (folder / f"{frame:010d}.txt").write_text(" ".join(["0", str(0.001 * frame)] + ["0"] * 28))
    poses = from_start(oxts_poses(folder, tree / "2000_01_01", 2))
    np.testing.assert_allclose(poses[1, :3, 3], [0, 0, 111.319], atol=1e-3)


def test_odometry_poses(tmp_path):
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses/09.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n1 0 0 1 0 1 0 2 0 0 1 3\n\n")
    poses = dataset(tmp_path, "kitti_odom").poses("9")
    assert poses.shape == (2, 4, 4)
    np.testing.assert_array_equal(poses[1], [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])


def test_missing_poses_are_reported_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match=r"poses/11\.txt not found.*00 to 10.*prepare_kitti.*--no_eval"):
        dataset(tmp_path, "kitti_odom").poses("11")
    with pytest.raises(DataError, match=r"not found: .*poses\.txt.*oxts/data.*--no_eval"):
        dataset(tmp_path).poses(DRIVE)


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "empty"), ("1 0 0\n", "line 1: expected 12 numbers, got '1 0 0'"), ("a " * 12, "got 'a a")],
)
def test_damaged_pose_files_are_reported(tmp_path, content, words):
    (tmp_path / "p.txt").write_text(content)
    with pytest.raises(DataError, match=words):
        read_poses(tmp_path / "p.txt")
    with pytest.raises(DataError, match="not found"):
        read_poses(tmp_path / "none.txt")


def test_gap_in_the_gps_is_reported(tree):
    folder = tree / DRIVE / "oxts/data"
    (folder / f"{7:010d}.txt").unlink()
    with pytest.raises(DataError, match=r"59 files.* frame 7"):
        oxts_poses(folder, tree / "2000_01_01", 2)


def test_speed_is_the_ninth_number(tmp_path):
    path = tmp_path / "0000000000.txt"
    path.write_text("49.015 8.434 112.8 0.035 0.0019 1.30 -9.25 -4.5 10.29 -0.06 0.01 " + "0 " * 19 + "\n")
    assert read_speed(path) == 10.29


def test_speed_is_none_if_missing_or_malformed(tmp_path):
    assert read_speed(tmp_path / "absent.txt") is None
    for content in ("", "1 2 3", "a b c d e f g h i j"):
        (tmp_path / "oxts.txt").write_text(content)
        assert read_speed(tmp_path / "oxts.txt") is None
