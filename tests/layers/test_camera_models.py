"""Lens models against OpenCV, their inverses, and their use in view synthesis."""

import cv2
import numpy as np
import paddle
import pytest

from layers.camera_models import distort, undistort
from layers.view_synthesis import ViewSynthesis

BROWN = [-0.31, 0.12, 0.0012, -0.0008, -0.02, 0.01, 0.004, -0.001]
FISHEYE = [-0.03, 0.012, -0.006, 0.001]
LENSES = {
    "pinhole": [0.0] * 9,
    "brown": [0.0, *BROWN],
    "fisheye": [1.0, *FISHEYE, 0.0, 0.0, 0.0, 0.0],
}


def grid(reach: float) -> np.ndarray:
    """Return rays (N, 2), x and y at z = 1, including the optical axis."""
    x, y = np.meshgrid(np.linspace(-reach, reach, 31), np.linspace(-0.6 * reach, 0.6 * reach, 21))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def as_batch(rays: np.ndarray, dtype: str = "float64") -> paddle.Tensor:
    return paddle.to_tensor(np.tile(rays.T, (len(LENSES), 1, 1)), dtype=dtype)


def lenses(dtype: str = "float64") -> paddle.Tensor:
    return paddle.to_tensor(list(LENSES.values()), dtype=dtype)


def test_distort_agrees_with_opencv_for_a_batch_of_different_lenses():
    rays = grid(0.9)
    points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)[:, None]
    still = np.zeros(3)
    expected = [
        rays,
        cv2.projectPoints(points, still, still, np.eye(3), np.array(BROWN))[0][:, 0],
        cv2.fisheye.projectPoints(points, still, still, np.eye(3), np.array(FISHEYE))[0][:, 0],
    ]
    bent = distort(as_batch(rays), lenses()).numpy()
    np.testing.assert_allclose(bent.transpose(0, 2, 1), expected, atol=1e-12)


@pytest.mark.parametrize(("dtype", "pixels"), [("float64", 1e-9), ("float32", 1e-3)])
def test_undistort_inverts_distort(dtype, pixels):
    """Errors are in pixels of a camera with a width of 640 pixels and a horizontal FOV of 90 degrees."""
    rays = as_batch(grid(1.0), dtype)
    back = undistort(distort(rays, lenses(dtype)), lenses(dtype))
    assert float((back - rays).abs().max()) * 320 < pixels
    bent = as_batch(grid(0.6), dtype)
    again = distort(undistort(bent, lenses(dtype)), lenses(dtype))
    assert float((again - bent).abs().max()) * 320 < pixels


def test_the_ray_along_the_optical_axis_has_a_finite_gradient():
    rays = paddle.zeros([3, 2, 1])
    rays.stop_gradient = False
    distort(rays, lenses("float32")).sum().backward()
    np.testing.assert_allclose(rays.grad.numpy(), 1.0, rtol=1e-5)


@pytest.mark.parametrize("lens", ["brown", "fisheye"])
def test_warping_a_plane_through_a_lens_reproduces_the_target(lens):
    """Two cameras with the same lens, 0.25 apart, see a smoothly textured plane at depth 2."""
    height, width, depth, aside = 48, 96, 2.0, 0.25
    K = np.array([[60.0, 0, 47, 0], [0, 60.0, 24, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    y, x = np.mgrid[:height, :width].astype(float)
    bent = np.stack([(x - 47) / 60, (y - 24) / 60], axis=-1).reshape(-1, 1, 2)
    if lens == "brown":
        rays, still = bent, np.zeros(3)
        for _ in range(300):
            points = np.concatenate([rays, np.ones((len(rays), 1, 1))], axis=2)
            rays = rays + bent - cv2.projectPoints(points, still, still, np.eye(3), np.array(BROWN))[0]
    else:
        rays = cv2.fisheye.undistortPoints(bent, np.eye(3), np.array(FISHEYE))
    hit = depth * rays.reshape(height, width, 2)
    target, source = (
        (0.5 + 0.3 * np.sin(2 * (hit[..., 0] + offset)) * np.cos(3 * hit[..., 1])).astype("float32")
        for offset in (0.0, aside)
    )
    T = np.eye(4)
    T[0, 3] = -aside
    K, T, source = (paddle.to_tensor(v[None], dtype="float32") for v in (K, T, np.tile(source, (3, 1, 1))))
    plane = paddle.full([1, 1, height, width], depth)
    distortion = paddle.to_tensor([LENSES[lens]], dtype="float32")
    straight = ViewSynthesis({1: source}, K, paddle.linalg.inv(K), {1: T}).warp(1, plane)
    warped = ViewSynthesis({1: source}, K, paddle.linalg.inv(K), {1: T}, distortion).warp(1, plane)
    inside = np.s_[0, 0, 6:-6, 16:-16]
    assert np.abs(warped.numpy()[inside] - target[6:-6, 16:-16]).max() < 0.005
    assert np.abs(straight.numpy()[inside] - target[6:-6, 16:-16]).max() > 0.03
