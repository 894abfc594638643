"""KITTI's calibration files and lidar projection, computed by hand."""

import numpy as np
import pytest

from common.errors import DataError
from datasets.kitti_calibration import (
    lidar_to_depth,
    odometry_intrinsics,
    read_calibration_file,
    rectified_intrinsics,
)

DATE = "2011_01_01"


def _depth(tree, points, forward_axis):
    path = tree / "scan.bin"
    np.array(points, dtype=np.float32).tofile(path)
    return lidar_to_depth(path, tree / DATE, 2, forward_axis)


def test_entries_are_numbers_or_text(tree):
    entries = read_calibration_file(tree / DATE / "calib_cam_to_cam.txt")
    assert entries["calib_time"] == "09-Jan-2012 13:57:47"
    np.testing.assert_array_equal(entries["S_rect_02"], [128, 64])


def test_intrinsics_of_raw_and_odometry(tree):
    expected = [[100, 0, 60], [0, 90, 30], [0, 0, 1]]
    K, size = rectified_intrinsics(tree / DATE, 3)
    np.testing.assert_array_equal(K, expected)
    assert size == (64, 128)
    (tree / "calib.txt").write_text("P2: 1 0 2 5 0 3 4 0 0 0 1 0\nP3: 100 0 60 -45 0 90 30 0 0 0 1 0\n")
    np.testing.assert_array_equal(odometry_intrinsics(tree, 3), expected)
    np.testing.assert_array_equal(odometry_intrinsics(tree, 2), [[1, 0, 2], [0, 3, 4], [0, 0, 1]])


def test_projected_point_by_hand(tree):
    # The camera is 1 m ahead: x = 1, y = -0.5, z = 10, so u = 100 * 0.1 + 60 = 70 and
    # v = 90 * -0.05 + 30 = 25.5, which rounds to the even 26; minus one each.
    for forward_axis, value in (("legacy", 11), ("camera", 10)):
        depth = _depth(tree, [[11, -1, 0.5, 0.7]], forward_axis)
        assert depth.dtype == np.float32 and depth.shape == (64, 128)
        assert np.argwhere(depth).tolist() == [[25, 69]]
        assert depth[25, 69] == value


def test_nearest_point_of_a_pixel_is_kept(tree):
    near, far = [11, -1, 0.5, 0], [21, -2, 1, 0]
    for points in ([near, far], [far, near]):
        assert _depth(tree, points, "camera")[25, 69] == 10


def test_row_ends_are_not_confused(tree):
    # z = 10: u = 128 and v = 30 give pixel (29, 127); u = 1 and v = 31 give (30, 0).
    depth = _depth(tree, [[11, -6.8, 0, 0], [11, 5.9, -1 / 9, 0]], "camera")
    assert np.argwhere(depth).tolist() == [[29, 127], [30, 0]]


def test_points_behind_or_outside_are_dropped(tree):
    behind_lidar, behind_camera = [-5, 0, 0, 0], [0.5, 0, 0, 0]
    left_of_first_column = [11, 6, 0, 0]  # u = 0 is column -1
    right_of_last_column = [11, -6.9, 0, 0]  # u = 129 is column 128
    points = [behind_lidar, behind_camera, left_of_first_column, right_of_last_column]
    assert not _depth(tree, points, "legacy").any()


def test_invalid_files_are_reported(tree):
    with pytest.raises(DataError, match=r"calib_cam_to_cam\.txt not found"):
        rectified_intrinsics(tree, 2)
    with pytest.raises(DataError, match="P_rect_07"):
        rectified_intrinsics(tree / DATE, 7)
    with pytest.raises(DataError, match=r"scan\.bin is empty or truncated"):
        _depth(tree, [], "legacy")
    with pytest.raises(DataError, match="12 bytes"):
        _depth(tree, [[1, 2, 3]], "legacy")
    with pytest.raises(DataError, match=r"none\.bin not found"):
        lidar_to_depth(tree / "none.bin", tree / DATE, 2, "legacy")
    with pytest.raises(DataError, match=r"Lidar scan .* cannot be read \(Is a directory\)"):
        lidar_to_depth(tree, tree / DATE, 2, "legacy")
    with pytest.raises(DataError, match=r"Calibration file .* cannot be read \(Is a directory\)"):
        read_calibration_file(tree)
    with pytest.raises(ValueError, match="forward_axis"):
        _depth(tree, [[1, 2, 3, 4]], "sideways")


def test_ground_truth_matches_the_reference(kitti_sample, load_reference):
    reference = load_reference("evaluation.npz")
    compared = 0
    for frame in reference.get("frames", []):
        scan = next(kitti_sample.glob(f"*/*/velodyne_points/data/{frame:010d}.bin"), None)
        if scan is None or f"gt_{frame}_points" not in reference:
            continue
        depths = {axis: lidar_to_depth(scan, scan.parents[3], 2, axis) for axis in ("camera", "legacy")}
        rows, columns = reference[f"gt_{frame}_points"][:, :2].astype(int).T
        for position, (axis, depth) in enumerate(depths.items(), start=2):
            assert (depth > 0).sum() == reference[f"gt_{frame}_count"]
            total = depth.sum(dtype=np.float64)
            np.testing.assert_allclose(total, reference[f"gt_{frame}_{axis}_sum"], rtol=1e-6)
            expected = reference[f"gt_{frame}_points"][:, position]
            np.testing.assert_allclose(depth[rows, columns], expected, rtol=1e-6)
        compared += 1
    if not compared:
        pytest.skip("no lidar scan of this sample is in the reference")
