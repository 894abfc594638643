"""Beyond the seven metrics, frame by frame: where predictions are wrong, and in which way."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from datasets.mono_dataset import MonoDataset
from datasets.parallel import map_in_processes
from datasets.splits import SplitLine
from datasets.transforms import scale_intrinsics
from errors import DataError
from evaluation.alignment import align_disparity
from evaluation.depth_metrics import compute_depth_metrics
from evaluation.depth_protocol import MIN_DEPTH, DepthEvaluation, DepthProtocol, resize_disparity
from evaluation.edges import edge_scores
from evaluation.partitions import metrics_by_distance, metrics_by_third
from evaluation.point_cloud import back_project, cloud_scores

DENSE_SHARE = 0.5  # of the pixels, where edges are looked for; a lidar reaches 5 %, KITTI's improved ground truth 20 %
FEW_FRAMES = 32  # these are sooner scored than processes are started
Item = tuple[np.ndarray, np.ndarray, float, np.ndarray | None]  # disparity, truth, ratio of medians, K


def score_details(
    scaled_disps: np.ndarray,
    truths: Sequence[np.ndarray | None],
    protocol: DepthProtocol,
    result: DepthEvaluation,
    dataset: MonoDataset,
    num_workers: int,
) -> dict[str, np.ndarray]:
    """Name -> (N,) values of the frames that ``result`` scored, NaN for the others and where a frame has no value.

    Args:
        scaled_disps, truths, protocol: as evaluate_depths has them.
        result: of evaluate_depths.
        dataset: knows the frames' cameras; without their calibration no clouds are compared.
        num_workers: processes; 0 scores in this one.
    """
    scored = np.flatnonzero(np.isfinite(result.ratios))

    def items() -> Iterator[Item]:
        for i in scored:
            gt = truths[i]
            assert gt is not None  # or it would not have been scored
            yield scaled_disps[i], gt, result.ratios[i], _camera(dataset, dataset.lines[i], gt.shape)

    rows = list(
        map_in_processes(
            partial(details_of_frame, protocol=protocol), items(), num_workers if len(scored) > FEW_FRAMES else 0
        )
    )
    columns = {name: np.full(len(truths), np.nan) for name in rows[0]}
    for i, row in zip(scored, rows, strict=True):
        for name, value in row.items():
            columns[name][i] = value
    return columns


def details_of_frame(item: Item, protocol: DepthProtocol) -> dict[str, float]:
    """All that is scored of one frame besides the seven metrics; of lidar the truth's axis is taken for the camera's.

    Returns:
        "0-10m/abs_rel", "top/abs_rel", ... (``evaluation.partitions``); "aligned/abs_rel", ..., the seven after
        ``align_disparity``; "edges/accuracy", ..., NaN unless most of the truth is known, what is not (the sky) being
        taken for the cap; "cloud/chamfer", ..., NaN without K.
    """
    scaled_disp, gt, ratio, K = item
    window = protocol.window(gt.shape)
    gt_window, disp_window = gt[window], resize_disparity(scaled_disp, gt.shape)[window]
    pred_window = np.clip(protocol.scale_factor * float(ratio) / disp_window, MIN_DEPTH, protocol.cap)
    mask = protocol.in_range(gt_window)
    rows, columns = (pixels + part.start for pixels, part in zip(np.nonzero(mask), window, strict=True))
    true, pred = gt_window[mask], pred_window[mask]
    aligned = np.clip(align_disparity(true, disp_window[mask], protocol.cap), MIN_DEPTH, protocol.cap)
    edges = dict.fromkeys(("accuracy", "completeness"), np.nan)
    if (gt_window > 0).mean() > DENSE_SHARE:
        filled = np.where(gt_window > 0, np.minimum(gt_window, protocol.cap), protocol.cap)
        edges = edge_scores(filled, pred_window)
    clouds = dict.fromkeys(("chamfer", "precision", "recall", "f_score"), np.nan)
    if K is not None:
        clouds = cloud_scores(*(back_project(depth, rows, columns, K) for depth in (true, pred)))
    return {
        **metrics_by_distance(true, pred),
        **metrics_by_third(true, pred, rows, len(gt)),
        **{f"aligned/{name}": value for name, value in compute_depth_metrics(true, aligned).items()},
        **{f"edges/{name}": value for name, value in edges.items()},
        **{f"cloud/{name}": value for name, value in clouds.items()},
    }


def _camera(dataset: MonoDataset, line: SplitLine, size: tuple[int, int]) -> np.ndarray | None:
    """K (3, 3) of the frame's camera in pixels of its ground truth; None where there is no calibration."""
    try:
        K, calibrated_size = dataset.intrinsics(line, line.side)
    except DataError:
        return None
    return scale_intrinsics(K, calibrated_size or size, size)
