"""Depth maps as KITTI keeps its improved ground truth: PNG of 16 bits, metres times 256, 0 where unknown."""

import os

import numpy as np
from PIL import Image

from common.errors import DataError


def read_depth_map(path: str) -> np.ndarray | None:
    """Depth in metres, float32 (h, w), 0 where unknown; None where there is no such file.

    Raises DataError where it is damaged or not of 16 bits.
    """
    if not os.path.isfile(path):
        return None
    try:
        with Image.open(path) as image:
            mode, depth = image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"Depth map {path} cannot be read ({error}). Copy it again.") from error
    if not mode.startswith("I"):
        raise DataError(f"Depth map {path}: got a PNG of mode {mode}, expected 16-bit grey.")
    return depth.astype(np.float32) / 256
