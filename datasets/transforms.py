"""Transforms of images, maps and intrinsics: resizing, cropping, colour jitter, scaling and mirroring.

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


@dataclass(frozen=True)
class Window:
    """A part of an image, in fractions of its width and height; its borders may divide pixels.

    Attributes:
        left, top: Distance from the image's left and top border.
        width, height: Size, at most 1.
    """

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def sample(cls, rng: np.random.Generator, scale: float, aspect: float) -> "Window":
        """Draw a window, anywhere in the image.

        Args:
            rng: Random numbers.
            scale: Smallest share of the image's area, in (0, 1]; the shares up to 1 are equally likely.
            aspect: Largest factor between the aspect ratios of window and image, at least 1; factors and their inverses
                are equally likely. A side that would exceed the image is shortened.
        """
        area, factor = rng.uniform(scale, 1), np.exp(rng.uniform(-np.log(aspect), np.log(aspect)))
        width, height = min(1.0, float(np.sqrt(area * factor))), min(1.0, float(np.sqrt(area / factor)))
        left, top = rng.random(2) * (1 - width, 1 - height)
        return cls(float(left), float(top), width, height)

    def inside(self, outer: "Window | None") -> "Window":
        """Return the window of the whole image, where this one is a window of the part ``outer``."""
        if outer is None:
            return self
        left, top = outer.left + self.left * outer.width, outer.top + self.top * outer.height
        return Window(left, top, self.width * outer.width, self.height * outer.height)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Cut the window, rounded to whole pixels, out of (H, W, ...); a view."""
        left, top, right, bottom = (round(border) for border in self.box(*image.shape[:2]))
        return image[top:bottom, left:right]

    def mirrored(self) -> "Window":
        """Return the window of the mirrored image that shows the same."""
        return Window(1 - self.left - self.width, self.top, self.width, self.height)

    def box(self, height: int, width: int) -> tuple[float, float, float, float]:
        """Return the left, top, right and bottom border in an image of this size, pixels."""
        right, bottom = (self.left + self.width) * width, (self.top + self.height) * height
        return max(0.0, self.left) * width, max(0.0, self.top) * height, min(width, right), min(height, bottom)


def load_frame(path: str | Path, height: int, width: int, window: Window | None = None) -> Frame:
    """Load an image file and resize it, or a window of it, to (height, width) with Pillow's Lanczos filter.

    Raises:
        DataError: As in ``common.images.load_image``.
    """
    image = load_image(path)
    if window is None:
        pixels = resize_lanczos(image, height, width)
    else:  # no ``resize_lanczos``: it keeps the weights of a few sizes, and every window has its own
        box = window.box(image.height, image.width)
        pixels = image_to_array(image.resize((width, height), Image.Resampling.LANCZOS, box))
    return Frame(pixels, (image.height, image.width))


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


def fit_map(
    extra_map: ExtraMap, height: int, width: int, flip: bool = False, window: Window | None = None
) -> np.ndarray:
    """Resize a map, or the window that its image is cropped to, to float32 (C, height, width); then mirror it.

    Values remain as they are, apart from ``negated``: a map in pixels, such as flow, does not suit windows.
    """
    flags = {"nearest": cv2.INTER_NEAREST_EXACT, "linear": cv2.INTER_LINEAR}[extra_map.interpolation]
    values = np.asarray(extra_map.values, dtype=np.float32)
    channels = values[None] if values.ndim == 2 else values
    if window is None:
        fitted = np.stack([cv2.resize(channel, (width, height), interpolation=flags) for channel in channels])
    else:
        fitted = _crop_map(channels, height, width, window, extra_map.interpolation)
    if flip:
        fitted = mirror(fitted)
        fitted[list(extra_map.negated)] *= -1
    return fitted


def _crop_map(values: np.ndarray, height: int, width: int, window: Window, interpolation: str) -> np.ndarray:
    """Resize a window of (C, h, w) to (C, height, width) as OpenCV does, whose own borders are whole pixels."""
    left, top, right, bottom = window.box(*values.shape[1:])
    for axis, start, end, size in ((1, top, bottom, height), (2, left, right, width)):
        last = values.shape[axis] - 1
        centres = start + (np.arange(size) + 0.5) * (end - start) / size  # from the border
        if interpolation == "nearest":
            values = values.take(centres.astype(int).clip(0, last), axis)
            continue
        places = (centres - 0.5).clip(0, last)
        before = places.astype(int)
        share = (places - before).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        after = values.take((before + 1).clip(0, last), axis)
        values = values.take(before, axis) * (1 - share) + after * share
    return np.ascontiguousarray(values)


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


def crop_intrinsics(K: np.ndarray, window: Window, size: tuple[int, int]) -> np.ndarray:
    """Change intrinsics (3, 3) of an image of ``size`` (height, width) to those of a window resized to that size.

    Borders are mapped to borders, as in ``scale_intrinsics``: c becomes (c + 0.5 - border) / share - 0.5.
    """
    cropped = np.array(K, dtype=np.float64)
    for row, start, share, length in ((0, window.left, window.width, size[1]), (1, window.top, window.height, size[0])):
        cropped[row] /= share
        cropped[row, 2] = (K[row, 2] + 0.5 - start * length) / share - 0.5
    return cropped


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
