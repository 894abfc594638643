"""Lens distortion: from rays of a pinhole camera to rays of a distorted image, and back.

A batch's ``distortion`` is (B, 9): the model (0 for Brown, 1 for fisheye), then eight coefficients in OpenCV's order.
All zeros is a pinhole camera. Samples of one batch may use different models.

- Brown: k1, k2, p1, p2, k3, k4, k5, k6; radial term rational (Brown, "Decentering Distortion of Lenses", 1966).
- Fisheye: k1 to k4, then four zeros (Kannala and Brandt, "A Generic Camera Model and Calibration Method", PAMI 2006).

Both models act on normalised coordinates (x, y) at z = 1, which makes the coefficients independent of the image size.
"""

import math

import paddle
from paddle import Tensor

BROWN, FISHEYE = 0, 1
COEFFICIENTS = 8
STEPS = 12  # of Newton's method; each doubles the number of correct digits
SMALLEST_RADIUS = 1e-8
WIDEST_ANGLE = math.radians(85)  # from the optical axis; at 90 degrees a ray cannot be scaled to z = 1


def distort(rays: Tensor, distortion: Tensor) -> Tensor:
    """Distort rays of a pinhole camera.

    Args:
        rays: (B, 2, N), x and y at z = 1.
        distortion: (B, 9).

    Returns:
        (B, 2, N), x and y at z = 1; K maps them to pixels.
    """
    is_fisheye, coefficients = _split(distortion)
    brown, _ = _brown(rays, coefficients)
    return paddle.where(is_fisheye, _fisheye(rays, coefficients), brown)


@paddle.no_grad()
def undistort(rays: Tensor, distortion: Tensor) -> Tensor:
    """Invert ``distort`` to machine precision, where the model is invertible; without gradient.

    Args:
        rays: (B, 2, N), x and y at z = 1. Fisheye rays more than 85 degrees off the axis are clamped to 85 degrees.
        distortion: (B, 9).

    Returns:
        (B, 2, N), x and y at z = 1.
    """
    is_fisheye, coefficients = _split(distortion)
    return paddle.where(is_fisheye, _undo_fisheye(rays, coefficients), _undo_brown(rays, coefficients))


def undistort_rays(rays: Tensor, distortion: Tensor) -> Tensor:
    """Undistort the rays (B, 3, N) at z = 1 that ``pixel_rays`` returns for distorted pixels."""
    return paddle.concat([undistort(rays[:, :2], distortion), rays[:, 2:]], axis=1)


def distort_pixels(pixels: Tensor, K: Tensor, distortion: Tensor) -> Tensor:
    """Map pixels (B, H, W, 2) of a pinhole camera with intrinsics K (B, 4, 4) to distorted pixels (B, H, W, 2)."""
    batch, height, width, _ = pixels.shape
    focal = paddle.stack([K[:, 0, 0], K[:, 1, 1]], axis=1).unsqueeze(2)  # (B, 2, 1)
    centre = K[:, :2, 2:3]
    rays = (pixels.reshape([batch, height * width, 2]).transpose([0, 2, 1]) - centre) / focal
    distorted = distort(rays, distortion) * focal + centre
    return distorted.transpose([0, 2, 1]).reshape([batch, height, width, 2])


def _split(distortion: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return whether each sample is a fisheye, (B, 1, 1), and its coefficients, each (B, 1, 1)."""
    columns = distortion.unsqueeze(2).split(1 + COEFFICIENTS, axis=1)
    return columns[0] > 0.5, columns[1:]


def _brown(rays: Tensor, coefficients: list[Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Return the distorted rays (B, 2, N), and the derivatives dx/dx, dx/dy = dy/dx and dy/dy, each (B, 1, N)."""
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
    """Solve for x and y by Newton's method."""
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
    """Solve for the angle from the optical axis by Newton's method."""
    k1, k2, k3, k4 = coefficients[:4]
    radius = _radius(distorted)
    angle = radius
    for _ in range(STEPS):
        a2 = angle * angle
        slope = 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))
        angle = (angle - (_bent(angle, coefficients) - radius) / slope).clip(0.0, WIDEST_ANGLE)
    return distorted * (paddle.tan(angle) / radius)


def _bent(angle: Tensor, coefficients: list[Tensor]) -> Tensor:
    """Map a ray's angle from the optical axis (radians) to its distance from the principal point (focal lengths)."""
    k1, k2, k3, k4 = coefficients[:4]
    a2 = angle * angle
    return angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))


def _radius(rays: Tensor) -> Tensor:
    """Return the norm of (x, y), (B, 1, N); never 0, so that the ray along the axis has a finite gradient."""
    return (rays * rays).sum(axis=1, keepdim=True).clip(min=SMALLEST_RADIUS**2).sqrt()
