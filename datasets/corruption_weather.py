"""Corruptions by weather, without textures of real weather; called by ``datasets.corruptions.corrupt``.

Crystals and flakes are drawn on a canvas with as many pixels as KITTI's images, and resized with it.
"""

import cv2
import numpy as np

from datasets.corruption_strength import Strength, plasma, smooth_noise

SUBPIXEL_BITS = 4  # OpenCV's fixed-point coordinates of lines
BRIGHTNESS_LEVELS = 8  # lines of a level are drawn by one call
FOG = np.float32([0.80, 0.82, 0.84])
ICE = np.float32([0.86, 0.93, 1.0])
SNOW = np.float32([0.96, 0.97, 1.0])


def fog(image: np.ndarray, how: Strength) -> np.ndarray:
    """Blend with grey fog of uneven density, which does not depend on depth."""
    density = np.float32(how.choose(0.3, 0.45, 0.6, 0.73, 0.85)) * (0.65 + 0.35 * plasma(how.rng, image.shape[:2]))
    return _blend(image, FOG, density)


def frost(image: np.ndarray, how: Strength) -> np.ndarray:
    """Cover with feathers of ice on the windscreen, denser towards the borders, and an uneven glaze."""
    size = _canvas_size(image, how)
    glaze = plasma(how.rng, size)
    feathers = [_feather(how.rng, size) for _ in range(how.choose(50, 90, 140, 210, 300))]
    starts, ends, values = (np.concatenate(parts) for parts in zip(*feathers, strict=True))
    canvas = _draw_lines(size, starts, ends, values, thickness=1)
    crystals = cv2.GaussianBlur(canvas, (0, 0), 0.7) + 0.8 * cv2.GaussianBlur(canvas, (0, 0), 5)
    opacity = how.choose(0.55, 0.65, 0.75, 0.85, 0.95) * (0.6 + 0.4 * glaze) * crystals
    opacity += how.choose(0.12, 0.22, 0.32, 0.43, 0.55) * glaze
    return _blend(image, ICE, _resized(opacity, image).clip(0, 0.93))


def snow(image: np.ndarray, how: Strength) -> np.ndarray:
    """Add falling flakes, blurred by their motion, in three sizes, and the grey veil of those far away."""
    size, rng = _canvas_size(image, how), how.rng
    angle = rng.uniform(np.pi / 4, 3 * np.pi / 4)  # pi / 2 falls straight down
    veil = np.float32(how.choose(0.12, 0.2, 0.3, 0.4, 0.5)) * (0.85 + 0.15 * smooth_noise(rng, size, 200))
    flakes = np.zeros(size, np.float32)
    for thickness, length, number, light in ((1, 5, 1500, 0.6), (2, 10, 420, 0.8), (4, 20, 90, 0.95)):
        count = int(number * how.choose(0.7, 1.3, 2.2, 3.4, 5.0))
        places = rng.random((count, 2)) * (size[1], size[0])
        angles = angle + rng.normal(0, 0.12, count)
        halves = length / 2 * rng.uniform(0.3, 1, (count, 1)) * _directions(angles)
        values = light * rng.uniform(0.5, 1, count)
        layer = _draw_lines(size, places - halves, places + halves, values, thickness)
        flakes = np.maximum(flakes, cv2.GaussianBlur(layer, (0, 0), 0.3 + 0.35 * thickness))
    grey = image.mean(axis=2, keepdims=True)
    pale = _blend(0.6 * image + 0.4 * grey, FOG, _resized(veil, image))
    return _blend(pale, SNOW, _resized(flakes, image).clip(0, 1))


def _feather(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grow a curved stem of ice with branches at 60 degrees on both sides, anywhere, more often near a border.

    Returns:
        Start and end (N, 2) of its lines, x and y in pixels, and their brightness (N,).
    """
    place = rng.beta(0.5, 0.5, 2) * (size[1], size[0])
    nodes, step, light = int(rng.integers(10, 34)), rng.uniform(2.5, 4.5), rng.uniform(0.4, 1)
    headings = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.05) * np.arange(nodes)
    stem = place + np.cumsum(step * _directions(headings), axis=0)
    starts, ends, values = [stem[:-1]], [stem[1:]], [np.full(nodes - 1, light)]
    for side in (-np.pi / 3, np.pi / 3):
        lengths = 0.5 * step * np.arange(nodes, 0, -1) * rng.uniform(0.4, 1, nodes)
        starts.append(stem)
        ends.append(stem + lengths[:, None] * _directions(headings + side))
        values.append(np.full(nodes, 0.8 * light))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(values)


def _directions(angles: np.ndarray) -> np.ndarray:
    """Return unit vectors (N, 2) of angles (N,) from the x axis to the y axis, which points down."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _draw_lines(
    size: tuple[int, int], starts: np.ndarray, ends: np.ndarray, values: np.ndarray, thickness: int
) -> np.ndarray:
    """Draw lines (N, 2) of brightness (N,) in [0, 1], the brighter ones above the others: float32 of this size."""
    canvas = np.zeros(size, np.uint8)
    lines = (np.stack([starts, ends], axis=1) * 2**SUBPIXEL_BITS).astype(np.int32)  # (N, 2, 2)
    levels = np.ceil(values * BRIGHTNESS_LEVELS).astype(int)
    for level in range(1, BRIGHTNESS_LEVELS + 1):
        value = 255 * level // BRIGHTNESS_LEVELS
        cv2.polylines(canvas, list(lines[levels == level]), False, value, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas.astype(np.float32) / 255


def _canvas_size(image: np.ndarray, how: Strength) -> tuple[int, int]:
    return round(image.shape[0] / how.scale), round(image.shape[1] / how.scale)


def _resized(mask: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Resize a canvas to the size of the image."""
    return cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_AREA)


def _blend(image: np.ndarray, colour: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Cover the image (H, W, 3) with a colour (3,), by opacity (H, W) in [0, 1]."""
    return image + (colour - image) * opacity[:, :, None]
