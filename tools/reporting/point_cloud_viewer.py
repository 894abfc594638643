"""Point-cloud viewer of the report and the demo page: encoding of the points, and HTML that renders them."""

import base64
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.metrics.point_cloud import back_project

MAX_POINTS = 100_000  # 1.2 MB in the page
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
