"""Point-cloud viewer of the report and the demo page: encoding of the points, and HTML that renders them."""

import base64
import html
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets.transforms import scale_intrinsics
from evaluation.metrics.point_cloud import back_project

MAX_POINTS = 100_000  # 1.2 MB in the page
EDGE = 1.15  # ratio of the depths of adjacent pixels; above it, they are between two objects
SCRIPT = Path(__file__).with_suffix(".js")
STYLE = """
.switch { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1.25rem; margin: 0.5rem 0; }
.switch label { cursor: pointer; }
#points { display: block; width: 100%; cursor: grab; touch-action: none; background: #10141a; }
#points:active { cursor: grabbing; }
"""
# In an iframe the canvas fills the frame and the buttons overlay it.
FRAME_STYLE = """
body { margin: 0; font: 14px system-ui, sans-serif; }
.switch { position: fixed; right: 8px; bottom: 8px; margin: 0; }
.switch button {
  padding: 3px 10px; border: 1px solid #fff5; border-radius: 6px; background: #0008; color: #fff; font: inherit;
  cursor: pointer;
}
#points { height: 100vh; }
"""


def encode_cloud(depth: np.ndarray, image: np.ndarray, K: np.ndarray, far: float) -> dict[str, Any]:
    """Back-project a depth map to coloured points in the camera frame (x right, y down, z forward).

    Args:
        depth: (H, W), 0 where unknown.
        image: uint8 (H, W, 3), RGB.
        K: (3, 3) intrinsics, in pixels of ``depth``.
        far: Points beyond it (sky, for example) are omitted; in the unit of ``depth``.

    Returns:
        "count"; "spacing", the angle between neighbouring points in radians; "unit", the length of 1 in "positions";
        "positions", little-endian int16 (count, 3), and "colours", uint8 (count, 3), both as base64. At most
        ``MAX_POINTS`` points are kept, a random subset with a fixed seed.
    """
    rows, columns = np.nonzero((depth > 0) & (depth <= far))
    if len(rows) > MAX_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(len(rows), MAX_POINTS, replace=False))
        rows, columns = rows[kept], columns[kept]
    points = back_project(depth[rows, columns], rows, columns, K)
    unit = max(float(np.abs(points).max(initial=0.0)), 1e-6) / np.iinfo(np.int16).max
    positions = (points / unit).round().astype("<i2")
    return {
        "count": len(rows),
        "spacing": float(np.sqrt(depth.size / max(len(rows), 1)) / K[0, 0]),
        "unit": unit,
        "positions": _base64(positions),
        "colours": _base64(image[rows, columns]),
    }


def encode_dense_cloud(depth: np.ndarray, image: np.ndarray, K: np.ndarray, far: float) -> dict[str, Any]:
    """Encode a depth map without gaps, at an even spacing and without the points that float between objects.

    A prediction passes smoothly from one object to what is behind it; back-projected, that is a veil which no object
    has.

    Args:
        depth, image, K, far: As in ``encode_cloud``; depth is known everywhere.

    Returns:
        As ``encode_cloud``, and "dense": the viewer closes small gaps between the points of a surface.
    """
    factor = math.sqrt(MAX_POINTS / depth.size)
    if factor < 1:
        size = tuple(max(1, math.floor(side * factor)) for side in depth.shape)
        K = scale_intrinsics(K, depth.shape, size)
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
        depth = cv2.resize(depth, size[::-1], interpolation=cv2.INTER_NEAREST)
    around = np.ones((3, 3), np.uint8)
    on_edge = cv2.dilate(depth, around) > EDGE * cv2.erode(depth, around)
    return {**encode_cloud(np.where(on_edge, 0, depth), image, K, far), "dense": True}


def viewer_html(clouds: Mapping[str, Mapping[str, Any]]) -> str:
    """Build the viewer as an HTML fragment: style, buttons, canvas, data and script.

    A page can contain only one such fragment, because the script finds its elements by id.

    Args:
        clouds: Name -> points from ``encode_cloud``. The first is shown; radio buttons switch between several.
    """
    names = list(clouds) if len(clouds) > 1 else []
    choices = "".join(
        f'<label><input type="radio" name="which" value="{html.escape(name)}"{" checked" if i == 0 else ""}> '
        f"{html.escape(name)}</label>\n"
        for i, name in enumerate(names)
    )
    data = json.dumps({"clouds": clouds}).replace("<", "\\u003c")  # "</script>" in the data would end the element
    return f"""<style>{STYLE}</style>
<p class="switch" role="radiogroup" aria-label="point cloud to show">
{choices}<button type="button" id="reset">Reset view</button>
</p>
<canvas id="points" tabindex="0" role="img" aria-label="interactive point cloud of the frame"></canvas>
<script type="application/json" id="cloud-data">{data}</script>
<script>
{SCRIPT.read_text(encoding="utf-8")}
</script>"""


def framed_viewer_html(clouds: Mapping[str, Mapping[str, Any]]) -> str:
    """Build the viewer in an iframe, isolated from the scripts and element ids of the page."""
    document = f"<!DOCTYPE html>{viewer_html(clouds)}<style>{FRAME_STYLE}</style>"
    return f'<iframe title="Point cloud" sandbox="allow-scripts" srcdoc="{html.escape(document)}"></iframe>'


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
