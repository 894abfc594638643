"""Depth, rays and rigid transforms.

Conventions:

- Camera frame: x right, y down, z forward.
- Pixels: pixel i has its centre at coordinate i. Corners are aligned: ``normalise_pixels`` maps 0 to -1 and W - 1 to 1,
  and the sampler is called with ``align_corners=True``.
- Transforms: ``T_target_to_source`` maps points from the target camera frame to the source camera frame,
  X_source = T X_target.
"""

import paddle
import paddle.nn.functional as F
from paddle import Tensor

# Added to a divisor (depth in ``reproject``, angle in Rodrigues' formula), as in the published method.
DISTANCE_EPSILON = 1e-7


def disp_to_depth(disp: Tensor, min_depth: float, max_depth: float) -> tuple[Tensor, Tensor]:
    """Convert the network's sigmoid output to scaled disparity and depth (supplementary material, network section).

    Args:
        disp: any shape, in [0, 1]; 0 means ``max_depth``, 1 means ``min_depth``.
        min_depth, max_depth: scene units, both positive.

    Returns:
        ``scaled_disp`` in [1 / max_depth, 1 / min_depth] and ``depth`` = 1 / scaled_disp.
    """
    min_disp, max_disp = 1.0 / max_depth, 1.0 / min_depth
    scaled_disp = min_disp + (max_disp - min_disp) * disp
    return scaled_disp, 1.0 / scaled_disp


def rotation_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Convert axis-angle vectors to rotation matrices by Rodrigues' formula.

    Args:
        axis_angle: (B, 3), whose direction is the axis and whose norm is the angle in radians.

    Returns:
        (B, 3, 3).
    """
    angle = axis_angle.norm(p=2, axis=1, keepdim=True)  # (B, 1)
    axis = axis_angle / (angle + DISTANCE_EPSILON)
    x, y, z = axis.split(3, axis=1)  # each (B, 1)
    cos, sin = angle.cos(), angle.sin()
    versine = 1.0 - cos
    rows = [
        [x * x * versine + cos, x * y * versine - z * sin, z * x * versine + y * sin],
        [x * y * versine + z * sin, y * y * versine + cos, y * z * versine - x * sin],
        [z * x * versine - y * sin, y * z * versine + x * sin, z * z * versine + cos],
    ]
    return paddle.stack([paddle.concat(row, axis=1) for row in rows], axis=1)


def transformation_from_parameters(axis_angle: Tensor, translation: Tensor, invert: bool = False) -> Tensor:
    """Build the rigid transform that rotates by ``axis_angle``, then translates; or its inverse.

    Args:
        axis_angle: (B, 3), radians.
        translation: (B, 3), scene units.
        invert: return the inverse, the motion from the second frame to the first.

    Returns:
        (B, 4, 4).
    """
    rotation = rotation_from_axis_angle(axis_angle)
    translation = translation.unsqueeze(2)  # (B, 3, 1)
    if invert:
        rotation = rotation.transpose([0, 2, 1])
        translation = -paddle.matmul(rotation, translation)
    top = paddle.concat([rotation, translation], axis=2)  # (B, 3, 4)
    bottom = paddle.to_tensor([0.0, 0.0, 0.0, 1.0], dtype=top.dtype).expand([top.shape[0], 1, 4])
    return paddle.concat([top, bottom], axis=1)


def pixel_rays(inv_K: Tensor, height: int, width: int) -> Tensor:
    """Return the rays through all pixel centres, in the camera frame, at z = 1.

    Args:
        inv_K: (B, 4, 4), inverse intrinsics in pixels.

    Returns:
        (B, 3, height * width), row by row.
    """
    y, x = paddle.meshgrid(
        paddle.arange(height, dtype=inv_K.dtype), paddle.arange(width, dtype=inv_K.dtype)
    )  # each (height, width)
    pixels = paddle.stack([x.flatten(), y.flatten(), paddle.ones([height * width], dtype=inv_K.dtype)])
    return paddle.matmul(inv_K[:, :3, :3], pixels)


def project_rays(rays: Tensor, K: Tensor, T_target_to_source: Tensor) -> tuple[Tensor, Tensor]:
    """Project target rays into the source image, up to depth: a point is at ``depth * directions + offset``.

    A point at depth d on a target ray r projects to K (d R r + t) in homogeneous source pixels. K R r and K t do not
    depend on depth, so they are computed once for all scales.

    Args:
        rays: (B, 3, N), in the target camera frame.
        K: (B, 4, 4), intrinsics of the source in pixels.
        T_target_to_source: (B, 4, 4).

    Returns:
        ``directions`` (B, 3, N) and ``offset`` (B, 3, 1), homogeneous source pixels.
    """
    P = paddle.matmul(K[:, :3, :3], T_target_to_source[:, :3, :])  # (B, 3, 4)
    return paddle.matmul(P[:, :, :3], rays), P[:, :, 3:]


def project_plane_at_infinity(inv_K: Tensor, K: Tensor, T_target_to_source: Tensor) -> tuple[Tensor, Tensor]:
    """Project target pixels into the source image, up to depth: pixel p at depth d is at ``d * homography p + offset``.

    ``homography`` is that of the plane at infinity. ``project_rays`` does the same for rays.

    Args:
        inv_K: (B, 4, 4), inverse intrinsics of the target in pixels.
        K: (B, 4, 4), intrinsics of the source in pixels.
        T_target_to_source: (B, 4, 4).

    Returns:
        ``homography`` K R inv_K (B, 3, 3) and ``offset`` K t (B, 3, 1).
    """
    P = paddle.matmul(K[:, :3, :3], T_target_to_source[:, :3, :])  # (B, 3, 4)
    return paddle.matmul(P[:, :, :3], inv_K[:, :3, :3]), P[:, :, 3:]


def reproject(depth: Tensor, directions: Tensor, offset: Tensor) -> Tensor:
    """Project the target's pixels, at a given depth, into the source image (paper, eq. 2).

    Args:
        depth: (B, 1, H, W), scene units.
        directions, offset: from ``project_rays``, N = H * W.

    Returns:
        (B, H, W, 2), source pixels (x, y).
    """
    batch, _, height, width = depth.shape
    points = depth.reshape([batch, 1, height * width]) * directions + offset  # (B, 3, H * W)
    pixels = points[:, :2] / (points[:, 2:] + DISTANCE_EPSILON)
    return pixels.reshape([batch, 2, height, width]).transpose([0, 2, 3, 1])


def normalise_pixels(pixels: Tensor, height: int, width: int) -> Tensor:
    """Convert pixels (..., 2), as (x, y), to the sampler's coordinates in [-1, 1], corners aligned."""
    last_pixel = paddle.to_tensor([width - 1, height - 1], dtype=pixels.dtype)
    return pixels * (2.0 / last_pixel) - 1.0


def sample_image(image: Tensor, pixels: Tensor) -> Tensor:
    """Sample ``image`` bilinearly; pixels outside are clamped to the border. No gradient flows to the image.

    Args:
        image: (B, C, H, W).
        pixels: (B, h, w, 2), as (x, y).

    Returns:
        (B, C, h, w).
    """
    height, width = image.shape[2:]
    # Paddle's backward pass of the sampler crashes the process if the image has ``stop_gradient=True``.
    image = image.detach()
    image.stop_gradient = False
    grid = normalise_pixels(pixels, height, width)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
