"""Diagnostics of a step's predictions, by which the watchdog detects failing training: NumPy, only at logged steps."""

from collections.abc import Mapping

import numpy as np
from paddle import Tensor

from inference.depth_predictor import to_scaled_disp
from layers.self_supervised_loss import SelfSupervisedLoss

PREFIX = "vital/"
_STRIDE = 4  # every fourth row and column gives the same statistics
_NEAR, _FAR = 0.99, 1e-3  # outside this range the sigmoid's gradient nearly vanishes
_ROAD = 0.65  # fraction of the height; rows further down usually show the road and objects on it
_HOLE = 1 / 5  # of the row's median disparity; nothing real below the horizon is that much further away than the road


def compute_diagnostics(batch: Mapping, outputs: Mapping, compute_loss: SelfSupervisedLoss) -> dict[str, float]:
    """Compute the diagnostics of a batch.

    Args:
        batch: the loss's input.
        outputs: "disp/0", and "T_target_to_source/F" and "K/0" if the model predicts them.
        compute_loss: defines the units of disparity and translation.

    Returns:
        - ``vital/disparity``: mean of the sigmoid output, in [0, 1].
        - ``vital/variation``: standard deviation of the sigmoid output within an image, divided by its mean.
        - ``vital/saturated``: fraction of pixels at either end of the sigmoid's range.
        - ``vital/holes``: fraction of the pixels in the lower part of an image with less than 1/5 of the median
          disparity of their row.
        - ``vital/motion``, with temporal sources: image motion of a point at the mean inverse depth under the predicted
          motion to the nearest source, pixels of the networks' input.
    """
    disp = outputs["disp/0"].numpy()[:, 0, ::_STRIDE, ::_STRIDE].astype(np.float64)
    scaled_disp = to_scaled_disp(outputs["disp/0"], *compute_loss.depth_range).astype(np.float64)
    signs = disparity_signs(disp, scaled_disp[:, ::_STRIDE, ::_STRIDE])
    motions = {
        int(key.partition("/")[2]): value for key, value in outputs.items() if key.startswith("T_target_to_source/")
    }
    if motions:
        focal = outputs.get("K/0", batch.get("K/0"))[:, 0, 0].numpy().astype(np.float64)
        mean_disp = scaled_disp.mean(axis=(1, 2))
        # PoseCNN's translation is in units of the frame's mean depth, as in the loss.
        unit = mean_disp if compute_loss.synthesise_views.scale_translation else 1.0
        nearest: Tensor = motions[min(motions, key=abs)]
        signs["motion"] = image_motion(nearest.numpy().astype(np.float64), mean_disp * unit, focal)
    return {PREFIX + name: value for name, value in signs.items()}


def disparity_signs(disp: np.ndarray, scaled_disp: np.ndarray) -> dict[str, float]:
    """Compute mean, variation, saturation and holes of a batch.

    Args:
        disp: (B, H, W), the sigmoid output in [0, 1].
        scaled_disp: (B, H, W), 1 / depth.
    """
    mean = disp.mean(axis=(1, 2))
    road = scaled_disp[:, int(_ROAD * scaled_disp.shape[1]) :]
    holes = road < _HOLE * np.median(road, axis=2, keepdims=True)
    return {
        "disparity": float(mean.mean()),
        "variation": float(np.mean(disp.std(axis=(1, 2)) / mean.clip(1e-12))),
        "saturated": float(np.mean((disp > _NEAR) | (disp < _FAR))),
        "holes": float(holes.mean()),
    }


def image_motion(T: np.ndarray, inverse_depth: np.ndarray, focal: np.ndarray) -> float:
    """Return the mean image motion, in pixels, caused by rotation plus translation.

    Args:
        T: (B, 4, 4), rigid transforms from one camera frame to another.
        inverse_depth: (B,), of the observed point, in the inverse of T's unit.
        focal: (B,), focal length in pixels.
    """
    cosine = (np.trace(T[:, :3, :3], axis1=1, axis2=2) - 1) / 2
    angle = np.arccos(cosine.clip(-1, 1))
    return float(np.mean(focal * (angle + np.linalg.norm(T[:, :3, 3], axis=1) * inverse_depth)))
