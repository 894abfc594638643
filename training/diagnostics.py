"""A step's predictions in a few numbers, which show how a training goes wrong: NumPy, and only at the steps logged."""

from collections.abc import Mapping

import numpy as np
from paddle import Tensor

from inference.depth_predictor import to_scaled_disp
from layers.self_supervised_loss import SelfSupervisedLoss

PREFIX = "vital/"
_STRIDE = 4  # every fourth pixel down and across tells as much
_NEAR, _FAR = 0.99, 1e-3  # beyond these the sigmoid of disparity has hardly a gradient left
_ROAD = 0.65  # share of the height above which the road and what stands on it may end
_HOLE = 1 / 5  # of its row's median disparity: below the horizon nothing real is so much further than the road


def compute_diagnostics(batch: Mapping, outputs: Mapping, compute_loss: SelfSupervisedLoss) -> dict[str, float]:
    """The signs of a batch.

    Args:
        batch: as the loss was given it.
        outputs: "disp/0", and "T_target_to_source/F" and "K/0" where the model gives them.
        compute_loss: says what disparity and motion mean.

    Returns:
        ``vital/disparity``: mean of the sigmoid's output. ``vital/variation``: its standard deviation within an image
        over its mean. ``vital/saturated``: share of pixels at either end of its range. ``vital/holes``: share of the
        pixels of the lower part of an image that are several times further than their row. ``vital/motion``, with
        temporal sources: what the predicted motion to the nearest one comes to in the image, pixels of the networks'
        input, for a point at the mean inverse depth.
    """
    disp = outputs["disp/0"].numpy()[:, 0, ::_STRIDE, ::_STRIDE].astype(np.float64)
    scaled_disp = to_scaled_disp(outputs["disp/0"], *compute_loss.depth_range).astype(np.float64)
    focal = outputs.get("K/0", batch["K/0"])[:, 0, 0].numpy().astype(np.float64)
    signs = disparity_signs(disp, scaled_disp[:, ::_STRIDE, ::_STRIDE])
    motions = {
        int(key.partition("/")[2]): value for key, value in outputs.items() if key.startswith("T_target_to_source/")
    }
    if motions:
        mean_disp = scaled_disp.mean(axis=(1, 2))
        # PoseCNN's translation counts in the frame's mean depth, as in the loss.
        unit = mean_disp if compute_loss.synthesise_views.scale_translation else 1.0
        nearest: Tensor = motions[min(motions, key=abs)]
        signs["motion"] = image_motion(nearest.numpy().astype(np.float64), mean_disp * unit, focal)
    return {PREFIX + name: value for name, value in signs.items()}


def disparity_signs(disp: np.ndarray, scaled_disp: np.ndarray) -> dict[str, float]:
    """Mean, variation, saturation and holes of (B, H, W): the sigmoid's output, and one over depth."""
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
    """Mean over a batch of what moving by T (B, 4, 4) shifts in the image: pixels, by turning plus by moving.

    Args:
        T: rigid transforms.
        inverse_depth: (B,) of the point looked at, in one over T's unit.
        focal: (B,) pixels.
    """
    cosine = (np.trace(T[:, :3, :3], axis1=1, axis2=2) - 1) / 2
    angle = np.arccos(cosine.clip(-1, 1))
    return float(np.mean(focal * (angle + np.linalg.norm(T[:, :3, 3], axis=1) * inverse_depth)))
