"""Depth and image as points that a page can hold."""

import base64
from typing import Any

import numpy as np

MAX_POINTS = 30_000


def encode_cloud(depth: np.ndarray, image: np.ndarray, K: np.ndarray, far: float) -> dict[str, Any]:
    """Points of a depth map, in its camera's frame (x right, y down, z forward), coloured by the image.

    Args:
        depth: (H, W), 0 where unknown.
        image: uint8 (H, W, 3), RGB.
        K: (3, 3), pixels of ``depth``.
        far: points beyond it, sky say, are left out; in the depth's unit.

    Returns:
        "count"; "spacing", the angle between neighbours, radians; "unit", the length of 1 in "positions";
        "positions", little-endian int16 (count, 3), and "colours", uint8 (count, 3), both as base64. Of more than
        ``MAX_POINTS`` points a random choice, always the same, is kept.
    """
    rows, columns = np.nonzero((depth > 0) & (depth <= far))
    if len(rows) > MAX_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(len(rows), MAX_POINTS, replace=False))
        rows, columns = rows[kept], columns[kept]
    pixels = np.stack([columns, rows, np.ones_like(rows)]).astype(np.float64)  # (3, N)
    points = (np.linalg.inv(K) @ pixels * depth[rows, columns]).T
    unit = max(float(np.abs(points).max(initial=0.0)), 1e-6) / np.iinfo(np.int16).max
    positions = (points / unit).round().astype("<i2")
    return {
        "count": len(rows),
        "spacing": float(np.sqrt(depth.size / max(len(rows), 1)) / K[0, 0]),
        "unit": unit,
        "positions": _base64(positions),
        "colours": _base64(image[rows, columns]),
    }


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
