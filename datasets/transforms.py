"""Images and intrinsics on their way to the network: reading, resizing, jittering, scaling, mirroring.

Convention: pixel i has its centre at coordinate i, so an image of width W reaches from -0.5 to W - 0.5.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from errors import DataError


@contextmanager
def open_image(path: str | Path) -> Iterator[Image.Image]:
    """The image, to be decoded in the block. Raises DataError, naming the path, where it is missing or damaged."""
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise DataError(f"Image {path} not found.") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise DataError(f"Image {path} cannot be read ({error}): it is damaged or truncated. Copy it again.") from error


def load_image(path: str | Path) -> Image.Image:
    """The image as RGB. Raises DataError, naming the path, where it is missing, damaged or truncated."""
    with open_image(path) as image:
        return image.convert("RGB")


def resize_lanczos(image: Image.Image, height: int, width: int) -> Image.Image:
    """The image at (height, width) by Pillow's Lanczos filter, as the published results had it."""
    return image.resize((width, height), Image.Resampling.LANCZOS)


def image_to_array(image: Image.Image) -> np.ndarray:
    """uint8 (3, H, W) of an RGB image."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


@dataclass(frozen=True)
class ColourJitter:
    """One draw of the method's colour augmentation, applied alike to every frame of a sample.

    brightness, contrast and saturation are factors in [0.8, 1.2], hue is a shift in [-0.1, 0.1] of the colour
    circle; `order` is the order in which the four are applied.
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

    def __call__(self, image: Image.Image) -> Image.Image:
        """The jittered RGB image."""
        steps = {
            "brightness": lambda image: ImageEnhance.Brightness(image).enhance(self.brightness),
            "contrast": lambda image: ImageEnhance.Contrast(image).enhance(self.contrast),
            "saturation": lambda image: ImageEnhance.Color(image).enhance(self.saturation),
            "hue": lambda image: _shift_hue(image, self.hue),
        }
        for name in self.order:
            image = steps[name](image)
        return image


def _shift_hue(image: Image.Image, shift: float) -> Image.Image:
    unchanged = list(range(256))
    turned = [(value + int(shift * 255)) % 256 for value in unchanged]  # the colour circle in 256 steps
    return image.convert("HSV").point(turned + unchanged + unchanged).convert("RGB")


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
