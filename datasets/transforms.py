"""Transforms of images and intrinsics: resizing, colour jitter, scaling and mirroring.

Convention: pixel i has its centre at coordinate i. An image of width W extends from -0.5 to W - 0.5.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from common.images import load_image
from datasets.lanczos import resize_lanczos


def image_to_array(image: Image.Image) -> np.ndarray:
    """Convert an RGB image to uint8 (3, H, W), or a grey image to uint8 (1, H, W)."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.stack(cv2.split(pixels))


class Frame(NamedTuple):
    """An image at the network's input size, uint8 (3, H, W), or (1, H, W) if grey, and its original (height, width)."""

    pixels: np.ndarray
    original_size: tuple[int, int]


def load_frame(path: str | Path, height: int, width: int) -> Frame:
    """Load an image file and resize it to (height, width) with ``resize_lanczos``.

    Raises:
        DataError: As in ``common.images.load_image``.
    """
    image = load_image(path)
    return Frame(resize_lanczos(image, height, width), (image.height, image.width))


def mirror(pixels: np.ndarray) -> np.ndarray:
    """Mirror an image (C, H, W) left to right."""
    return cv2.flip(pixels.reshape(-1, pixels.shape[2]), 1).reshape(pixels.shape)


class ExtraMap(NamedTuple):
    """A map that accompanies an image.

    Attributes:
        values: (h, w) or (C, h, w), of any size and dtype.
        interpolation: "nearest" for sparse depth, labels and masks, or "linear".
        negated: Channels whose sign changes when the image is mirrored, for example the x component of flow.
    """

    values: np.ndarray
    interpolation: str = "nearest"
    negated: tuple[int, ...] = ()


def fit_map(extra_map: ExtraMap, height: int, width: int, flip: bool) -> np.ndarray:
    """Resize a map to float32 (C, height, width), and mirror it if its image is mirrored."""
    flags = {"nearest": cv2.INTER_NEAREST_EXACT, "linear": cv2.INTER_LINEAR}[extra_map.interpolation]
    values = np.asarray(extra_map.values, dtype=np.float32)
    channels = values[None] if values.ndim == 2 else values
    fitted = np.stack([cv2.resize(channel, (width, height), interpolation=flags) for channel in channels])
    if flip:
        fitted = mirror(fitted)
        fitted[list(extra_map.negated)] *= -1
    return fitted


@dataclass(frozen=True)
class ColourJitter:
    """A draw of the method's colour jitter, applied equally to all frames of a sample.

    These are Pillow's operations, implemented faster. Grey images match Pillow exactly. Colours differ by about one
    grey level, because hues are quantised differently.

    Attributes:
        brightness: Factor in [0.8, 1.2].
        contrast: Factor in [0.8, 1.2].
        saturation: Factor in [0.8, 1.2].
        hue: Shift in [-0.1, 0.1] of the colour circle.
        order: Order in which the four operations are applied.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[str, ...]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "ColourJitter":
        """Draw strengths and order uniformly."""
        brightness, contrast, saturation = rng.uniform(0.8, 1.2, size=3)
        hue = rng.uniform(-0.1, 0.1)
        order = rng.permutation(["brightness", "contrast", "saturation", "hue"])
        return cls(float(brightness), float(contrast), float(saturation), float(hue), tuple(order.tolist()))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Jitter an image, uint8 (3, H, W) or (1, H, W); saturation and hue do not change grey images."""
        is_grey = len(pixels) == 1
        image = pixels[0] if is_grey else cv2.merge(list(pixels))  # (H, W) or (H, W, 3)
        for name in self.order:
            if name == "brightness":
                image = _blend(image, 0, self.brightness)
            elif name == "contrast":
                grey = image if is_grey else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
                image = _blend(image, int(cv2.mean(grey)[0] + 0.5), self.contrast)
            elif not is_grey:
                image = _saturate(image, self.saturation) if name == "saturation" else _shift_hue(image, self.hue)
        return image[None] if is_grey else np.stack(cv2.split(image))


def _blend(image: np.ndarray, value: int, factor: float) -> np.ndarray:
    """Interpolate between a constant image (factor 0) and the image (factor 1); extrapolate above 1."""
    # Pillow computes in float32 and truncates.
    table = np.float32(value) + np.float32(factor) * (np.arange(256, dtype=np.float32) - np.float32(value))
    rows = image.reshape(len(image), -1)  # OpenCV is faster with one channel
    return cv2.LUT(rows, table.clip(0, 255).astype(np.uint8)).reshape(image.shape)


def _saturate(image: np.ndarray, factor: float) -> np.ndarray:
    """Interpolate between the grey image (factor 0) and the image (factor 1); extrapolate above 1."""
    grey = np.tile([0.299, 0.587, 0.114], (3, 1))  # ITU-R BT.601
    # Pillow truncates, OpenCV rounds to nearest. The offset is just below one half, so grey pixels do not change.
    return cv2.transform(image, np.column_stack([factor * np.eye(3) + (1 - factor) * grey, [-0.49] * 3]))


def _shift_hue(image: np.ndarray, shift: float) -> np.ndarray:
    turned = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    turned[:, :, 0] += np.uint8(round(shift * 256) % 256)  # 256 steps of the colour circle; uint8 wraps around
    return cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL)


def scale_intrinsics(K: np.ndarray, from_size: tuple[int, int], to_size: tuple[int, int]) -> np.ndarray:
    """Scale intrinsics (3, 3) to an image resized from ``from_size`` to ``to_size``, both (height, width).

    Resizing maps image borders to image borders. The principal point c therefore maps to (c + 0.5) * s - 0.5.
    """
    scale_y, scale_x = to_size[0] / from_size[0], to_size[1] / from_size[1]
    scaled = np.array(K, dtype=np.float64)
    scaled[0] *= scale_x
    scaled[1] *= scale_y
    scaled[0, 2] += 0.5 * scale_x - 0.5
    scaled[1, 2] += 0.5 * scale_y - 0.5
    return scaled


def mirror_intrinsics(K: np.ndarray, width: int) -> np.ndarray:
    """Mirror intrinsics (3, 3) left to right: cx becomes W - 1 - cx."""
    mirrored = np.array(K, dtype=np.float64)
    mirrored[0, 2] = width - 1 - mirrored[0, 2]
    return mirrored


def mirror_distortion(distortion: np.ndarray) -> np.ndarray:
    """Mirror a distortion (9,), as in ``layers.camera_models``, left to right.

    Only Brown's p2 changes its sign: its term in x is even in x. All other coefficients stay the same.
    """
    mirrored = np.array(distortion, dtype=np.float64)
    if mirrored[0] == 0:
        mirrored[4] = -mirrored[4]
    return mirrored
