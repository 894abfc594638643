"""Corruptions of a camera's sensor, exposure and image files; called by ``datasets.corruptions.corrupt``.

Noise is that of each pixel of an image of KITTI's size. In a smaller image, each pixel stands for several of those, and
gets the mean of their noise: a corrupted image that is reduced looks like a reduced image that is corrupted.
"""

import cv2
import numpy as np

from datasets.corruption_strength import Strength, smooth_noise

FULL_WELL = 400.0  # photons of a white pixel in ``dark``, before the exposure is reduced


def brightness(image: np.ndarray, how: Strength) -> np.ndarray:
    """Overexpose: add the same value to all channels."""
    return image + how.choose(0.1, 0.2, 0.3, 0.42, 0.55)


def dark(image: np.ndarray, how: Strength) -> np.ndarray:
    """Underexpose, with the noise of few photons and of the read-out."""
    exposure = np.float32(how.choose(0.5, 0.33, 0.21, 0.13, 0.075))
    dimmed = image * exposure
    return dimmed + _normal(how, image.shape) * np.sqrt(dimmed / FULL_WELL + 0.012**2) / np.sqrt(how.pixels)


def contrast(image: np.ndarray, how: Strength) -> np.ndarray:
    """Pull all values towards the mean of the image."""
    mean = image.mean(dtype=np.float64).astype(np.float32)
    return mean + (image - mean) * np.float32(how.choose(0.6, 0.4, 0.26, 0.16, 0.09))


def color_quant(image: np.ndarray, how: Strength) -> np.ndarray:
    """Keep a few evenly spaced levels of each channel."""
    steps = np.float32(how.choose(15, 8, 5, 3, 2))
    return np.round(image * steps) / steps


def gaussian_noise(image: np.ndarray, how: Strength) -> np.ndarray:
    """Add independent normal noise to every channel."""
    sigma = how.choose(0.08, 0.14, 0.22, 0.33, 0.48)
    return image + _normal(how, image.shape) * np.float32(sigma / np.sqrt(how.pixels))


def impulse_noise(image: np.ndarray, how: Strength) -> np.ndarray:
    """Replace a share of the values by black or white, equally often."""
    half = how.choose(0.02, 0.05, 0.1, 0.17, 0.27) / 2
    count = max(1, round(how.pixels))
    white, black = (how.rng.binomial(count, half, image.shape).astype(np.float32) / count for _ in range(2))
    return image * np.maximum(1 - white - black, 0) + white


def shot_noise(image: np.ndarray, how: Strength) -> np.ndarray:
    """Count photons: Poisson noise, whose deviation is the root of the value."""
    photons = how.choose(60, 26, 12, 6, 3) * how.pixels
    return (how.rng.poisson(image.clip(0, 1) * photons) / photons).astype(np.float32)


def iso_noise(image: np.ndarray, how: Strength) -> np.ndarray:
    """Amplify the sensor: noise of photons and read-out in the brightness, and grains of colour two pixels wide."""
    gain = how.choose(0.08, 0.14, 0.22, 0.32, 0.45)
    root = np.float32(np.sqrt(how.pixels))
    brightness_noise = _normal(how, (*image.shape[:2], 1)) * np.sqrt(image.clip(0, 1) * gain**2 + (0.3 * gain) ** 2)
    grain = 2 * how.scale
    colour = np.stack([smooth_noise(how.rng, image.shape[:2], grain) for _ in range(3)], axis=2)
    return image + brightness_noise / root + colour * np.float32(gain / max(1.0, float(root) / 2))


def pixelate(image: np.ndarray, how: Strength) -> np.ndarray:
    """Average blocks of pixels, such as an image that was stored too small."""
    height, width = image.shape[:2]
    block = how.choose(4, 7, 11, 16, 22) * how.scale
    small = (max(2, round(width / block)), max(2, round(height / block)))
    if small[0] >= width:
        return image
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, (width, height), interpolation=cv2.INTER_NEAREST)


def jpeg_compression(image: np.ndarray, how: Strength) -> np.ndarray:
    """Compress as a JPEG file of low quality."""
    bgr = (image.clip(0, 1)[:, :, ::-1] * 255 + 0.5).astype(np.uint8)
    content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, how.choose(20, 12, 8, 5, 3)])[1]
    return cv2.imdecode(content, cv2.IMREAD_COLOR)[:, :, ::-1].astype(np.float32) / 255


def _normal(how: Strength, shape: tuple[int, ...]) -> np.ndarray:
    return how.rng.standard_normal(shape, dtype=np.float32)
