import pytest

from common.errors import DataError
from tools.kitti.archives import calibration_archive, depth_archive, drive_archive, odometry_archives

DAY = "2011_09_26"
DRIVE = f"{DAY}/{DAY}_drive_0001_sync"


def test_drive_archive_skips_grey_cameras():
    archive = drive_archive(DRIVE)
    assert archive.path == f"raw_data/{DAY}_drive_0001/{DAY}_drive_0001_sync.zip"
    assert archive.name == f"{DAY}_drive_0001_sync.zip"
    wanted = [
        *("image_02/data/0000000000.png", "image_03/data/0000000107.png", "image_02/timestamps.txt"),
        *("velodyne_points/data/0000000000.bin", "velodyne_points/timestamps_start.txt"),
        *("oxts/data/0000000000.txt", "oxts/dataformat.txt"),
    ]
    assert [archive.target_of(f"{DRIVE}/{name}") for name in wanted] == [f"{DRIVE}/{name}" for name in wanted]
    others = ["image_00/data/0000000000.png", "image_01/timestamps.txt", "image_02/", "image_02/data/", "tracklets.xml"]
    assert not any(archive.target_of(f"{DRIVE}/{name}") for name in others)
    assert not archive.target_of(f"{DAY}/{DAY}_drive_0002_sync/image_02/data/0000000000.png")


def test_archives_of_calibration_improved_ground_truth_and_odometry():
    archive = calibration_archive(DRIVE)
    assert archive.path == f"raw_data/{DAY}_calib.zip"
    assert archive.target_of(f"{DAY}/calib_cam_to_cam.txt") == f"{DAY}/calib_cam_to_cam.txt"

    archive = depth_archive(frozenset({DRIVE}))
    assert archive.path == "data_depth_annotated.zip" and not archive.photos
    member = f"{DAY}_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png"
    assert archive.target_of(f"train/{member}") == archive.target_of(f"val/{member}") == f"{DAY}/{member}"
    assert archive.target_of(f"train/{member.replace('0001', '0002')}") is None

    color, calibration, poses = odometry_archives(frozenset({"09"}))
    assert [archive.path for archive in (color, calibration, poses)] == [
        f"data_odometry_{kind}.zip" for kind in ("color", "calib", "poses")
    ]
    assert color.photos and color.target_of("dataset/sequences/09/image_3/000001.png") == (
        "sequences/09/image_3/000001.png"
    )
    assert color.target_of("dataset/sequences/11/image_3/000001.png") is None
    assert calibration.target_of("dataset/sequences/09/calib.txt") == "sequences/09/calib.txt"
    assert poses.target_of("dataset/poses/09.txt") == "poses/09.txt"


@pytest.mark.parametrize("folder", ["2011_09_26", "2011_09_26/2011_09_28_drive_0001_sync", "image"])
def test_other_folders_are_rejected(folder):
    with pytest.raises(DataError, match="not a folder of KITTI"):
        drive_archive(folder)
