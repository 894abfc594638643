"""Compare an exported model with the networks, and measure the effect of its own resizing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from datasets.lanczos import resize_lanczos
from inference.export.engines import Run

if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor

TOLERANCE, TOLERANCE_FP16 = 1e-4, 1e-2  # relative to depth


def difference_on_same_input(run: Run, predictor: "DepthPredictor", frames: Sequence[np.ndarray], bare: bool) -> float:
    """Return the largest difference between the model's depth and the networks', relative to depth.

    Both get frames resized to the input size, which excludes the effect of resizing: first a single frame, then all
    frames in one batch.

    Args:
        run: The exported model.
        predictor: The networks before the export.
        frames: uint8 (H, W, 3), RGB, any sizes.
        bare: Whether the model contains only the networks.
    """
    network_inputs = [resize_lanczos(Image.fromarray(frame), *predictor.size) for frame in frames]
    resized = [np.ascontiguousarray(image.transpose(1, 2, 0)) for image in network_inputs]
    depths = np.stack([prediction.depth for prediction in predictor(resized)])
    batch = np.stack(resized)
    unit = np.float32(1.0 if predictor.scale is None else predictor.scale)
    if bare:
        batch = np.stack(network_inputs).astype(np.float32) / 255
    outputs = [run(batch[:1]), run(batch)]
    if bare:
        outputs = [unit / scaled_disp for scaled_disp in outputs]
    expected = [depths[:1], depths]
    return max(float(np.abs(a / b - 1).max()) for a, b in zip(outputs, expected, strict=True))


def difference_of_resizing(run: Run, predictor: "DepthPredictor", frames: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the mean and largest difference of depth, relative to it, if the model resizes the frames itself.

    ``DepthPredictor`` resizes with Pillow and OpenCV.
    """
    differences = [np.abs(run(frame[np.newaxis])[0] / predictor(frame).depth - 1) for frame in frames]
    return float(np.mean([d.mean() for d in differences])), float(max(d.max() for d in differences))
