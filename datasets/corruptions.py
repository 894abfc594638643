"""Corruptions of images: 18 of weather, light, lens, motion, sensor and file, each at five severities.

The kinds are those of KITTI-C (Kong et al., RoboDepth, NeurIPS 2023) and ImageNet-C (Hendrycks and Dietterich, ICLR
2019). Implementation and strengths are this project's own, so scores are not comparable with published ones. Lengths
and noise are relative to the size of the image (``corruption_strength.Strength``).
"""

import zlib
from dataclasses import dataclass

import numpy as np

from common.registry import CORRUPTIONS, load
from datasets.corruption_strength import UNIT_PIXELS, Strength

SEVERITIES = (1, 2, 3, 4, 5)
# --corrupt_training: cheap at network size, and pixels stay in place: the pose network sees the true motion.
TRAINING_CORRUPTIONS = (
    *("brightness", "dark", "fog", "contrast", "defocus_blur", "motion_blur"),
    *("color_quant", "gaussian_noise", "impulse_noise", "iso_noise", "pixelate"),
)
TRAINING_SEVERITIES = (1, 2, 3)


def corrupt(image: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    """Corrupt an image. The same arguments give the same image.

    Args:
        image: uint8 (H, W, 3), RGB.
        name: A name in ``CORRUPTIONS``.
        severity: 1 to 5. All severities of a seed share their random numbers where possible: the same clouds, thicker.
        seed: Not negative.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: The image, name or severity is not allowed.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"Got an image of {image.dtype} {image.shape}; expected uint8 (height, width, 3), RGB.")
    if name not in CORRUPTIONS or severity not in SEVERITIES:
        raise ValueError(f"Got {name} of severity {severity}; expected 1 to 5 of {', '.join(CORRUPTIONS)}.")
    height, width = image.shape[:2]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    how = Strength(severity, float(np.sqrt(height * width / UNIT_PIXELS)), rng)
    changed = load(CORRUPTIONS, name)(image.astype(np.float32) / 255, how)
    return (changed.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def frame_seed(name: str) -> int:
    """Return the seed of a frame by its split line: the same in any order, process and machine."""
    return zlib.crc32(name.encode())


@dataclass(frozen=True)
class RandomCorruption:
    """A draw of ``--corrupt_training``, applied to all frames of a sample."""

    name: str
    severity: int
    seed: int

    @classmethod
    def sample(cls, rng: np.random.Generator, probability: float) -> "RandomCorruption | None":
        """Draw one of ``TRAINING_CORRUPTIONS`` and ``TRAINING_SEVERITIES`` uniformly; None for an intact sample."""
        if rng.random() >= probability:
            return None
        name = TRAINING_CORRUPTIONS[rng.integers(len(TRAINING_CORRUPTIONS))]
        return cls(name, int(rng.choice(TRAINING_SEVERITIES)), int(rng.integers(2**31)))

    def __call__(self, pixels: np.ndarray, frame: int) -> np.ndarray:
        """Corrupt an image (3, H, W) or, if grey, (1, H, W): uint8 (3, H, W).

        Args:
            pixels: uint8.
            frame: Position of the frame in the sample; each frame has its own noise.
        """
        image = np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)
        changed = corrupt(np.ascontiguousarray(image), self.name, self.severity, self.seed + frame)
        return np.ascontiguousarray(changed.transpose(2, 0, 1))
