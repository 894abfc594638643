"""How strongly to corrupt an image: severity, size and random numbers; and smooth random fields."""

from dataclasses import dataclass

import cv2
import numpy as np

UNIT_PIXELS = 375 * 1242  # pixels of an image whose ``Strength.scale`` is 1: KITTI's


@dataclass(frozen=True)
class Strength:
    """Settings of one corruption of one image.

    Attributes:
        severity: 1 to 5.
        scale: Length in pixels of this image of one pixel of an image of KITTI's size.
        rng: Random numbers.
    """

    severity: int
    scale: float
    rng: np.random.Generator

    def choose(self, *values: float) -> float:
        """Return the value of the severity, of five."""
        return values[self.severity - 1]

    @property
    def pixels(self) -> float:
        """Pixels of an image of KITTI's size that one of this image stands for; 1 in larger images."""
        return max(1.0, self.scale**-2)


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cell: float) -> np.ndarray:
    """Draw a smooth random field: float32 (height, width), about in [-1, 1].

    Args:
        rng: Random numbers.
        size: (height, width).
        cell: Distance between independent values, pixels.
    """
    cell = max(1.0, cell)
    grid = tuple(int(np.ceil(length / cell)) + 1 for length in size)
    values = rng.uniform(-1, 1, grid).astype(np.float32)
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_CUBIC)


def plasma(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw clouds, octaves of smooth noise of falling weight: float32 (height, width), scaled to [0, 1]."""
    field = np.zeros(size, np.float32)
    cell, weight = max(size) / 3, 1.0
    while cell >= 2:
        field += np.float32(weight) * smooth_noise(rng, size, cell)
        cell, weight = cell / 2, weight * 0.55
    return (field - field.min()) / max(float(np.ptp(field)), 1e-6)
