"""Opens images: the only place of the project that does, so that what holds here holds everywhere.

- The content decides on the format, which is one of `common.signatures.IMAGES`. Pillow alone would also take EPS, under
  any name, and run it as a program in Ghostscript.
- An image is as it is meant to be seen: turned as its EXIF data says.
- 8 bits a channel. Of 16-bit grey the upper 8 bits are kept, whatever the values: 12-bit data in a 16-bit file cannot
  be told from a dark scene, and brightness must not depend on a single frame's content. So 12-bit data comes out
  dark; multiply it by 16 first. 16-bit colour is reduced in the same way, by Pillow.
- Transparency is dropped. Floating-point images are refused, since nothing says what is white in them.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from common.errors import DataError
from common.signatures import HEAD_BYTES, IMAGE_NAMES, image_format

MAX_PIXELS = 178_956_970  # what Pillow takes for a decompression bomb, 0.5 GB as RGB
# What Pillow's decoders raise for damaged content.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, OverflowError)
_DAMAGED_HEADER = (*_DAMAGE, LookupError, TypeError, AttributeError, ArithmeticError)
_ORIENTATION = 0x0112  # EXIF's tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
}

ImageSource = str | Path | BinaryIO


@contextmanager
def open_image(source: ImageSource, *, what: str = "Image", max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Opens an image as it is stored, to be decoded in the block.

    Args:
        source: A path, or a binary stream that can seek.
        what: Begins the error messages.
        max_pixels: Allowed by the header; nothing is decoded before this check.

    Yields:
        Pillow's image, not decoded yet, as stored: for depth maps, metadata and reduced decoding. All other callers
        use `load_image` or `read_image`.

    Raises:
        DataError: The image is missing, of another format, damaged, truncated or too large.
    """
    is_path = isinstance(source, (str, os.PathLike))
    name = f"{what} {source}" if is_path else f"The {what.lower()}"
    try:
        with open(source, "rb") if is_path else nullcontext(source) as stream, _identify(stream, name) as image:
            if image.width * image.height > max_pixels:
                raise DataError(
                    f"{name} is too large: {image.width}x{image.height} pixels, and at most {max_pixels / 1e6:.0f} "
                    "million are allowed. Make it smaller."
                )
            yield image
    except FileNotFoundError:
        raise DataError(f"{name} not found.") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is too large: it has too many pixels. Make it smaller.") from error
    except MemoryError as error:
        raise DataError(f"{name} is too large for the memory of this machine. Make it smaller.") from error
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{name} cannot be read ({reason}): it is damaged or truncated. Copy it again.") from error


def _identify(stream: BinaryIO, name: str) -> Image.Image:
    """Opens the image with the decoder of its signature, and no other."""
    head = stream.read(HEAD_BYTES)
    if not head:
        raise DataError(f"{name} cannot be read: the file is empty. Copy it again.")
    found = image_format(head)
    if found is None:
        raise DataError(f"{name} is not a {IMAGE_NAMES} file. Convert it to one of these.")
    stream.seek(0)
    try:
        return Image.open(stream, formats=(found,))
    except Image.UnidentifiedImageError:  # its text names the stream, or a folder that is nobody's business
        raise DataError(f"{name} cannot be read: its header is damaged or truncated. Copy it again.") from None
    except _DAMAGED_HEADER as error:
        raise DataError(f"{name} cannot be read: its header is damaged ({error}). Copy it again.") from error


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Reads an image as RGB, or as L where it is stored as grey of 8 or 16 bits: one channel is enough to resize.

    Returns:
        The image of mode L or RGB, upright. Ordinary 8-bit images are not copied.

    Raises:
        DataError: The image is missing, of another format, damaged, truncated, too large, or of floating point.
    """
    with open_image(source, max_pixels=max_pixels) as image:
        image.load()
        return _to_8_bits(_turned(image, _turn(image)), source)


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads an image as `load_image` does, grey as three equal channels.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        DataError: As `load_image`.
    """
    image = load_image(source, max_pixels=max_pixels)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def load_small_grey(path: str | Path, width: int, least_height: int = 1) -> tuple[tuple[int, int], np.ndarray]:
    """Reads grey levels at a smaller width, of a JPEG without reconstructing all of it.

    Returns:
        (height, width) of the upright image, and uint8 (h, ``width``).

    Raises:
        DataError: As `load_image`.
    """
    with open_image(path) as image:
        turn = _turn(image)
        size = image.size[::-1] if turn in _SIDEWAYS else image.size
        small = width, max(least_height, round(size[1] * width / size[0]))
        image.draft("L", small[::-1] if turn in _SIDEWAYS else small)
        grey = _to_8_bits(_turned(image, turn), path).convert("L")
        return size[::-1], np.asarray(grey.resize(small, Image.Resampling.BOX))


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to turn an image as its EXIF data says."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION))
    except _DAMAGED_HEADER:  # damaged metadata says nothing of the pixels
        return None


def _turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


def _to_8_bits(image: Image.Image, source: ImageSource) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "F":
        raise DataError(f"Image {source} holds floating-point values; 8 or 16 bits were expected. Convert it first.")
    if image.mode.startswith("I"):  # Pillow's own conversion makes all above 255 white
        grey = np.asarray(image)
        if grey.dtype != np.uint16:
            grey = grey.clip(0, 65535)
        return Image.fromarray((grey >> 8).astype(np.uint8))
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise DataError(f"Image {source} has colours of type {image.mode}. Convert it to RGB first.") from error
