"""Score every frame of a split in one pass, in processes that also read its ground truth and keep none of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from common.errors import as_data_error
from common.process_pool import map_in_processes
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from evaluation.frame_details import camera_of, details_of_frame
from evaluation.ground_truth import GroundTruth
from evaluation.metrics.depth_protocol import DepthEvaluation, DepthProtocol, FrameScore, collect_scores, evaluate_frame

FEW_FRAMES = 32  # scoring these takes less time than starting processes


@dataclass(frozen=True)
class SplitPrediction:
    """Disparities to score and their protocol: ``scaled_disps`` is float (N, h, w), 1 / depth in scene units."""

    scaled_disps: np.ndarray
    protocol: DepthProtocol


class _Item(NamedTuple):
    """One frame: its split line, the key of its ground truth, and (h, w) of each prediction."""

    line: SplitLine
    key: Any
    scaled_disps: tuple[np.ndarray, ...]


def score_frames(
    predictions: Sequence[SplitPrediction],
    truth: GroundTruth,
    dataset: MonoDataset,
    num_workers: int,
    with_details: bool = False,
    metrics: str = "eigen",
) -> tuple[list[DepthEvaluation], dict[str, np.ndarray]]:
    """Score predictions for the same N frames.

    Args:
        dataset: Dataset with the frames as its lines; provides the intrinsics.
        num_workers: Processes; 0 scores in this process.
        with_details: Also compute the details of ``details_of_frame``, of the first prediction.
        metrics: A value of ``--metrics``, likewise of the first prediction.

    Returns:
        One evaluation per prediction, and the details: name -> (N,), NaN for frames that were skipped or lack a value.

    Raises:
        DataError: Disparities are not positive and finite, or ground truth is damaged or nowhere valid.
    """
    score = partial(
        _score_item,
        read=truth.read,
        protocols=[prediction.protocol for prediction in predictions],
        dataset=dataset if with_details or metrics != "eigen" else None,
        with_details=with_details,
        metrics=metrics,
    )

    def items() -> Iterator[_Item]:
        disps = (prediction.scaled_disps for prediction in predictions)
        for line, key, *of_frame in zip(dataset.lines, truth.keys, *disps, strict=True):
            yield _Item(line, key, tuple(of_frame))

    num_frames = len(dataset.lines)
    processes = num_workers if num_frames > FEW_FRAMES else 0
    scored = map_in_processes(score, items(), processes, describe=lambda item: str(item.line))
    scores, details = zip(*scored, strict=True)
    names = [str(line) for line in dataset.lines]
    with as_data_error():
        results = [
            collect_scores(of_prediction, prediction.protocol, names)
            for prediction, of_prediction in zip(predictions, zip(*scores, strict=True), strict=True)
        ]
    columns = {name: np.full(num_frames, np.nan) for row in details for name in row}
    for i, row in enumerate(details):
        for name, value in row.items():
            columns[name][i] = value
    return results, columns


def score_frame(
    scaled_disp: np.ndarray, gt: np.ndarray | None, protocol: DepthProtocol, name: str
) -> FrameScore | None:
    """Score one frame with ``evaluate_frame``; return None also without ground truth.

    Raises:
        DataError: Disparities are not positive and finite, or an array has a wrong shape or type.
    """
    with as_data_error():
        return None if gt is None else evaluate_frame(scaled_disp, gt, protocol, name)


def _score_item(
    item: _Item,
    read: Any,
    protocols: Sequence[DepthProtocol],
    dataset: MonoDataset | None,
    with_details: bool,
    metrics: str,
) -> tuple[list[FrameScore | None], dict[str, float]]:
    """Return the scores of a frame and, with a dataset, the details of its first prediction if that was scored."""
    gt = read(item.key)
    scores = [
        score_frame(scaled_disp, gt, protocol, str(item.line))
        for scaled_disp, protocol in zip(item.scaled_disps, protocols, strict=True)
    ]
    if dataset is None or gt is None or scores[0] is None:
        return scores, {}
    K = camera_of(dataset, item.line, gt.shape)
    return scores, details_of_frame(item.scaled_disps[0], gt, protocols[0], scores[0].ratio, K, metrics, with_details)
