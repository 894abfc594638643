"""The ground, found where it is known."""

import numpy as np
import pytest

from evaluation.ground import heights_above_ground


@pytest.fixture
def street():
    """Points of a sloping road, of a wall beside it that has three times as many, and of a car's roof."""
    random = np.random.default_rng(1)
    x, z = random.uniform(-6, 6, 1000), random.uniform(4, 60, 1000)
    road = np.stack([x, 1.5 + 0.03 * x - 0.05 * z + random.normal(0, 0.01, 1000), z], axis=1)
    wall = np.stack([np.full(3000, 6.0), random.uniform(-4, 1, 3000), random.uniform(4, 60, 3000)], axis=1)
    roof = np.stack([random.uniform(-4, -2, 300), np.full(300, -0.2), random.uniform(8, 12, 300)], axis=1)
    return road, wall, roof


def test_the_road_is_the_plane_whatever_stands_beside_it(street):
    _, wall, roof = street
    heights = heights_above_ground(np.concatenate(street))
    np.testing.assert_allclose(heights[:1000], 0, atol=0.1)
    along = 1.5 + 0.03 * 6.0 - 0.05 * wall[:, 2]
    np.testing.assert_allclose(heights[1000:4000], along - wall[:, 1], atol=0.05)
    # 1.7 m above the camera's feet, less what the road falls to the left and rises ahead.
    np.testing.assert_allclose(heights[4000:], 1.7 + 0.03 * roof[:, 0] - 0.05 * roof[:, 2], atol=0.05)


def test_the_same_points_give_the_same_heights(street):
    points = np.concatenate(street)
    np.testing.assert_array_equal(heights_above_ground(points), heights_above_ground(points.copy()))


def test_walls_and_few_points_are_no_ground(street):
    assert heights_above_ground(street[1]) is None
    assert heights_above_ground(street[0][:2]) is None
    assert heights_above_ground(street[0] + [0, 0, 60]) is None  # too far away


def test_the_car_s_camera_is_where_kitti_says(kitti_sample):
    """1.65 m above the road: KITTI's own figure (Geiger et al., 2013, figure 3)."""
    from datasets.kitti_calibration import lidar_to_depth, rectified_intrinsics
    from evaluation.point_cloud import back_project

    day = kitti_sample / "2011_09_26"
    for scan in sorted(day.glob("*/velodyne_points/data/*.bin"))[::14]:
        depth = lidar_to_depth(scan, day, camera=2, forward_axis="camera")
        rows, columns = np.nonzero(depth)
        points = back_project(depth[rows, columns], rows, columns, rectified_intrinsics(day, 2)[0])
        camera = heights_above_ground(np.concatenate([points, np.zeros((1, 3))]))[-1]
        assert camera == pytest.approx(1.65, abs=0.2)
