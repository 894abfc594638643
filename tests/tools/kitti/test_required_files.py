import pytest

from common.errors import DataError
from datasets.splits import PUBLISHED_SPLITS
from tools.kitti.archives import SERVER
from tools.kitti.required_files import required_files

DAY = "2011_09_26"
DRIVE = f"{DAY}/{DAY}_drive_0001_sync"


def _by_name(required):
    return {archive.name: needed for archive, needed in required.items()}


def test_training_requires_neighbours_and_pair_and_validation_also_lidar(tmp_path, kit):
    split = kit.write_split(tmp_path / "mine", train=[f"{DRIVE} 5 l"], val=[f"{DRIVE} 20 r"])
    required = _by_name(required_files(split, ".jpg"))
    images = {f"image_02/data/{n:010d}.jpg" for n in (4, 5, 6, 20)} | {
        f"image_03/data/{n:010d}.jpg" for n in (5, 19, 20, 21)
    }
    assert required[f"{DAY}_drive_0001_sync.zip"].files == {f"{DRIVE}/{name}" for name in images}
    assert required[f"{DAY}_drive_0001_sync.zip"].scans == {f"{DRIVE}/velodyne_points/data/0000000020.bin"}
    assert required[f"{DAY}_calib.zip"].files == {f"{DAY}/calib_cam_to_cam.txt", f"{DAY}/calib_velo_to_cam.txt"}
    assert len(required) == 2


def test_test_line_requires_its_image_and_ground_truth(tmp_path, kit):
    split = kit.write_split(tmp_path / "mine", test=[f"{DRIVE} 5 r"])
    required = _by_name(required_files(split, ".png", improved=True))
    assert required[f"{DAY}_drive_0001_sync.zip"].files == {f"{DRIVE}/image_03/data/0000000005.png"}
    assert required[f"{DAY}_drive_0001_sync.zip"].scans == {f"{DRIVE}/velodyne_points/data/0000000005.bin"}
    depth = required["data_depth_annotated.zip"]
    assert depth.scans == {f"{DRIVE}/proj_depth/groundtruth/image_03/0000000005.png"}


def test_odometry(tmp_path, kit):
    split = kit.write_split(tmp_path / "odom", train=["8 5 r"], test=[])
    (split / "test_files.txt").rename(split / "test_files_09.txt")
    (split / "test_files_09.txt").write_text("9 0 l\n")
    required = _by_name(required_files(split, ".jpg"))
    assert required["data_odometry_color.zip"].files == {
        *(f"sequences/08/image_3/{n:06d}.jpg" for n in (4, 5, 6)),
        "sequences/08/image_2/000005.jpg",
        *(f"sequences/09/image_2/{n:06d}.jpg" for n in (0, 1)),
    }
    assert required["data_odometry_calib.zip"].files == {"sequences/08/calib.txt", "sequences/09/calib.txt"}
    assert required["data_odometry_poses.zip"].files == {"poses/08.txt", "poses/09.txt"}


@pytest.fixture(scope="module")
def published(shared_splits):
    """Required files of each published split."""
    return {name: required_files(shared_splits / name, ".jpg") for name in PUBLISHED_SPLITS}


def test_drives_and_images_of_the_published_splits(published):
    """Compare with numbers computed from the lists independently."""
    drives = {"eigen_zhou": 32, "eigen_full": 33, "eigen": 28, "eigen_benchmark": 28, "benchmark": 60}
    for name, count in drives.items():
        required = _by_name(published[name])
        assert sum("_drive_" in archive for archive in required) == count
        assert ("data_depth_annotated.zip" in required) == (name == "eigen_benchmark")
    assert sum(len(needed.scans) for needed in published["eigen"].values()) == 697
    # Complete drives, both cameras, no neighbour after the last frame.
    assert len(_by_name(published["eigen_full"])["2011_09_26_drive_0001_sync.zip"].files) == 2 * 108
    assert {part for archive in published["odom"] for part in archive.parts} == {f"{n:02d}" for n in range(11)}


def test_published_splits_require_the_66_known_archives(published, shared_splits):
    """Compare all raw splits together with the address list published with the splits."""
    known = (shared_splits / "kitti_archives_to_download.txt").read_text().split()
    raw = {archive.path for name, required in published.items() if name != "odom" for archive in required}
    raw -= {"data_depth_annotated.zip", "data_depth_selection.zip"}
    assert sorted(f"{SERVER}/{path}" for path in raw) == sorted(known) and len(known) == 66


def test_split_without_kitti_images_is_rejected(tmp_path, kit):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no lists"):
        required_files(tmp_path / "empty", ".jpg")
    with pytest.raises(DataError, match="not a folder of KITTI"):
        required_files(kit.write_split(tmp_path / "mixed", train=[f"{DRIVE} 5 l", "9 5 l"]), ".jpg")
