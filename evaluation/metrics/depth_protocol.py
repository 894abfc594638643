"""Score scaled disparities against ground truth as in the published tables.

For each frame: resize the *disparity* to the size of the ground truth, invert it to depth, select pixels by crop and
ground-truth range, scale the depth, and only then clip it. The order changes the third digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluation.metrics.alignment import Alignment, disparity_moments, solve_moments
from evaluation.metrics.depth_metrics import METRIC_NAMES, compute_depth_metrics
from evaluation.metrics.disparity_maps import check_disparity, check_map, resize_disparity

# Predictions are clipped to this range in metres, regardless of the ground truth.
MIN_DEPTH, MAX_DEPTH = 1e-3, 80.0

# (top, bottom, left, right) as shares of height and width. Published tables of the Eigen split use the crop of
# Garg et al. (ECCV 2016) under the name "Eigen crop". The crop of Eigen et al. (2014) keeps more of the top and cuts
# the bottom.
_GARG_CROP = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
CROPS: dict[str, tuple[float, float, float, float] | None] = {
    "eigen": _GARG_CROP,
    "garg": _GARG_CROP,
    "eigen_2014": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "none": None,
    # Of ``dataset_protocols``: rows from 256 and columns 192 to 1855 of 2048x768; the crop of Eigen et al. for 640x480.
    "cityscapes": (256 / 768, 1.0, 192 / 2048, 1856 / 2048),
    "nyuv2": (45 / 480, 471 / 480, 41 / 640, 601 / 640),
}

FITS = {"lstsq": "the scale of disparity", "affine": "scale and shift of disparity"}
_UNALIGNED = Alignment()


@dataclass(frozen=True)
class DepthProtocol:
    """Selection of pixels, and scaling of predictions.

    Attributes:
        crop: Key of ``CROPS``.
        min_depth, max_depth: Ground truth strictly between them is scored, metres.
        median_scaling: Whether to scale each frame's prediction to the median of its ground truth.
        scale_factor: Metres per unit of predicted depth; 5.4 for KITTI's stereo pairs at baseline 0.1.
        cap: Maximum of predicted depth after clipping, metres.
        log10: Whether tables also report the RMSE of the decadic logarithm.
        disparity_fit: Instead of median scaling, a least-squares fit of disparity: "lstsq" of its scale, "affine" of
            scale and shift; None for neither.
        per_dataset: Whether all frames share one alignment: the median of the frames' median ratios, or the fit to the
            scored pixels of all frames.

    Raises:
        ValueError: ``disparity_fit`` is unknown, or given together with ``median_scaling``.
    """

    crop: str = "eigen"
    min_depth: float = MIN_DEPTH
    max_depth: float = MAX_DEPTH
    median_scaling: bool = True
    scale_factor: float = 1.0
    cap: float = MAX_DEPTH
    log10: bool = False
    disparity_fit: str | None = None
    per_dataset: bool = False

    def __post_init__(self) -> None:
        if self.disparity_fit not in (None, *FITS):
            raise ValueError(f"disparity_fit: got {self.disparity_fit!r}, allowed: {', '.join(FITS)} or None")
        if self.median_scaling and self.disparity_fit:
            raise ValueError(f"disparity_fit {self.disparity_fit} replaces median scaling: pass median_scaling=False")

    @classmethod
    def choose(
        cls,
        kind: str | None,
        eval_crop: str,
        *,
        median_scaling: bool = True,
        scale_factor: float = 1.0,
        cap: float = MAX_DEPTH,
        disparity_fit: str | None = None,
        per_dataset: bool = False,
    ) -> "DepthProtocol":
        """Choose the protocol of ``--eval_crop`` for one kind of ground truth.

        Args:
            kind: "lidar", "improved", or None if the file does not name it (treated as lidar).
            eval_crop: "auto" or a key of ``CROPS``. As published, "auto" uses the Eigen crop and range for lidar, and
                every pixel with ground truth for improved ground truth. "none" is every pixel too.
            cap: Limit of ground truth and predictions, metres. At 80 without a crop, ground truth beyond the cap is
                scored too, as published.
        """
        crop = ("none" if kind == "improved" else "eigen") if eval_crop == "auto" else eval_crop
        everything = crop == "none"
        min_depth = 0.0 if everything else MIN_DEPTH
        max_depth = float("inf") if everything and cap == MAX_DEPTH else cap
        aligned = {"disparity_fit": disparity_fit, "per_dataset": per_dataset}
        return cls(crop, min_depth, max_depth, median_scaling, scale_factor, cap, **aligned)

    def describe(self) -> str:
        """Describe which pixels are scored: crop with its share of the image, and cap."""
        crop = CROPS[self.crop]
        share = "all pixels" if crop is None else f"{(crop[1] - crop[0]) * (crop[3] - crop[2]):.0%} of the image"
        return f"crop {self.crop} ({share}), cap {self.cap:g} m"

    @property
    def aligns(self) -> bool:
        """Whether predictions are aligned with the ground truth."""
        return self.median_scaling or self.disparity_fit is not None

    def describe_scaling(self) -> str:
        """Describe how predictions become metric."""
        if not self.aligns:
            return f"depth scaled by {self.scale_factor:g}"
        how = "median scaling" if self.median_scaling else f"least-squares fit of {FITS[str(self.disparity_fit)]}"
        return how + (", one for all frames" if self.per_dataset else "")

    def to_depth(self, scaled_disp: np.ndarray, alignment: Alignment = _UNALIGNED) -> np.ndarray:
        """Convert disparity to metric depth: scale, then clip.

        Args:
            scaled_disp: float32, 1 / depth in scene units, any shape.
            alignment: Alignment with the ground truth; a shift may move points beyond the cap or behind the camera,
                which counts as the cap.

        Returns:
            float32 of the same shape, metres, in [``MIN_DEPTH``, ``cap``].
        """
        # float32 throughout, like the published numbers.
        depth = self._unclipped(scaled_disp) * np.float32(alignment.ratio)
        if alignment.shift or not np.isfinite(alignment.ratio):
            depth = 1 / np.maximum(1 / depth + np.float32(alignment.shift), np.float32(1 / self.cap))
        return np.clip(depth, MIN_DEPTH, self.cap)

    def alignment_statistics(self, scaled_disp: np.ndarray, gt: np.ndarray) -> np.ndarray:
        """Summarise a frame for ``alignment_of``.

        Args:
            scaled_disp, gt: (P,) float32, scored pixels only.

        Returns:
            The ratio of median true depth to median predicted depth, (1,); for a fit the sums of
            ``disparity_moments``, (5,).
        """
        if self.disparity_fit:
            return disparity_moments(gt, 1 / self._unclipped(scaled_disp))
        return np.array([np.median(gt) / np.median(self._unclipped(scaled_disp))])

    def alignment_of(self, statistics: Sequence[np.ndarray]) -> Alignment:
        """Compute the alignment that one or more frames share, from their ``alignment_statistics``.

        Median scaling takes the median of the frames' ratios (supplementary material of Monodepth2, on scoring with a
        single scale); a fit has the least sum of squares over the pixels of all frames.
        """
        if not self.aligns:
            return _UNALIGNED
        if self.disparity_fit:
            return solve_moments(np.sum(statistics, axis=0), self.disparity_fit == "affine")
        return Alignment(float(np.median(statistics)))

    def _unclipped(self, scaled_disp: np.ndarray) -> np.ndarray:
        return 1 / scaled_disp * np.float32(self.scale_factor)

    def window(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns inside the crop, for ground truth of this (height, width)."""
        crop = CROPS[self.crop]
        if crop is None:
            return slice(0, size[0]), slice(0, size[1])
        top, bottom, left, right = (np.array(crop) * (size[0], size[0], size[1], size[1])).astype(np.int32)
        return slice(top, bottom), slice(left, right)

    def valid_mask(self, gt: np.ndarray) -> np.ndarray:
        """Return which pixels of ``gt`` (h, w) are scored: bool (h, w)."""
        window = self.window(gt.shape)
        mask = np.zeros(gt.shape, dtype=bool)
        mask[window] = self.in_range(gt[window])
        return mask

    def in_range(self, gt: np.ndarray) -> np.ndarray:
        """Return where ground truth of any shape is known and within range: bool of that shape."""
        return (gt > self.min_depth) & (gt < self.max_depth)


class FrameScore(NamedTuple):
    """Score of one frame.

    Attributes:
        metrics: (7,) in the order of ``METRIC_NAMES``.
        alignment: Alignment with the ground truth.
    """

    metrics: np.ndarray
    alignment: Alignment


@dataclass(frozen=True)
class DepthEvaluation:
    """Scores of N frames; rows of skipped frames are NaN.

    Attributes:
        metrics: (N, 7), columns in the order of ``METRIC_NAMES``.
        ratios: (N,) factors of ``Alignment``; 1 without alignment.
        means: The seven metrics, averaged over scored frames.
        skipped: Names of frames without valid ground truth.
        shifts: (N,) shifts of ``Alignment``; None if all are 0.
    """

    metrics: np.ndarray
    ratios: np.ndarray
    means: dict[str, float]
    skipped: tuple[str, ...]
    shifts: np.ndarray | None = None

    def alignment(self, number: int) -> Alignment:
        """Return the alignment of a frame by its number."""
        return Alignment(float(self.ratios[number]), 0.0 if self.shifts is None else float(self.shifts[number]))


def evaluate_depths(
    scaled_disps: np.ndarray,
    ground_truths: Sequence[np.ndarray | None],
    protocol: DepthProtocol,
    names: Sequence[str] | None = None,
) -> DepthEvaluation:
    """Score N frames.

    Args:
        scaled_disps: (N, h, w) floating point, positive: 1 / depth in scene units.
        ground_truths: N arrays (H, W) of any sizes, metres, 0 where unknown; None for a frame without ground truth.
        names: Frame names for messages; None uses their numbers.

    Raises:
        ValueError: An array has a wrong shape or type, the numbers of frames differ, disparities are not positive and
            finite, or no frame has valid ground truth.
    """
    names = [f"frame {i}" for i in range(len(ground_truths))] if names is None else names
    if scaled_disps.ndim != 3:
        raise ValueError(f"Disparities have shape {scaled_disps.shape}; expected (frames, height, width).")
    if not len(scaled_disps) == len(ground_truths) == len(names):
        raise ValueError(
            f"Got disparities for {len(scaled_disps)} frames, ground truth for {len(ground_truths)}, and "
            f"{len(names)} names; expected one of each per frame, in the order of the split."
        )
    frames = list(zip(scaled_disps, ground_truths, names, strict=True))
    shared = None
    if protocol.per_dataset and protocol.aligns:
        statistics = [frame_statistics(disp, gt, protocol, name) for disp, gt, name in frames if gt is not None]
        shared = shared_alignment(statistics, protocol)
    scores = [None if gt is None else evaluate_frame(disp, gt, protocol, name, shared) for disp, gt, name in frames]
    return collect_scores(scores, protocol, names)


def shared_alignment(statistics: Sequence[np.ndarray | None], protocol: DepthProtocol) -> Alignment | None:
    """Compute the alignment of all frames from their ``frame_statistics``; None if no frame has any."""
    known = [values for values in statistics if values is not None]
    return protocol.alignment_of(known) if known else None


def collect_scores(
    scores: Sequence[FrameScore | None], protocol: DepthProtocol, names: Sequence[str]
) -> DepthEvaluation:
    """Combine the scores of N frames.

    Args:
        scores: Results of ``evaluate_frame``; None for a frame without valid ground truth.
        protocol: Protocol of all scores.
        names: Frame names.

    Raises:
        ValueError: No frame has valid ground truth.
    """
    skipped = tuple(name for name, score in zip(names, scores, strict=True) if score is None)
    if len(skipped) == len(names):
        raise ValueError(
            f"None of the {len(names)} frames has valid ground truth (crop {protocol.crop}, "
            f"{protocol.min_depth:g} to {protocol.max_depth:g} m). Check the ground truth, or pass --eval_crop none."
        )
    nothing = FrameScore(np.full(len(METRIC_NAMES), np.nan), Alignment(np.nan, np.nan))
    metrics, alignments = map(np.stack, zip(*(score or nothing for score in scores), strict=True))
    means = dict(zip(METRIC_NAMES, np.nanmean(metrics, axis=0).tolist(), strict=True))
    shifts = alignments[:, 1] if protocol.disparity_fit == "affine" else None
    return DepthEvaluation(metrics, alignments[:, 0], means, skipped, shifts)


def evaluate_frame(
    scaled_disp: np.ndarray,
    gt: np.ndarray,
    protocol: DepthProtocol,
    name: str = "frame",
    alignment: Alignment | None = None,
) -> FrameScore | None:
    """Score one frame; return None if no pixel has valid ground truth.

    Args:
        scaled_disp: (h, w) floating point, positive: 1 / depth in scene units.
        gt: (H, W), metres, 0 where unknown.
        name: Frame name for messages.
        alignment: That of all frames; None computes the frame's own.

    Raises:
        ValueError: An array has a wrong shape or type, or disparities are not positive and finite.
    """
    pixels = _scored_pixels(scaled_disp, gt, protocol, name)
    if pixels is None:
        return None
    disp, gt = pixels
    if alignment is None:
        alignment = protocol.alignment_of([protocol.alignment_statistics(disp, gt)] if protocol.aligns else [])
    scores = compute_depth_metrics(gt, protocol.to_depth(disp, alignment))
    return FrameScore(np.array([scores[metric] for metric in METRIC_NAMES]), alignment)


def frame_statistics(
    scaled_disp: np.ndarray, gt: np.ndarray, protocol: DepthProtocol, name: str = "frame"
) -> np.ndarray | None:
    """Compute ``DepthProtocol.alignment_statistics`` of a frame; None if no pixel has valid ground truth.

    Args:
        scaled_disp, gt, protocol, name: As in ``evaluate_frame``.

    Raises:
        ValueError: As for ``evaluate_frame``.
    """
    pixels = _scored_pixels(scaled_disp, gt, protocol, name)
    return None if pixels is None else protocol.alignment_statistics(*pixels)


def _scored_pixels(
    scaled_disp: np.ndarray, gt: np.ndarray, protocol: DepthProtocol, name: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Select disparities and true depths of the scored pixels, float32 (P,) each; None if there are none."""
    check_disparity(scaled_disp, name)
    check_map(gt, f"{name}: ground truth")
    window = protocol.window(gt.shape)
    mask = protocol.in_range(gt[window])
    if not mask.any():
        return None
    disp = resize_disparity(scaled_disp, gt.shape)[window][mask]
    return disp, gt[window][mask].astype(np.float32, copy=False)
