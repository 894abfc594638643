"""Depth maps as KITTI keeps its improved ground truth: PNG of 16 bits, metres times 256, 0 where unknown."""

import os
from pathlib import Path

import numpy as np

from common.images import open_image
from errors import DataError


def read_depth_map(path: str) -> np.ndarray | None:
    """Reads depth in metres.

    Returns:
        float32 (h, w), 0 where unknown; None where there is no such file.

    Raises:
        DataError: The file is damaged or not of 16 bits.
    """
    return read_raw_depth(path).astype(np.float32) / 256 if os.path.isfile(path) else None


def read_raw_depth(path: str | Path) -> np.ndarray:
    """Reads the values of a depth map as they are stored.

    Returns:
        uint16 (h, w).

    Raises:
        DataError: The file is missing, damaged, or not of 16 bits.
    """
    with open_image(path, what="Depth map") as image:
        if not image.mode.startswith("I"):
            raise DataError(f"Depth map {path}: got an image of mode {image.mode}, expected 16-bit grey.")
        return np.asarray(image).astype(np.uint16)  # older versions of Pillow give 32 bits
