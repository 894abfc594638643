"""Point-cloud encoding, compared with points computed by hand."""

import base64

import numpy as np

from tools.reporting.point_cloud_viewer import MAX_POINTS, encode_cloud

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
