"""Geometry, warping and error terms against numbers of the original implementation."""

import numpy as np
import paddle
import pytest

from layers.geometry import (
    disp_to_depth,
    normalise_pixels,
    pixel_rays,
    project_rays,
    reproject,
    sample_image,
    transformation_from_parameters,
)
from layers.photometric import TargetStatistics, photometric_error, ssim_error
from layers.smoothness import smoothness_loss
from layers.view_synthesis import ViewSynthesis


@pytest.fixture(scope="module")
def tensors(load_reference):
    arrays = load_reference("networks_geometry.npz")
    converted = {}
    for key, value in arrays.items():
        if key.startswith("image_"):
            value = value.transpose(0, 3, 1, 2).astype("float32") / 255
        converted[key] = paddle.to_tensor(value)
    return converted


@pytest.fixture(scope="module")
def K(tensors):
    return tensors["K"].unsqueeze(0).expand([tensors["depth"].shape[0], 4, 4])


@pytest.fixture(scope="module")
def transform(tensors):
    count = tensors["depth"].shape[0]
    axis_angle, translation = tensors["axisangle"][:count, 0], tensors["translation"][:count, 0]
    return transformation_from_parameters(axis_angle * 0.1, translation * 0.2)


def test_disp_to_depth(tensors):
    disp = paddle.linspace(0, 1, 11)
    scaled_disp, depth = disp_to_depth(disp, 0.1, 100.0)
    np.testing.assert_allclose(scaled_disp.numpy(), tensors["scaled_disp"].numpy(), rtol=1e-5)
    np.testing.assert_allclose(depth.numpy(), tensors["disp_to_depth"].numpy(), rtol=1e-5)


@pytest.mark.parametrize("invert", [False, True])
def test_transformation_from_parameters(tensors, invert):
    result = transformation_from_parameters(tensors["axisangle"][:, 0], tensors["translation"][:, 0], invert)
    np.testing.assert_allclose(result.numpy(), tensors[f"transform_invert{invert:d}"].numpy(), rtol=1e-4, atol=1e-6)


def test_projection_grid(tensors, K, transform):
    height, width = tensors["depth"].shape[2:]
    rays = pixel_rays(paddle.linalg.inv(K), height, width)
    pixels = reproject(tensors["depth"], *project_rays(rays, K, transform))
    grid = normalise_pixels(pixels, height, width)
    np.testing.assert_allclose(grid.numpy(), tensors["project_grid"].numpy(), rtol=1e-4, atol=1e-4)


def test_warped_image(tensors, K, transform):
    synthesis = ViewSynthesis({1: tensors["image_p1"]}, K, paddle.linalg.inv(K), {1: transform})
    warped = synthesis.warp(1, tensors["depth"])
    np.testing.assert_allclose(warped.numpy(), tensors["warped"].numpy(), atol=1e-4)


def test_ssim(tensors):
    error = ssim_error(tensors["warped"], TargetStatistics(tensors["image_0"]))
    np.testing.assert_allclose(error.numpy(), tensors["ssim"].numpy(), rtol=1e-4, atol=1e-4)


def test_smoothness(tensors):
    loss = smoothness_loss(1 / tensors["depth"], tensors["image_0"])
    assert loss.item() == pytest.approx(tensors["smooth"].item(), rel=1e-4)


def test_identity_motion_warps_a_frame_to_itself():
    image = paddle.rand([1, 3, 8, 12])
    K = paddle.to_tensor([[[7.0, 0, 6, 0], [0, 9, 4, 0], [0, 0, 1, 0], [0, 0, 0, 1]]])
    depth = 1 + paddle.rand([1, 1, 8, 12])
    synthesis = ViewSynthesis({1: image}, K, paddle.linalg.inv(K), {1: paddle.eye(4).unsqueeze(0)})
    np.testing.assert_allclose(synthesis.warp(1, depth).numpy(), image.numpy(), atol=1e-5)


def test_sideways_motion_shifts_by_the_disparity_in_pixels():
    """Baseline 0.1, focal length 60, depth 2: x moves by 60 * 0.1 / 2 = 3 pixels."""
    image = paddle.arange(20, dtype="float32").expand([1, 3, 4, 20]) / 20
    K = paddle.to_tensor([[[60.0, 0, 10, 0], [0, 60, 2, 0], [0, 0, 1, 0], [0, 0, 0, 1]]])
    T = paddle.eye(4)
    T[0, 3] = -0.1
    synthesis = ViewSynthesis({"s": image}, K, paddle.linalg.inv(K), {"s": T.unsqueeze(0)})
    warped = synthesis.warp("s", paddle.full([1, 1, 4, 20], 2.0))
    np.testing.assert_allclose(warped[0, 0, 0, 3:].numpy(), np.arange(17) / 20, atol=1e-5)
    np.testing.assert_allclose(warped[0, 0, 0, :3].numpy(), 0, atol=1e-5)  # outside: clamped to the border pixel


def test_sampling_an_image_without_gradient_has_a_gradient_for_the_pixels():
    image = paddle.rand([1, 3, 4, 4])
    assert image.stop_gradient
    pixels = paddle.full([1, 4, 4, 2], 1.25)
    pixels.stop_gradient = False
    sample_image(image, pixels).sum().backward()
    slope = (image[0, :, 1, 2] - image[0, :, 1, 1]) * 0.75 + (image[0, :, 2, 2] - image[0, :, 2, 1]) * 0.25
    np.testing.assert_allclose(pixels.grad[0, 0, 0, 0].item(), slope.sum().item(), rtol=1e-4)
    assert image.stop_gradient


def test_equal_images_have_no_error():
    image = paddle.rand([2, 3, 6, 8])
    np.testing.assert_allclose(photometric_error(image, TargetStatistics(image)).numpy(), 0, atol=1e-6)


def test_constant_images_by_hand():
    """Black against white: SSIM = C1 C2 / ((1 + C1) C2) is close to 0, and the error is 0.85 * 0.49995 + 0.15."""
    black, white = paddle.zeros([1, 3, 5, 5]), paddle.ones([1, 3, 5, 5])
    error = photometric_error(black, TargetStatistics(white))
    np.testing.assert_allclose(error.numpy(), 0.85 * (1 - 1e-4 / 1.0001) / 2 + 0.15, rtol=1e-5)
    np.testing.assert_allclose(photometric_error(black, TargetStatistics(white), use_ssim=False).numpy(), 1.0)
