"""Depth maps in 16-bit grey PNGs, as KITTI keeps its improved ground truth: 256 steps a metre, 0 where unknown."""

import io
import os

import numpy as np
from PIL import Image

from common.errors import DataError
from common.images import open_image

STEPS_PER_METRE = 256  # KITTI's
FAST, SMALL = 1, 6  # compression: the other takes four times as long or as much space


def encode_depth_png(depth: np.ndarray, steps_per_metre: float = STEPS_PER_METRE, compress_level: int = SMALL) -> bytes:
    """Encode a depth map as a 16-bit grey PNG.

    Args:
        depth: (H, W) in metres, 0 where unknown; known depth is limited to the steps 1 to 65535.
        steps_per_metre: what one metre counts as.
        compress_level: ``FAST`` or ``SMALL``.
    """
    steps = (depth * steps_per_metre).round().clip(depth > 0, 65535).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(steps).save(stream, format="PNG", compress_level=compress_level)
    return stream.getvalue()


def read_depth_map(path: str | os.PathLike) -> np.ndarray | None:
    """Read a depth map of 256 steps a metre.

    Returns:
        Metres, float32 (h, w), 0 where unknown; None where there is no such file.

    Raises:
        DataError: it is damaged or not of 16 bits.
    """
    if not os.path.isfile(path):
        return None
    with open_image(path, what="Depth map") as image:
        if not image.mode.startswith("I"):
            raise DataError(f"Depth map {path}: got an image of mode {image.mode}, expected 16-bit grey.")
        # Older versions of Pillow decode 16 bits to 32.
        return np.asarray(image).astype(np.uint16).astype(np.float32) / STEPS_PER_METRE
