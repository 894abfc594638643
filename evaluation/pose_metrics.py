"""How far predicted camera motion is from the truth."""

import numpy as np

from errors import DataError

SNIPPET_MOTIONS = 4  # five poses, as in the paper


def snippet_errors(gt_motions: np.ndarray, pred_motions: np.ndarray, length: int = SNIPPET_MOTIONS) -> np.ndarray:
    """Absolute trajectory error of every snippet of consecutive frames (supplementary material, section on odometry).

    Each snippet starts at the origin; the prediction is scaled to the truth by least squares. The error is the root of
    the summed squared distances divided by the number of poses, as published (not the root of their mean).

    Args:
        gt_motions, pred_motions: (N, 4, 4), motions from frame to frame.
        length: motions in a snippet.

    Returns:
        (N - length + 1,), in the truth's unit.

    Raises:
        DataError: other shapes, or fewer motions than a snippet.
    """
    if gt_motions.shape != pred_motions.shape or gt_motions.shape[1:] != (4, 4) or len(gt_motions) < length:
        raise DataError(
            f"motions of shape {gt_motions.shape} and {pred_motions.shape}: both should be (N, 4, 4), N >= {length}."
        )
    errors = []
    for start in range(len(gt_motions) - length + 1):
        gt, pred = (_positions(motions[start : start + length]) for motions in (gt_motions, pred_motions))
        scale = np.sum(gt * pred) / np.sum(pred**2)
        errors.append(np.sqrt(np.sum((scale * pred - gt) ** 2)) / len(gt))
    return np.array(errors)


def _positions(motions: np.ndarray) -> np.ndarray:
    """Where the camera is before and after each motion: (N + 1, 3), from the origin."""
    pose = np.eye(4)
    positions = [pose[:3, 3]]
    for motion in motions:
        pose = pose @ motion
        positions.append(pose[:3, 3])
    return np.stack(positions)
