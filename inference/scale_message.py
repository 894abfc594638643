"""Describe the unit of predicted depth, and where its scale comes from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # imports Paddle, which a mistyped option must not wait for
    from inference.depth_predictor import DepthPredictor
    from inference.export.engines import ExportedPredictor


def describe_unit(
    predictor: "DepthPredictor | ExportedPredictor",
    camera_height: float | None = None,
    road_scales: Sequence[float] = (),
) -> str:
    """Describe the unit of depth, the scale (metres per scene unit) and its source, in one line.

    Args:
        predictor: Depth predictor.
        camera_height: Height of the camera above the road, metres, if it sets the scales instead of the predictor.
        road_scales: Scales found with it, one per image or frame.
    """
    if camera_height is not None:
        text = f"Depth in metres: camera height {camera_height:g} m"
        if not road_scales:
            return text
        text += f", scale {np.median(road_scales):.3g}"
        span = f"{min(road_scales):.3g} to {max(road_scales):.3g}"
        return text if len(road_scales) == 1 else f"{text} (median of {len(road_scales)} images, {span})"
    if predictor.scale is None:
        return "Depth is relative: these weights have no metric scale"
    return f"Depth in metres: {predictor.scale_source} {predictor.scale:.3g}"
