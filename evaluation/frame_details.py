"""Score one frame beyond the seven metrics: where the prediction is wrong, and how."""

import numpy as np

from common.errors import DataError
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from datasets.transforms import scale_intrinsics
from evaluation.metrics.depth_metrics import align_disparity, compute_depth_metrics
from evaluation.metrics.depth_protocol import MIN_DEPTH, DepthProtocol, resize_disparity
from evaluation.metrics.edges import edge_scores
from evaluation.metrics.point_cloud import back_project, cloud_scores
from evaluation.metrics.regions import metrics_by_distance, metrics_by_ground, metrics_by_third
from evaluation.metrics.road_plane import find_road

DENSE_SHARE = 0.5  # minimum share of pixels with depth for edge scores; lidar has 5 %, improved ground truth 20 %


def details_of_frame(
    scaled_disp: np.ndarray, gt: np.ndarray, protocol: DepthProtocol, ratio: float, K: np.ndarray | None
) -> dict[str, float]:
    """Compute all detail scores of a frame; lidar depth is treated as depth along the camera axis.

    Args:
        scaled_disp, gt, protocol: As in ``evaluate_frame``.
        ratio: Factor of median scaling.
        K: (3, 3) intrinsics in pixels of ``gt``; None if unknown.

    Returns:
        Name -> value:

        - "0-10m/abs_rel", "top/abs_rel", ...: metrics by distance and region (``evaluation.metrics.regions``).
        - "aligned/abs_rel", ...: the seven metrics after ``align_disparity``.
        - "edges/accuracy", ...: NaN unless most pixels have ground truth; pixels without it (the sky) count as the cap.
        - "ground/abs_rel", ... and "cloud/chamfer", ...: only with K.
    """
    window = protocol.window(gt.shape)
    gt_window, disp_window = gt[window], resize_disparity(scaled_disp, gt.shape)[window]
    pred_window = protocol.to_depth(disp_window, ratio)
    mask = protocol.in_range(gt_window)
    rows, columns = (pixels + part.start for pixels, part in zip(np.nonzero(mask), window, strict=True))
    true, pred = gt_window[mask], pred_window[mask]
    aligned = np.clip(align_disparity(true, disp_window[mask], protocol.cap), MIN_DEPTH, protocol.cap)
    edges = dict.fromkeys(("accuracy", "completeness"), np.nan)
    if (gt_window > 0).mean() > DENSE_SHARE:
        filled = np.where(gt_window > 0, np.minimum(gt_window, protocol.cap), protocol.cap)
        edges = edge_scores(filled, pred_window)
    return {
        **metrics_by_distance(true, pred),
        **metrics_by_third(true, pred, rows, columns, gt.shape),
        **{f"aligned/{name}": value for name, value in compute_depth_metrics(true, aligned).items()},
        **{f"edges/{name}": value for name, value in edges.items()},
        **({} if K is None else _details_in_space(gt, true, pred, rows, columns, K)),
    }


def _details_in_space(
    gt: np.ndarray, true: np.ndarray, pred: np.ndarray, rows: np.ndarray, columns: np.ndarray, K: np.ndarray
) -> dict[str, float]:
    """Compute the scores that need 3D points: those of the scored pixels at true and predicted depth, (P,) each."""
    points, predicted = (back_project(depth, rows, columns, K) for depth in (true, pred))
    clouds = cloud_scores(points, predicted)
    return {
        **metrics_by_ground(true, pred, points, find_road(gt, K)),
        **{f"cloud/{name}": value for name, value in clouds.items()},
    }


def camera_of(dataset: MonoDataset, line: SplitLine, size: tuple[int, int]) -> np.ndarray | None:
    """Return K (3, 3) of the frame's camera in pixels of its ground truth; None without calibration."""
    try:
        K, calibrated_size = dataset.intrinsics(line, line.side)
    except DataError:
        return None
    return scale_intrinsics(K, calibrated_size or size, size)
