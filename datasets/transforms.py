"""Images and intrinsics on their way to the network: resizing, jittering, scaling, mirroring.

Convention: pixel i has its centre at coordinate i, so an image of width W reaches from -0.5 to W - 0.5.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from common.images import load_image


def resize_lanczos(image: Image.Image, height: int, width: int) -> Image.Image:
    """The image at (height, width) by Pillow's Lanczos filter, as the published results had it."""
    return image.resize((width, height), Image.Resampling.LANCZOS)


def image_to_array(image: Image.Image) -> np.ndarray:
    """uint8 (3, H, W) of an RGB image, (1, H, W) of a grey one."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.stack(cv2.split(pixels))


class Frame(NamedTuple):
    """An image at the networks' size: uint8 (3, H, W), or (1, H, W) where grey; and its file's (height, width)."""

    pixels: np.ndarray
    original_size: tuple[int, int]


def load_frame(path: str | Path, height: int, width: int) -> Frame:
    """Reads an image file at (height, width), by `common.images.load_image` and `resize_lanczos`.

    Raises:
        DataError: As `load_image`.
    """
    image = load_image(path)
    return Frame(image_to_array(resize_lanczos(image, height, width)), (image.height, image.width))


def mirror(pixels: np.ndarray) -> np.ndarray:
    """The image (C, H, W), flipped left to right."""
    return cv2.flip(pixels.reshape(-1, pixels.shape[2]), 1).reshape(pixels.shape)


class ExtraMap(NamedTuple):
    """A map that belongs to an image.

    Attributes:
        values: (h, w) or (C, h, w), of any size and number type.
        interpolation: "nearest", for depth with unknown pixels, labels and masks, or "linear".
        negated: channels that change their sign when the image is mirrored: the x component of flow, for example.
    """

    values: np.ndarray
    interpolation: str = "nearest"
    negated: tuple[int, ...] = ()


def fit_map(extra_map: ExtraMap, height: int, width: int, flip: bool) -> np.ndarray:
    """Resize a map to float32 (C, height, width), and mirror it with its image."""
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
    """One draw of the method's colour augmentation, applied alike to every frame of a sample.

    brightness, contrast and saturation are factors in [0.8, 1.2], hue is a shift in [-0.1, 0.1] of the colour
    circle; `order` is the order in which the four are applied. Each is Pillow's operation, done faster: grey images
    come out equal, and colours a grey level or so apart, since the colour circle's steps are rounded differently.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[str, ...]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "ColourJitter":
        """Strengths and order drawn uniformly."""
        brightness, contrast, saturation = rng.uniform(0.8, 1.2, size=3)
        hue = rng.uniform(-0.1, 0.1)
        order = rng.permutation(["brightness", "contrast", "saturation", "hue"])
        return cls(float(brightness), float(contrast), float(saturation), float(hue), tuple(order.tolist()))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The jittered image: uint8 (3, H, W), or (1, H, W) where grey, which saturation and hue leave as it is."""
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
    """A plain image of this value, and the image as far away from it as the factor says."""
    # In float32 and truncated, as Pillow has it.
    table = np.float32(value) + np.float32(factor) * (np.arange(256, dtype=np.float32) - np.float32(value))
    rows = image.reshape(len(image), -1)  # OpenCV is faster at one channel
    return cv2.LUT(rows, table.clip(0, 255).astype(np.uint8)).reshape(image.shape)


def _saturate(image: np.ndarray, factor: float) -> np.ndarray:
    """The image's grey values, and the image as far away from them as the factor says."""
    grey = np.tile([0.299, 0.587, 0.114], (3, 1))  # ITU-R BT.601
    # OpenCV rounds to the nearest, Pillow truncates; a little less than a half, so that grey pixels stay as they are.
    return cv2.transform(image, np.column_stack([factor * np.eye(3) + (1 - factor) * grey, [-0.49] * 3]))


def _shift_hue(image: np.ndarray, shift: float) -> np.ndarray:
    turned = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    turned[:, :, 0] += np.uint8(round(shift * 256) % 256)  # the colour circle in 256 steps, which wrap around
    return cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL)


def scale_intrinsics(K: np.ndarray, from_size: tuple[int, int], to_size: tuple[int, int]) -> np.ndarray:
    """Intrinsics (3, 3) of the same camera once its image of from_size (height, width) has to_size.

    The centre c maps to (c + 0.5) * s - 0.5, since borders of the image map to borders, not pixel centres.
    """
    scale_y, scale_x = to_size[0] / from_size[0], to_size[1] / from_size[1]
    scaled = np.array(K, dtype=np.float64)
    scaled[0] *= scale_x
    scaled[1] *= scale_y
    scaled[0, 2] += 0.5 * scale_x - 0.5
    scaled[1, 2] += 0.5 * scale_y - 0.5
    return scaled


def mirror_intrinsics(K: np.ndarray, width: int) -> np.ndarray:
    """Intrinsics (3, 3) of the camera that sees the image flipped left to right: cx becomes W - 1 - cx."""
    mirrored = np.array(K, dtype=np.float64)
    mirrored[0, 2] = width - 1 - mirrored[0, 2]
    return mirrored


def mirror_distortion(distortion: np.ndarray) -> np.ndarray:
    """The lens (9,), as in `layers.camera_models`, of the camera that sees the image flipped left to right.

    All but Brown's p2, of which what it does to x is even in x, are the same.
    """
    mirrored = np.array(distortion, dtype=np.float64)
    if mirrored[0] == 0:
        mirrored[4] = -mirrored[4]
    return mirrored
