"""Lenses: where a ray of the pinhole camera falls in a distorted image, and the ray of a distorted pixel.

A batch's ``distortion`` is (B, 9): the model, 0 for Brown's and 1 for the fisheye's, and its eight coefficients in
OpenCV's order. Brown's are k1, k2, p1, p2, k3, k4, k5, k6 (Brown, "Decentering Distortion of Lenses", 1966, with the
rational radial term), the fisheye's k1 to k4 and zeros (Kannala and Brandt, "A Generic Camera Model and Calibration
Method", PAMI 2006). Zeros are a pinhole camera. Both act on (x, y) where a ray has z = 1, so that the coefficients hold
at every image size. Samples of one batch may have different models.
"""

import math

import paddle
from paddle import Tensor

BROWN, FISHEYE = 0, 1
COEFFICIENTS = 8
STEPS = 12  # of Newton's method, which doubles the digits with each
SMALLEST_RADIUS = 1e-8
WIDEST_ANGLE = math.radians(85)  # from the axis: beyond it there is hardly a ray with z = 1


def distort(rays: Tensor, distortion: Tensor) -> Tensor:
    """Rays of the pinhole camera as the lens bends them.

    Args:
        rays: (B, 2, N), x and y at z = 1.
        distortion: (B, 9).

    Returns:
        (B, 2, N), x and y at z = 1; K makes pixels of them.
    """
    is_fisheye, coefficients = _split(distortion)
    brown, _ = _brown(rays, coefficients)
    return paddle.where(is_fisheye, _fisheye(rays, coefficients), brown)


@paddle.no_grad()
def undistort(rays: Tensor, distortion: Tensor) -> Tensor:
    """The inverse of `distort`, where the lens has one: to the precision of the numbers; without gradient.

    Shapes as there. What the fisheye sees beyond 85 degrees from its axis counts as being there.
    """
    is_fisheye, coefficients = _split(distortion)
    return paddle.where(is_fisheye, _undo_fisheye(rays, coefficients), _undo_brown(rays, coefficients))


def undistort_rays(rays: Tensor, distortion: Tensor) -> Tensor:
    """Rays (B, 3, N) of distorted pixels, z = 1, as `pixel_rays` gives them, as they were before the lens."""
    return paddle.concat([undistort(rays[:, :2], distortion), rays[:, 2:]], axis=1)


def distort_pixels(pixels: Tensor, K: Tensor, distortion: Tensor) -> Tensor:
    """Where the lens puts pixels (B, H, W, 2) of the pinhole camera with intrinsics K (B, 4, 4): the same shape."""
    batch, height, width, _ = pixels.shape
    focal = paddle.stack([K[:, 0, 0], K[:, 1, 1]], axis=1).unsqueeze(2)  # (B, 2, 1)
    centre = K[:, :2, 2:3]
    rays = (pixels.reshape([batch, height * width, 2]).transpose([0, 2, 1]) - centre) / focal
    distorted = distort(rays, distortion) * focal + centre
    return distorted.transpose([0, 2, 1]).reshape([batch, height, width, 2])


def _split(distortion: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Whether each sample is a fisheye's (B, 1, 1), and its coefficients, each (B, 1, 1)."""
    columns = distortion.unsqueeze(2).split(1 + COEFFICIENTS, axis=1)
    return columns[0] > 0.5, columns[1:]


def _brown(rays: Tensor, coefficients: list[Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """The distorted rays, and the derivatives dx/dx, dx/dy = dy/dx and dy/dy, each (B, 1, N)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    x, y = rays.split(2, axis=1)
    r2 = x * x + y * y
    above, below = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    slope = (k1 + r2 * (2 * k2 + 3 * r2 * k3) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / below  # d radial / d r2
    distorted = paddle.concat(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=1,
    )
    derivatives = (
        radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x,
        2 * x * y * slope + 2 * p1 * x + 2 * p2 * y,
        radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x,
    )
    return distorted, derivatives


def _undo_brown(distorted: Tensor, coefficients: list[Tensor]) -> Tensor:
    """Newton's method in x and y."""
    rays = distorted
    for _ in range(STEPS):
        there, (a, b, d) = _brown(rays, coefficients)
        x, y = (distorted - there).split(2, axis=1)
        determinant = a * d - b * b
        rays = rays + paddle.concat([d * x - b * y, a * y - b * x], axis=1) / determinant
    return rays


def _fisheye(rays: Tensor, coefficients: list[Tensor]) -> Tensor:
    radius = _radius(rays)
    return rays * (_bent(paddle.atan(radius), coefficients) / radius)


def _undo_fisheye(distorted: Tensor, coefficients: list[Tensor]) -> Tensor:
    """Newton's method in the angle from the axis."""
    k1, k2, k3, k4 = coefficients[:4]
    radius = _radius(distorted)
    angle = radius
    for _ in range(STEPS):
        a2 = angle * angle
        slope = 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))
        angle = (angle - (_bent(angle, coefficients) - radius) / slope).clip(0.0, WIDEST_ANGLE)
    return distorted * (paddle.tan(angle) / radius)


def _bent(angle: Tensor, coefficients: list[Tensor]) -> Tensor:
    """Distance from the centre, of the focal length, of a ray at this angle from the axis."""
    k1, k2, k3, k4 = coefficients[:4]
    a2 = angle * angle
    return angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))


def _radius(rays: Tensor) -> Tensor:
    """(B, 1, N), never 0: the ray along the axis stays where it is, and has a gradient."""
    return (rays * rays).sum(axis=1, keepdim=True).clip(min=SMALLEST_RADIUS**2).sqrt()
