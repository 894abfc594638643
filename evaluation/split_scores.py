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
from evaluation.metrics.alignment import Alignment
from evaluation.metrics.depth_protocol import (
    DepthEvaluation,
    DepthProtocol,
    FrameScore,
    collect_scores,
    evaluate_frame,
    frame_statistics,
    shared_alignment,
)

FEW_FRAMES = 32  # scoring these takes less time than starting processes


@dataclass(frozen=True)
class SplitPrediction:
    """Disparities to score and their protocol.

    Attributes:
        scaled_disps: float (N, h, w), 1 / depth in scene units.
        uncertainty: float (N, h, w), only its order within a frame counts; None if it is unknown.
    """

    scaled_disps: np.ndarray
    protocol: DepthProtocol
    uncertainty: np.ndarray | None = None


class _Item(NamedTuple):
    """One frame: its split line, the key of its ground truth, (h, w) of each prediction, uncertainty of the first."""

    line: SplitLine
    key: Any
    scaled_disps: tuple[np.ndarray, ...]
    uncertainty: np.ndarray | None


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
        metrics: A value of ``--metrics``, likewise of the first prediction. Its uncertainty is scored if it is known.

    Returns:
        One evaluation per prediction, and the details: name -> (N,), NaN for frames that were skipped or lack a value.

    Raises:
        DataError: Disparities are not positive and finite, or ground truth is damaged or nowhere valid.
    """
    protocols = [prediction.protocol for prediction in predictions]
    uncertainty = predictions[0].uncertainty

    def items() -> Iterator[_Item]:
        disps = (prediction.scaled_disps for prediction in predictions)
        for i, (line, key, *of_frame) in enumerate(zip(dataset.lines, truth.keys, *disps, strict=True)):
            yield _Item(line, key, tuple(of_frame), None if uncertainty is None else uncertainty[i])

    num_frames = len(dataset.lines)
    processes = num_workers if num_frames > FEW_FRAMES else 0
    score = partial(
        _score_item,
        read=truth.read,
        protocols=protocols,
        shared=_shared_alignments(items(), truth, protocols, processes),
        dataset=dataset,
        with_details=with_details,
        metrics=metrics,
    )
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


def _shared_alignments(
    items: Iterator[_Item], truth: GroundTruth, protocols: Sequence[DepthProtocol], processes: int
) -> list[Alignment | None]:
    """Compute the alignment of all frames for each protocol that has one, in a pass of its own; None for the others."""
    if not any(protocol.per_dataset and protocol.aligns for protocol in protocols):
        return [None] * len(protocols)
    measure = partial(_measure_item, read=truth.read, protocols=protocols)
    rows = map_in_processes(measure, items, processes, describe=lambda item: str(item.line))
    columns = zip(*rows, strict=True)  # per protocol, the statistics of all frames
    return [shared_alignment(column, protocol) for column, protocol in zip(columns, protocols, strict=True)]


def score_frame(
    scaled_disp: np.ndarray,
    gt: np.ndarray | None,
    protocol: DepthProtocol,
    name: str,
    alignment: Alignment | None = None,
) -> FrameScore | None:
    """Score one frame with ``evaluate_frame``; return None also without ground truth.

    Raises:
        DataError: Disparities are not positive and finite, or an array has a wrong shape or type.
    """
    with as_data_error():
        return None if gt is None else evaluate_frame(scaled_disp, gt, protocol, name, alignment)


def _measure_item(item: _Item, read: Any, protocols: Sequence[DepthProtocol]) -> list[np.ndarray | None]:
    """Return what each prediction of a frame adds to the alignment of all frames; None where it adds nothing."""
    gt = read(item.key)
    with as_data_error():
        return [
            frame_statistics(scaled_disp, gt, protocol, str(item.line))
            if gt is not None and protocol.per_dataset and protocol.aligns
            else None
            for scaled_disp, protocol in zip(item.scaled_disps, protocols, strict=True)
        ]


def _score_item(
    item: _Item,
    read: Any,
    protocols: Sequence[DepthProtocol],
    shared: Sequence[Alignment | None],
    dataset: MonoDataset,
    with_details: bool,
    metrics: str,
) -> tuple[list[FrameScore | None], dict[str, float]]:
    """Return the scores of a frame, and the requested details of its first prediction if that was scored."""
    gt = read(item.key)
    scores = [
        score_frame(scaled_disp, gt, protocol, str(item.line), alignment)
        for scaled_disp, protocol, alignment in zip(item.scaled_disps, protocols, shared, strict=True)
    ]
    wanted = with_details or metrics != "eigen" or item.uncertainty is not None
    if not wanted or gt is None or scores[0] is None:
        return scores, {}
    K = camera_of(dataset, item.line, gt.shape) if with_details or metrics == "all" else None
    frame = item.scaled_disps[0], gt, protocols[0], scores[0].alignment
    return scores, details_of_frame(*frame, K, metrics, with_details, item.uncertainty)
