"""Prediction: weights and images in; depth, motion and files out.

``from inference import DepthPredictor, PosePredictor`` imports Paddle; importing the package alone does not.
"""

import importlib
from typing import Any

_PREDICTORS = {"DepthPredictor": "inference.depth_predictor", "PosePredictor": "inference.pose_predictor"}

__all__ = ["DepthPredictor", "PosePredictor"]


def __getattr__(name: str) -> Any:
    """Import a predictor on first access, so that scripts start without Paddle."""
    if name not in _PREDICTORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PREDICTORS[name]), name)
