"""Depth maps as 16-bit grey PNGs in the format of KITTI's improved ground truth: metres x 256, 0 where unknown."""

import io
import os

import numpy as np
from PIL import Image

from common.errors import DataError
from common.images import open_image

STEPS_PER_METRE = 256  # KITTI's
FAST, SMALL = 1, 6  # PNG compression levels: fast but four times as large, or small but four times as slow


def encode_depth_png(depth: np.ndarray, steps_per_metre: float = STEPS_PER_METRE, compress_level: int = SMALL) -> bytes:
    """Encode a depth map as a 16-bit grey PNG.

    Args:
        depth: (H, W) in metres, 0 where unknown; known depth is clipped to 1 to 65535 steps.
        steps_per_metre: Steps of the PNG per metre.
        compress_level: ``FAST`` or ``SMALL``.
    """
    steps = (depth * steps_per_metre).round().clip(depth > 0, 65535).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(steps).save(stream, format="PNG", compress_level=compress_level)
    return stream.getvalue()


def read_depth_map(path: str | os.PathLike) -> np.ndarray | None:
    """Read a depth map with 256 steps per metre.

    Returns:
        Depth in metres, float32 (h, w), 0 where unknown; None if the file does not exist.

    Raises:
        DataError: The file is damaged or not a 16-bit image.
    """
    if not os.path.isfile(path):
        return None
    with open_image(path, what="Depth map") as image:
        if not image.mode.startswith("I"):
            raise DataError(f"Depth map {path}: got an image of mode {image.mode}, expected 16-bit grey.")
        # Older Pillow versions decode 16-bit images to 32 bits.
        return np.asarray(image).astype(np.uint16).astype(np.float32) / STEPS_PER_METRE
