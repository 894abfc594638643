"""Images to predict: found by path, folder or pattern, and read as upright RGB."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from datasets.transforms import open_image
from errors import DataError

ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find_images(inputs: Sequence[str]) -> list[Path]:
    """The images that the inputs name, each once, in the order of the inputs.

    Args:
        inputs: images, of any ending; folders, for the images in them; or patterns such as ``drive/*.jpg``. Names of a
            folder or pattern are sorted naturally: 2 before 10.

    Returns:
        Absolute paths.

    Raises:
        DataError: an input names nothing, no image, or a folder that may not be read.
    """
    try:
        found = [path for text in inputs for path in _images_of(text)]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be looked at: {error.strerror}.") from error
    return list(dict.fromkeys(Path(os.path.abspath(path)) for path in found))


def natural_key(path: Path) -> list:
    """What sorts paths by their names with numbers as numbers, small and capital letters alike."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part) if i % 2 else part.lower()) for i, part in enumerate(parts)]


def _images_of(text: str) -> list[Path]:
    """The images that one input names."""
    path = Path(text)
    if path.is_dir():
        images = _only_images(path.iterdir())
        what = f"the folder {text} holds no image"
    elif path.exists():
        return [path]
    else:
        matches = [Path(match) for match in glob.glob(text)]
        if not matches:
            raise DataError(f"there is no image or folder {text}, and as a pattern it matches nothing.")
        folders = [path for path in matches if path.is_dir()]
        images = _only_images([*matches, *(path for folder in folders for path in folder.iterdir())])
        what = f"the pattern {text} matches no image, and no folder with one"
    if not images:
        raise DataError(f"{what}; names of images end in {', '.join(ENDINGS)}.")
    return images


def _only_images(paths: Iterable[Path]) -> list[Path]:
    # Hidden files are not the user's: some systems leave one beside every image, under the image's ending.
    images = (path for path in paths if path.suffix.lower() in ENDINGS and not path.name.startswith("."))
    return sorted((path for path in images if path.is_file()), key=natural_key)


def read_image(path: Path) -> np.ndarray:
    """An image as it is meant to be seen: turned as its EXIF data says, grey as three equal channels, without alpha.

    Of 16 bits the upper 8 are taken.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        DataError: the image is missing, damaged, truncated, too large, or of floating point.
    """
    try:
        with open_image(path) as image:
            return _to_rgb(ImageOps.exif_transpose(image), path)
    except Image.DecompressionBombError as error:
        raise DataError(f"Image {path} is too large to be read ({error}). Make it smaller.") from error


def _to_rgb(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode == "F":
        raise DataError(f"Image {path} holds floating-point values; 8 or 16 bits were expected. Convert it first.")
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion makes all above 255 white
        grey = np.asarray(image).clip(0, 65535) // 256
        return np.repeat(grey.astype(np.uint8)[:, :, np.newaxis], 3, axis=2)
    return np.asarray(image.convert("RGB"))
