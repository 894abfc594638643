"""Point-cloud encoding, compared with points computed by hand."""

import base64

import numpy as np

from tools.reporting.point_cloud_viewer import MAX_POINTS, encode_cloud, encode_dense_cloud

K = np.array([[10.0, 0, 1], [0, 10.0, 0], [0, 0, 1]])


def decode(cloud):
    positions = np.frombuffer(base64.b64decode(cloud["positions"]), "<i2").reshape(-1, 3) * cloud["unit"]
    return positions, np.frombuffer(base64.b64decode(cloud["colours"]), np.uint8).reshape(-1, 3)


def test_pixels_are_back_projected_to_x_right_y_down_z_forward():
    depth = np.array([[0.0, 5.0, 4.0], [0.0, 0.0, 90.0], [2.0, 0.0, 0.0]])
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    positions, colours = decode(encode_cloud(depth, image, K, far=80))
    # Columns 1, 2 and 0 are 0, 1 and -1 pixels from the principal point, row 2 is two below it. 90 m exceeds far.
    expected = [[0, 0, 5], [0.4, 0, 4], [-0.2, 0.4, 2]]
    np.testing.assert_allclose(positions, expected, atol=1e-3)
    np.testing.assert_array_equal(colours, [image[0, 1], image[0, 2], image[2, 0]])


def test_points_above_the_limit_are_subsampled_deterministically():
    depth, image = np.ones((250, 500)), np.zeros((250, 500, 3), np.uint8)
    cloud = encode_cloud(depth, image, K, far=80)
    assert cloud["count"] == len(decode(cloud)[0]) == MAX_POINTS
    assert cloud == encode_cloud(depth, image, K, far=80)


def test_unknown_depth_gives_an_empty_cloud():
    assert encode_cloud(np.zeros((2, 2)), np.zeros((2, 2, 3), np.uint8), K, far=80)["count"] == 0


def test_dense_cloud_omits_pixels_between_objects():
    depth = np.full((9, 9), 10.0, np.float32)
    depth[:, 4], depth[:, 5:] = 15, 20  # 10 and 20 m, and a column between them
    image = np.zeros((9, 9, 3), np.uint8)
    positions, _ = decode(encode_dense_cloud(depth, image, K, far=80))
    np.testing.assert_allclose(sorted(set(positions[:, 2].round(1))), [10, 20])
    assert len(positions) == 9 * 6  # without columns 3 to 5
    slope = np.tile(10 * 1.05 ** np.arange(9, dtype=np.float32), (9, 1))
    assert encode_dense_cloud(slope, image, K, far=80)["count"] == 81


def test_large_dense_cloud_is_reduced_evenly():
    depth = np.full((400, 1000), 4.0, np.float32)
    image = np.zeros((400, 1000, 3), np.uint8)
    image[:, 500:] = 200
    focal = np.array([[500.0, 0, 499.5], [0, 500.0, 199.5], [0, 0, 1]])
    cloud = encode_dense_cloud(depth, image, focal, far=80)
    positions, colours = decode(cloud)
    assert cloud["count"] == 200 * 500 and cloud["dense"]
    np.testing.assert_allclose(np.diff(positions[:500, 0]), 0.016, atol=3e-4)  # 4 m / 250 pixels
    np.testing.assert_array_equal(colours[:, 0] == 200, positions[:, 0] > 0)
