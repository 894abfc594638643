"""Read images. All other modules open images through this one, so these rules apply everywhere.

- The content determines the format, one of ``common.signatures.IMAGES``. Pillow alone would also accept EPS under any
  file name, and run it as a program in Ghostscript.
- Images are upright: the EXIF orientation is applied.
- Images have 8 bits per channel. 16-bit grey is reduced to its upper 8 bits regardless of its values: 12-bit data in a
  16-bit file cannot be distinguished from a dark scene, and brightness must not depend on the content of one frame.
  12-bit data therefore turns out dark; multiply it by 16 first. Pillow reduces 16-bit colour in the same way.
- Transparency is dropped. Floating-point images are rejected, because their white level is unknown.
"""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from common.errors import DataError, shell_quoted
from common.signatures import HEAD_BYTES, IMAGE_NAMES, image_format, open_file, unsupported_format, video_format

MAX_SIDE = 65_535  # JPEG's limit; longer sides come from defects or attacks, and overflow the resizing functions
MULTIPLE = {"GIF": "animation", "WEBP": "animation", "PNG": "animation", "TIFF": "multi-page image"}
MAX_PIXELS = 178_956_970  # Pillow's limit for decompression bombs; 0.5 GB as RGB
# Pillow warns from half of it on, with a line of its source. ``open_image`` has the limit.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Exceptions that Pillow's decoders raise for damaged content.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, OverflowError)
_DAMAGED_HEADER = (*_DAMAGE, LookupError, TypeError, AttributeError, ArithmeticError)
_ORIENTATION = 0x0112  # EXIF tag
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
    """Open an image as stored, without decoding it. Depth maps, metadata and reduced decoding need this.

    All other callers use ``load_image`` or ``read_image``.

    Args:
        source: A path, or a seekable binary stream.
        what: First word of the error messages.
        max_pixels: Maximum number of pixels; checked in the header, before anything is decoded.

    Yields:
        Pillow's image, not decoded yet.

    Raises:
        DataError: The image is missing, has an unsupported format, is damaged, truncated or too large.
    """
    is_path = isinstance(source, (str, os.PathLike))
    name = f"{what} {source}" if is_path else f"The {what.lower()}"
    try:
        with _opened(source, name) as stream, _identify(stream, name) as image:
            if max(image.size) > MAX_SIDE:
                raise DataError(
                    f"{name} is too large: got {image.width}x{image.height} pixels, allowed: sides up to {MAX_SIDE}. "
                    "Crop or resize it."
                )
            if image.width * image.height > max_pixels:
                raise DataError(
                    f"{name} is too large: got {image.width}x{image.height} pixels, allowed: {max_pixels / 1e6:.0f} "
                    "million. Resize it."
                )
            yield image
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is too large: it has too many pixels. Resize it.") from error
    except MemoryError as error:
        raise DataError(f"{name} is too large for the memory of this machine. Resize it.") from error
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{name} cannot be read ({reason}): it is damaged or truncated. Copy it again.") from error


@contextmanager
def _opened(source: ImageSource, name: str) -> Iterator[BinaryIO]:
    """Open a path; pass on a stream."""
    if not isinstance(source, (str, os.PathLike)):
        yield source
        return
    try:
        stream = open_file(source)
    except FileNotFoundError:
        raise DataError(f"{name} not found.") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror}).") from error
    with stream:
        yield stream


def _identify(stream: BinaryIO, name: str) -> Image.Image:
    """Open the image with the decoder that matches its signature."""
    head = stream.read(HEAD_BYTES)
    if not head:
        raise DataError(f"{name} cannot be read: the file is empty. Copy it again.")
    found = image_format(head)
    if found is None:
        known = unsupported_format(head, Path(getattr(stream, "name", None) or "FILE").name)
        if known:
            raise DataError(f"{name} {known}. Supported are {IMAGE_NAMES}.")
        if video_format(head):
            raise DataError(f"{name} is a video, expected an image.")
        raise DataError(f"{name} is not a {IMAGE_NAMES} file. Convert it to one of these formats.")
    stream.seek(0)
    try:
        return Image.open(stream, formats=(found,))
    except Image.UnidentifiedImageError:  # Pillow's message would reveal the stream or a server's path
        raise DataError(f"{name} cannot be read: its header is damaged or truncated. Copy it again.") from None
    except _DAMAGED_HEADER as error:
        raise DataError(f"{name} cannot be read: its header is damaged ({error}). Copy it again.") from error


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read an image as mode RGB, or as mode L if it is stored as 8-bit or 16-bit grey.

    Grey images keep one channel to make resizing cheaper.

    Returns:
        The upright image of mode L or RGB. 8-bit images of these modes are not copied.

    Raises:
        DataError: The image is missing, has an unsupported format, is damaged, truncated, too large or floating-point.
    """
    with open_image(source, max_pixels=max_pixels) as image:
        _refuse_multiple(image, source)
        image.load()
        return _to_8_bits(_turned(image, _turn(image)), source)


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image as an RGB array; grey images get three equal channels.

    Returns:
        uint8 (H, W, 3), RGB, upright.

    Raises:
        DataError: As in ``load_image``.
    """
    image = load_image(source, max_pixels=max_pixels)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def load_small_grey(path: str | Path, width: int, least_height: int = 1) -> tuple[tuple[int, int], np.ndarray]:
    """Read an image as grey at a smaller width. JPEGs are decoded at reduced resolution, which is faster.

    Returns:
        Original (height, width) of the upright image, and its grey levels, uint8 (h, ``width``).

    Raises:
        DataError: As in ``load_image``.
    """
    with open_image(path) as image:
        _refuse_multiple(image, path)
        turn = _turn(image)
        size = image.size[::-1] if turn in _SIDEWAYS else image.size
        small = width, max(least_height, round(size[1] * width / size[0]))
        image.draft("L", small[::-1] if turn in _SIDEWAYS else small)
        grey = _to_8_bits(_turned(image, turn), path).convert("L")
        return size[::-1], np.asarray(grey.resize(small, Image.Resampling.BOX))


def _refuse_multiple(image: Image.Image, source: ImageSource) -> None:
    """Refuse animations and multi-page images, of which all frames but one would be lost.

    Phones store JPEGs with a preview or a gain map, and TIFFs may contain thumbnails; these count as one image.
    """
    what = MULTIPLE.get(image.format)
    if what is None or not getattr(image, "is_animated", False):
        return
    size = image.size
    image.seek(1)
    is_thumbnail = image.format == "TIFF" and image.size != size
    image.seek(0)
    if is_thumbnail:
        return
    name = Path(source).name if isinstance(source, (str, os.PathLike)) else "FILE"
    stem = name.rpartition(".")[0] or name
    program, ending = ("magick", "_%06d.png") if image.format == "TIFF" else ("ffmpeg -i", ".mp4")
    how = f"{program} {shell_quoted(name)} {shell_quoted(stem + ending)}"
    raise DataError(
        f"Image {source} is a {image.format} {what}, expected a single image. Convert it, for example: {how}"
    )


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return the transposition that makes the image upright, by its EXIF orientation."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION))
    except _DAMAGED_HEADER:  # damaged metadata; the pixels may be fine
        return None


def _turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


def _to_8_bits(image: Image.Image, source: ImageSource) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "F":
        raise DataError(f"Image {source} has floating-point values, expected 8 or 16 bits. Convert it first.")
    if image.mode.startswith("I"):  # Pillow's conversion saturates all values above 255
        grey = np.asarray(image)
        if grey.dtype != np.uint16:
            grey = grey.clip(0, 65535)
        return Image.fromarray((grey >> 8).astype(np.uint8))
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise DataError(f"Image {source} has colour mode {image.mode}, expected RGB. Convert it first.") from error
