"""Measure errors of predicted camera motion: snippets, KITTI's errors by segment length, aligned trajectories.

Poses and motions are those of ``evaluation.metrics.trajectories``; lengths have the unit of the true poses, metres.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from evaluation.metrics.trajectories import chain, chain_motions, motions_between

SNIPPET_MOTIONS = 4  # five poses, as in the paper
# As in KITTI's development kit: segment lengths in metres, and frames between segment starts.
SEGMENT_LENGTHS = (100, 200, 300, 400, 500, 600, 700, 800)
SEGMENT_STEP = 10


@dataclass(frozen=True)
class SegmentErrors:
    """KITTI's errors, averaged over segments.

    Attributes:
        t_rel: Translation error, percent.
        r_rel: Rotation error, degrees per 100 m.
        segments: Number of segments.
    """

    t_rel: float
    r_rel: float
    segments: int


@dataclass(frozen=True, eq=False)
class PoseEvaluation:
    """Scores of one predicted trajectory.

    Attributes:
        ate_5, ate_5_std: Mean and standard deviation of the 5-frame snippet errors, metres.
        kitti: KITTI's errors over all segments; None for drives shorter than 100 m.
        by_length: KITTI's errors by segment length.
        ate_sim3, ate_se3: Root mean square distance after alignment with and without scale, metres.
        sim3_scale: Scale of the Sim(3) alignment: 1 if the predicted translations have the true length.
        rpe_translation, rpe_rotation: Relative pose error from each frame to the next, at the scale of ``poses``: root
            mean squares, metres and degrees.
        scale: Factor on the predicted translations for KITTI's and the relative errors and ``poses``.
        poses: (N, 4, 4), the predicted trajectory at this scale, starting at the identity.
        aligned: (N, 3), its positions aligned to the true ones.
    """

    ate_5: float
    ate_5_std: float
    kitti: SegmentErrors | None
    by_length: dict[int, SegmentErrors]
    ate_sim3: float
    ate_se3: float
    sim3_scale: float
    rpe_translation: float
    rpe_rotation: float
    scale: float
    poses: np.ndarray
    aligned: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Return the scores as JSON-compatible values; ``t_rel`` and ``r_rel`` are None if ``kitti`` is None."""
        names = ("ate_5", "ate_5_std", "ate_sim3", "ate_se3", "sim3_scale", "rpe_translation", "rpe_rotation", "scale")
        return {
            **{name: float(getattr(self, name)) for name in names},
            "t_rel": self.kitti.t_rel if self.kitti else None,
            "r_rel": self.kitti.r_rel if self.kitti else None,
            "by_length": {str(length): asdict(errors) for length, errors in self.by_length.items()},
        }


def evaluate_poses(
    gt_poses: np.ndarray, pred_motions: np.ndarray, *, align_scale: bool, scale_factor: float = 1.0
) -> PoseEvaluation:
    """Compute all metrics of one trajectory.

    Args:
        gt_poses: (N, 4, 4), starting at the identity, N > ``SNIPPET_MOTIONS``.
        pred_motions: (N - 1, 4, 4).
        align_scale: Multiply the prediction by the scale of its Sim(3) alignment before computing KITTI's errors.
        scale_factor: Multiply the prediction by this first.

    Raises:
        ValueError: The shapes differ, there are too few frames, or a motion is not finite.
    """
    broken = np.flatnonzero(~np.isfinite(pred_motions).all(axis=(1, 2)))
    if len(broken):
        raise ValueError(
            f"{len(broken)} predicted motions are not finite, the first from frame {broken[0]} to the next. "
            "Check the weights: they are damaged, or training diverged."
        )
    snippets = snippet_errors(motions_between(gt_poses), pred_motions, with_tail=True)
    poses = chain_motions(pred_motions)
    poses[:, :3, 3] *= scale_factor
    gt, pred = gt_poses[:, :3, 3], poses[:, :3, 3].copy()
    by_sim3, by_se3 = (align(gt, pred, with_scale) for with_scale in (True, False))
    chosen = by_sim3 if align_scale else by_se3
    poses[:, :3, 3] *= chosen.scale
    segments = segment_errors(gt_poses, poses)
    rpe_translation, rpe_rotation = np.sqrt(np.mean(relative_errors(gt_poses, poses) ** 2, axis=0))
    return PoseEvaluation(
        ate_5=snippets.mean(),
        ate_5_std=snippets.std(),
        kitti=_mean_errors(np.concatenate(list(segments.values()))) if segments else None,
        by_length={length: _mean_errors(errors) for length, errors in segments.items()},
        ate_sim3=rms_distance(gt, by_sim3(pred)),
        ate_se3=rms_distance(gt, by_se3(pred)),
        sim3_scale=by_sim3.scale,
        rpe_translation=rpe_translation,
        rpe_rotation=rpe_rotation,
        scale=scale_factor * chosen.scale,
        poses=poses,
        aligned=chosen(pred),
    )


def snippet_errors(
    gt_motions: np.ndarray, pred_motions: np.ndarray, length: int = SNIPPET_MOTIONS, with_tail: bool = False
) -> np.ndarray:
    """Compute the absolute trajectory error of every snippet of consecutive frames (supplementary material, odometry).

    Each snippet starts at the origin, and the prediction is scaled to the ground truth by least squares. The error is
    the root of the summed squared distances divided by the number of poses, as published (not the root of their mean).

    Args:
        gt_motions, pred_motions: (N, 4, 4), motions from each frame to the next.
        length: Motions per snippet.
        with_tail: Include the ``length - 1`` shorter snippets at the end, as the published means do.

    Returns:
        (N - length + 1,), or (N,) with the tail, in the unit of the ground truth.

    Raises:
        ValueError: The shapes differ, or there are fewer motions than in a snippet.
    """
    if gt_motions.shape != pred_motions.shape or gt_motions.shape[1:] != (4, 4) or len(gt_motions) < length:
        raise ValueError(
            f"Motions have shapes {gt_motions.shape} and {pred_motions.shape}; expected (N, 4, 4) with N >= {length}."
        )
    errors = []
    for start in range(len(gt_motions) - (0 if with_tail else length - 1)):
        # Chained motion after motion, as published. This is neither the camera path nor its inverse, but the same for
        # both.
        gt, pred = (chain(motions[start : start + length])[:, :3, 3] for motions in (gt_motions, pred_motions))
        squares = np.sum(pred**2)
        scale = np.sum(gt * pred) / squares if squares else 0.0  # 0 for a prediction without motion
        errors.append(np.sqrt(np.sum((scale * pred - gt) ** 2)) / len(gt))
    return np.array(errors)


def segment_errors(gt_poses: np.ndarray, pred_poses: np.ndarray) -> dict[int, np.ndarray]:
    """Compute the errors of path segments as in KITTI's development kit (Geiger et al., CVPR 2012).

    A segment starts at every tenth frame and ends at the first frame whose distance along the true path exceeds the
    segment's length. Its error is the residual between the true and the predicted motion from its first to its last
    frame.

    Returns:
        Length -> (K, 2): translation in percent of the length, rotation in degrees per 100 m. Lengths without a segment
        are omitted.
    """
    steps = np.linalg.norm(np.diff(gt_poses[:, :3, 3], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    errors: dict[int, np.ndarray] = {}
    for length in SEGMENT_LENGTHS:
        firsts = np.arange(0, len(gt_poses), SEGMENT_STEP)
        lasts = np.searchsorted(along, along[firsts] + length, side="right")
        firsts, lasts = firsts[lasts < len(gt_poses)], lasts[lasts < len(gt_poses)]
        if not len(firsts):
            break
        gt, pred = (np.linalg.inv(poses[firsts]) @ poses[lasts] for poses in (gt_poses, pred_poses))
        errors[length] = _residuals(gt, pred) / length * 100
    return errors


def relative_errors(gt_poses: np.ndarray, pred_poses: np.ndarray) -> np.ndarray:
    """Compute the relative pose error from each frame to the next (Sturm et al., IROS 2012, eq. 1, an interval of 1).

    Rotations are made orthonormal first, unlike those of ``segment_errors``: KITTI's files have seven digits, whose
    rounding is not small compared with the cosine of an angle of 0.1 degrees.

    Returns:
        (N - 1, 2): length of the residual translation, in the unit of the poses, and its rotation in degrees.
    """
    gt, pred = (np.linalg.inv(poses[:-1]) @ poses[1:] for poses in (gt_poses, pred_poses))
    lengths = _residuals(gt, pred)[:, 0]
    rotations = Rotation.from_matrix((np.linalg.inv(pred) @ gt)[:, :3, :3])
    return np.stack([lengths, np.degrees(rotations.magnitude())], axis=1)


def _residuals(gt: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Compute length and angle in degrees (K, 2) of the transforms (K, 4, 4) from predicted to true ones."""
    left = np.linalg.inv(pred) @ gt
    cosines = (np.trace(left[:, :3, :3], axis1=1, axis2=2) - 1) / 2
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return np.stack([np.linalg.norm(left[:, :3, 3], axis=1), angles], axis=1)


@dataclass(frozen=True, eq=False)
class Alignment:
    """Similarity transform from predicted to true positions: X -> scale * R X + translation."""

    scale: float
    R: np.ndarray
    translation: np.ndarray

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Align positions (N, 3)."""
        return self.scale * positions @ self.R.T + self.translation


def align(gt: np.ndarray, pred: np.ndarray, with_scale: bool) -> Alignment:
    """Compute the similarity or rigid transform that best maps ``pred`` to ``gt`` (Umeyama, PAMI 1991, eq. 40 to 43).

    Args:
        gt, pred: (N, 3), positions.
        with_scale: Sim(3); else SE(3), with scale 1.
    """
    gt_mean, pred_mean = gt.mean(axis=0), pred.mean(axis=0)
    covariance = (gt - gt_mean).T @ (pred - pred_mean) / len(gt)
    U, singular, Vt = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])  # rotation, no reflection
    R = U * signs @ Vt
    scale = 1.0
    if with_scale:
        variance = np.mean(np.sum((pred - pred_mean) ** 2, axis=1))
        scale = float(singular @ signs / variance) if variance else 0.0  # 0 for a prediction without motion
    return Alignment(scale, R, gt_mean - scale * R @ pred_mean)


def rms_distance(gt: np.ndarray, pred: np.ndarray) -> float:
    """Compute the root mean square distance between positions (N, 3)."""
    return float(np.sqrt(np.mean(np.sum((gt - pred) ** 2, axis=1))))


def _mean_errors(errors: np.ndarray) -> SegmentErrors:
    t_rel, r_rel = errors.mean(axis=0)
    return SegmentErrors(float(t_rel), float(r_rel), len(errors))
