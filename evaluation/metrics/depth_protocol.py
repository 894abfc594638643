"""Scores scaled disparities against ground truth as the published tables do.

Of every frame: the *disparity* is resized to the ground truth's size, depth is one over it, the crop and the
range of the ground truth choose the pixels, depth is scaled, and only then clipped. The order matters to the
third digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from evaluation.metrics.depth_metrics import METRIC_NAMES, compute_depth_metrics

# Predictions are clipped to between these, in metres, whatever the ground truth.
MIN_DEPTH, MAX_DEPTH = 1e-3, 80.0

# (top, bottom, left, right) as shares of height and width. What the field calls the Eigen crop, and what the
# published tables of the Eigen split are made with, is the one that Garg et al. (ECCV 2016) drew; Eigen et
# al.'s own of 2014 keeps more of the top and cuts the bottom.
_GARG_CROP = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
CROPS: dict[str, tuple[float, float, float, float] | None] = {
    "eigen": _GARG_CROP,
    "garg": _GARG_CROP,
    "eigen_2014": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "none": None,
}


@dataclass(frozen=True)
class DepthProtocol:
    """Which pixels count, and how predictions are scaled.

    Attributes:
        crop: a key of ``CROPS``.
        min_depth, max_depth: ground truth strictly between them counts, in metres.
        median_scaling: whether each frame's prediction is scaled to the median of its ground truth.
        scale_factor: metres of one unit of the network's depth; 5.4 for KITTI's stereo pairs at baseline 0.1.
        cap: predictions beyond are taken for it, in metres.
    """

    crop: str = "eigen"
    min_depth: float = MIN_DEPTH
    max_depth: float = MAX_DEPTH
    median_scaling: bool = True
    scale_factor: float = 1.0
    cap: float = MAX_DEPTH

    @classmethod
    def choose(
        cls,
        kind: str | None,
        eval_crop: str,
        *,
        median_scaling: bool = True,
        scale_factor: float = 1.0,
        cap: float = MAX_DEPTH,
    ) -> "DepthProtocol":
        """The protocol of ``--eval_crop`` for one kind of ground truth.

        Args:
            kind: "lidar", "improved", or None where a file does not say (taken as lidar).
            eval_crop: "auto", or a key of ``CROPS``. "auto" is the Eigen crop and range for lidar, and every
                pixel with ground truth for the improved one, as published for each; "none" is every pixel
                too.
            cap: ground truth and predictions end here, in metres; only at 80, and without a crop, does ground
                truth beyond count, as published.
        """
        crop = ("none" if kind == "improved" else "eigen") if eval_crop == "auto" else eval_crop
        everything = crop == "none"
        min_depth = 0.0 if everything else MIN_DEPTH
        max_depth = float("inf") if everything and cap == MAX_DEPTH else cap
        return cls(crop, min_depth, max_depth, median_scaling, scale_factor, cap)

    def to_depth(self, scaled_disp: np.ndarray, ratio: float = 1.0) -> np.ndarray:
        """Convert disparity to metric depth: scale, then clip.

        Args:
            scaled_disp: float32, one over depth in the network's units, of any shape.
            ratio: what median scaling multiplies the frame by.

        Returns:
            float32 of the same shape, metres, between ``MIN_DEPTH`` and ``cap``.
        """
        # In float32 throughout, as the published numbers are.
        return np.clip(self._unclipped(scaled_disp) * np.float32(ratio), MIN_DEPTH, self.cap)

    def median_ratio(self, scaled_disp: np.ndarray, gt: np.ndarray) -> float:
        """Find what median scaling multiplies a frame by: median of the truth / median of the prediction.

        Args:
            scaled_disp, gt: (P,) float32, of the pixels that count.

        Returns:
            The ratio; 1 without median scaling.
        """
        return float(np.median(gt) / np.median(self._unclipped(scaled_disp))) if self.median_scaling else 1.0

    def _unclipped(self, scaled_disp: np.ndarray) -> np.ndarray:
        return 1 / scaled_disp * np.float32(self.scale_factor)

    def window(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns that the crop leaves of ground truth of this (height, width)."""
        crop = CROPS[self.crop]
        if crop is None:
            return slice(0, size[0]), slice(0, size[1])
        top, bottom, left, right = (np.array(crop) * (size[0], size[0], size[1], size[1])).astype(np.int32)
        return slice(top, bottom), slice(left, right)

    def valid_mask(self, gt: np.ndarray) -> np.ndarray:
        """Pixels of ``gt`` (h, w) that count: bool (h, w)."""
        window = self.window(gt.shape)
        mask = np.zeros(gt.shape, dtype=bool)
        mask[window] = self.in_range(gt[window])
        return mask

    def in_range(self, gt: np.ndarray) -> np.ndarray:
        """Where ground truth of any shape is known and not too far: bool, of its shape."""
        return (gt > self.min_depth) & (gt < self.max_depth)


class FrameScore(NamedTuple):
    """Of one frame: ``metrics`` (7,) as ``METRIC_NAMES``; ``ratio``, what median scaling multiplied by."""

    metrics: np.ndarray
    ratio: float


@dataclass(frozen=True)
class DepthEvaluation:
    """What came out for N frames; rows of skipped frames are NaN.

    Attributes:
        metrics: (N, 7), columns as ``METRIC_NAMES``.
        ratios: (N,) what median scaling multiplied by; 1 without it.
        means: the seven metrics averaged over the frames that counted.
        skipped: frames without ground truth that counts, by name.
    """

    metrics: np.ndarray
    ratios: np.ndarray
    means: dict[str, float]
    skipped: tuple[str, ...]


def evaluate_depths(
    scaled_disps: np.ndarray,
    ground_truths: Sequence[np.ndarray | None],
    protocol: DepthProtocol,
    names: Sequence[str] | None = None,
) -> DepthEvaluation:
    """Scores N frames.

    Args:
        scaled_disps: (N, h, w) floating point, positive: one over depth in the network's units.
        ground_truths: N arrays (H, W), metres, 0 where unknown, of any sizes; None for a frame without.
        names: of the frames, for messages; by default their numbers.

    Raises:
        ValueError: a wrong shape or type, other numbers of frames, disparities that are not positive and
            finite, or no frame with ground truth that counts.
    """
    names = [f"frame {i}" for i in range(len(ground_truths))] if names is None else names
    if scaled_disps.ndim != 3:
        raise ValueError(f"disparities should be of shape (frames, height, width); theirs is {scaled_disps.shape}.")
    if not len(scaled_disps) == len(ground_truths) == len(names):
        raise ValueError(
            f"there are disparities for {len(scaled_disps)} frames, ground truth for {len(ground_truths)}, "
            f"and {len(names)} names: they must be those of one split, in its order."
        )
    scores = [
        None if gt is None else evaluate_frame(scaled_disp, gt, protocol, name)
        for scaled_disp, gt, name in zip(scaled_disps, ground_truths, names, strict=True)
    ]
    return collect_scores(scores, protocol, names)


def collect_scores(
    scores: Sequence[FrameScore | None], protocol: DepthProtocol, names: Sequence[str]
) -> DepthEvaluation:
    """The scores of N frames together.

    Args:
        scores: of `evaluate_frame`; None for a frame without ground truth that counts.
        protocol: of all of them.
        names: of the frames.

    Raises:
        ValueError: no frame has ground truth that counts.
    """
    skipped = tuple(name for name, score in zip(names, scores, strict=True) if score is None)
    if len(skipped) == len(names):
        raise ValueError(
            f"none of the {len(names)} frames has ground truth that counts (crop {protocol.crop}, "
            f"{protocol.min_depth:g} to {protocol.max_depth:g} m): check it, or use --eval_crop none."
        )
    nothing = FrameScore(np.full(len(METRIC_NAMES), np.nan), np.nan)
    metrics, ratios = map(np.stack, zip(*(score or nothing for score in scores), strict=True))
    means = dict(zip(METRIC_NAMES, np.nanmean(metrics, axis=0).tolist(), strict=True))
    return DepthEvaluation(metrics, ratios, means, skipped)


def evaluate_frame(
    scaled_disp: np.ndarray, gt: np.ndarray, protocol: DepthProtocol, name: str = "frame"
) -> FrameScore | None:
    """Scores one frame; None where no pixel of the ground truth counts.

    Args:
        scaled_disp: (h, w) floating point, positive: one over depth in the network's units.
        gt: (H, W), metres, 0 where unknown.
        name: for messages.

    Raises:
        ValueError: a wrong shape or type, or disparities that are not positive and finite.
    """
    check_disparity(scaled_disp, name)
    _check_map(gt, f"{name}: its ground truth")
    window = protocol.window(gt.shape)
    mask = protocol.in_range(gt[window])
    if not mask.any():
        return None
    disp = resize_disparity(scaled_disp, gt.shape)[window][mask]
    gt = gt[window][mask].astype(np.float32, copy=False)
    ratio = protocol.median_ratio(disp, gt)
    scores = compute_depth_metrics(gt, protocol.to_depth(disp, ratio))
    return FrameScore(np.array([scores[metric] for metric in METRIC_NAMES]), ratio)


def resize_disparity(scaled_disp: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Disparity (h, w) at another (height, width), float32, bilinear: what is resized is never depth."""
    return cv2.resize(scaled_disp.astype(np.float32, copy=False), size[::-1], interpolation=cv2.INTER_LINEAR)


def check_disparity(scaled_disp: np.ndarray, name: str) -> None:
    """Check that disparities are (h, w), floating point, positive and finite, as must be one over them in float32.

    Raises:
        ValueError: they are not; the message begins with ``name``, the frame's.
    """
    _check_map(scaled_disp, f"{name}: its disparities")
    with np.errstate(over="ignore"):
        single = scaled_disp.astype(np.float32, copy=False)
    if not (np.isfinite(single) & (single >= np.finfo(np.float32).tiny)).all():
        raise ValueError(
            f"{name}: its disparities are not all positive and finite; 1 / depth (scaled_disp) was expected."
        )


def _check_map(array: np.ndarray, what: str) -> None:
    if array.ndim != 2 or 0 in array.shape or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{what} should be floating-point numbers of shape (height, width); "
            f"found: {array.dtype} of shape {array.shape}."
        )
