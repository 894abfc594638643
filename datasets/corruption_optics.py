"""Corruptions of a camera's lens and motion; called by ``datasets.corruptions.corrupt``. Lengths: KITTI's pixels."""

import cv2
import numpy as np

from datasets.corruption_strength import Strength, smooth_noise


def defocus_blur(image: np.ndarray, how: Strength) -> np.ndarray:
    """Blur with the disk of a lens out of focus."""
    radius = how.choose(4, 7, 11, 16, 23) * how.scale
    reach = int(np.ceil(radius))
    across = np.arange(-reach, reach + 1)
    distance = np.hypot(across, across[:, None])
    return _filtered(image, (radius + 0.5 - distance).clip(0, 1))


def motion_blur(image: np.ndarray, how: Strength) -> np.ndarray:
    """Blur along a straight line, at most 45 degrees from the horizontal."""
    length = how.choose(12, 22, 36, 56, 84) * how.scale
    angle = how.rng.uniform(-np.pi / 4, np.pi / 4)
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for place in np.linspace(-length / 2, length / 2, int(4 * length) + 2):
        x, y = reach + place * np.cos(angle), reach + place * np.sin(angle)
        left, top = int(x), int(y)
        right, down = x - left, y - top
        kernel[top : top + 2, left : left + 2] += np.outer([1 - down, down], [1 - right, right])
    return _filtered(image, kernel)


def zoom_blur(image: np.ndarray, how: Strength) -> np.ndarray:
    """Average 32 magnifications about the centre of the image, from 1 to the strength."""
    zoom = how.choose(1.03, 1.06, 1.1, 1.15, 1.22)
    height, width = image.shape[:2]
    for halvings in range(1, 6):  # each step doubles the magnifications in the average
        factor = zoom ** (0.5**halvings)
        shift = [(1 - factor) * (width - 1) / 2, (1 - factor) * (height - 1) / 2]
        transform = np.array([[factor, 0, shift[0]], [0, factor, shift[1]]])
        larger = cv2.warpAffine(image, transform, (width, height), flags=cv2.INTER_LINEAR)
        image = (image + larger) / 2
    return image


def glass_blur(image: np.ndarray, how: Strength) -> np.ndarray:
    """Look through patterned glass: small grains that each show another place nearby."""
    reach, grain = how.choose(5, 8, 12, 18, 26) * how.scale, 2.5 * how.scale
    return _moved(image, how.rng, reach, grain)


def elastic_transform(image: np.ndarray, how: Strength) -> np.ndarray:
    """Bend the image smoothly, as water does. The ground truth is not bent."""
    return _moved(image, how.rng, how.choose(6, 11, 17, 24, 33) * how.scale, 70 * how.scale)


def _moved(image: np.ndarray, rng: np.random.Generator, reach: float, cell: float) -> np.ndarray:
    """Show at each pixel another one, at most about ``reach`` pixels away, by a field of this cell size."""
    size = image.shape[:2]
    x, y = (np.float32(reach) * smooth_noise(rng, size, cell) for _ in range(2))
    x += np.arange(size[1], dtype=np.float32)
    y += np.arange(size[0], dtype=np.float32)[:, None]
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
