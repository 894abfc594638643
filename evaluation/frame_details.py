"""Score one frame beyond the seven metrics: where the prediction is wrong, and how.

Scores of ``details_of_frame`` with ``metrics`` "benchmark" or "all":

- "benchmark/silog", ...: ``benchmark_metrics``.

With ``metrics`` "all":

- "further/mae", ...: ``further_metrics``.
- "lstsq_scale/abs_rel", ...: the seven metrics after ``scale_disparity``.

With ``with_details``:

- "0-10m/abs_rel", "top/abs_rel", ...: metrics by distance and region (``evaluation.metrics.regions``).
- "ground/abs_rel", ...: only with K.

With ``with_details``, or ``metrics`` "all":

- "aligned/abs_rel", ...: the seven metrics after ``align_disparity``.
- "edges/accuracy", ...: NaN unless most pixels have ground truth; pixels without it (the sky) count as the cap.
- "cloud/chamfer", ...: only with K.

With ``uncertainty``:

- "uncertainty/ause_abs_rel", ...: ``sparsification_scores``.
"""

from collections.abc import Callable, Mapping

import numpy as np

from common.errors import DataError
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from datasets.transforms import crop_intrinsics, scale_intrinsics
from evaluation.metrics.alignment import Alignment
from evaluation.metrics.depth_metrics import align_disparity, compute_depth_metrics, scale_disparity
from evaluation.metrics.depth_protocol import MIN_DEPTH, DepthProtocol
from evaluation.metrics.disparity_maps import resize_disparity
from evaluation.metrics.edges import edge_scores
from evaluation.metrics.further_metrics import benchmark_metrics, further_metrics
from evaluation.metrics.point_cloud import back_project, cloud_scores
from evaluation.metrics.regions import metrics_by_distance, metrics_by_ground, metrics_by_third
from evaluation.metrics.road_plane import find_road
from evaluation.metrics.sparsification import sparsification_scores

DENSE_SHARE = 0.5  # minimum share of pixels with depth for edge scores; lidar has 5 %, improved ground truth 20 %


def details_of_frame(
    scaled_disp: np.ndarray,
    gt: np.ndarray,
    protocol: DepthProtocol,
    alignment: Alignment,
    K: np.ndarray | None,
    metrics: str = "eigen",
    with_details: bool = True,
    uncertainty: np.ndarray | None = None,
) -> dict[str, float]:
    """Compute the scores of a frame beyond the seven metrics; lidar depth is treated as depth along the camera axis.

    Args:
        scaled_disp, gt, protocol: As in ``evaluate_frame``.
        alignment: Alignment of the prediction.
        K: (3, 3) intrinsics in pixels of ``gt``; None if unknown.
        metrics: A value of ``--metrics``.
        with_details: Whether to score distances, regions, alignments, edges and point clouds.
        uncertainty: (h, w), as in ``SplitPrediction``; None if it is unknown.

    Returns:
        Name -> value: those that the module lists.
    """
    window = protocol.window(gt.shape)
    gt_window, disp_window = gt[window], resize_disparity(scaled_disp, gt.shape)[window]
    pred_window = protocol.to_depth(disp_window, alignment)
    mask = protocol.in_range(gt_window)
    rows, columns = (pixels + part.start for pixels, part in zip(np.nonzero(mask), window, strict=True))
    true, disp, pred = gt_window[mask], disp_window[mask], pred_window[mask]
    scores = metric_set(metrics, true, disp, pred, protocol.cap)
    if uncertainty is not None:
        ranked = resize_disparity(uncertainty, gt.shape)[window][mask]
        scores |= _prefixed("uncertainty", sparsification_scores(true, pred, ranked))
    if with_details:
        scores |= metrics_by_distance(true, pred) | metrics_by_third(true, pred, rows, columns, gt.shape)
    if with_details and metrics != "all":  # which has them already
        scores |= _prefixed("aligned", _scores_of_fit(align_disparity, true, disp, protocol.cap))
    if with_details or metrics == "all":
        scores |= _prefixed("edges", _scores_of_edges(gt_window, pred_window, protocol.cap))
    if K is not None and (with_details or metrics == "all"):
        points, predicted = (back_project(depth, rows, columns, K) for depth in (true, pred))
        if with_details:
            scores |= metrics_by_ground(true, pred, points, find_road(gt, K))
        scores |= _prefixed("cloud", cloud_scores(points, predicted))
    return scores


def metric_set(metrics: str, gt: np.ndarray, disp: np.ndarray, pred: np.ndarray, cap: float) -> dict[str, float]:
    """Compute the metrics of ``--metrics`` from scored pixels alone: all but edges and point clouds.

    Args:
        metrics: "eigen" (nothing more), "benchmark" or "all".
        gt, disp, pred: (P,) true depths, metres, disparities before scaling, and predicted depths, metres.
        cap: Limit of depth after alignment, metres.
    """
    scores = {} if metrics == "eigen" else _prefixed("benchmark", benchmark_metrics(gt, pred))
    if metrics == "all":
        scores |= _prefixed("further", further_metrics(gt, pred))
        scores |= _prefixed("lstsq_scale", _scores_of_fit(scale_disparity, gt, disp, cap))
        scores |= _prefixed("aligned", _scores_of_fit(align_disparity, gt, disp, cap))
    return scores


def _scores_of_fit(
    align: Callable[[np.ndarray, np.ndarray, float], np.ndarray], gt: np.ndarray, disp: np.ndarray, cap: float
) -> dict[str, float]:
    """Compute the seven metrics after an alignment of disparity to the ground truth."""
    return compute_depth_metrics(gt, np.clip(align(gt, disp, cap), MIN_DEPTH, cap))


def _scores_of_edges(gt: np.ndarray, pred: np.ndarray, cap: float) -> dict[str, float]:
    if (gt > 0).mean() <= DENSE_SHARE:
        return dict.fromkeys(("accuracy", "completeness"), np.nan)
    return edge_scores(np.where(gt > 0, np.minimum(gt, cap), cap), pred)


def _prefixed(group: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {f"{group}/{name}": value for name, value in scores.items()}


def camera_of(dataset: MonoDataset, line: SplitLine, size: tuple[int, int]) -> np.ndarray | None:
    """Return K (3, 3) of the frame's camera in pixels of its ground truth; None without calibration."""
    try:
        K, calibrated_size = dataset.intrinsics(line, line.side)
    except DataError:
        return None
    K = scale_intrinsics(K, calibrated_size or size, size)
    return crop_intrinsics(K, dataset.REGION, size) if dataset.REGION else K
