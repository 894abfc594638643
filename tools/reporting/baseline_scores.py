"""Depth metrics of trained weights and of image-independent baselines on a test split."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from datasets.build import dataset_from
from datasets.mono_dataset import MonoDataset
from datasets.splits import find_split, read_split_lines
from evaluation.baselines import constant_disparity, mean_disparity
from evaluation.depth_report import about_prediction
from evaluation.error_pictures import extreme_panels
from evaluation.ground_truth import GroundTruth, build_test_dataset, find_ground_truth, protocol_from
from evaluation.metrics.depth_protocol import DepthEvaluation, DepthProtocol
from evaluation.result_files import result_files
from evaluation.split_scores import SplitPrediction, score_frames
from inference.split_prediction import predict_frames, predict_split
from options import Options

EXTREMES = 2  # number of worst frames, and of best frames, to show
CONSTANT, MEAN_MAP = "constant depth", "mean training depth map"
BEFORE = "before this training, median-scaled"
MEDIAN_SCALED, STEREO_SCALED = "this model, median-scaled", "this model, stereo-scaled"


@dataclass(frozen=True)
class EvalSplit:
    """The test frames of a split.

    Attributes:
        name: Name of the split.
        dataset: Test frames, without source frames.
        truth: Ground truth of the frames.
    """

    name: str
    dataset: MonoDataset
    truth: GroundTruth

    @property
    def frame_names(self) -> list[str]:
        """Split lines of the frames."""
        return [str(line) for line in self.dataset.lines]


@dataclass(frozen=True)
class SplitScores:
    """The evaluation of trained weights.

    Attributes:
        rows: Row name (``MEDIAN_SCALED``, ``STEREO_SCALED``) -> evaluation.
        num_frames: Number of predicted frames.
        seconds: Time for prediction and scoring, including details, in seconds.
        summaries: Summaries of the median-scaled metrics and details (``evaluation.result_files.summarise``).
        files: Name -> text of the median-scaled result files (``evaluation.result_files.result_files``).
        extremes: Worst and best median-scaled frames (``evaluation.error_pictures.extreme_panels``).
    """

    rows: dict[str, DepthEvaluation]
    num_frames: int
    seconds: float
    summaries: dict[str, dict[str, Any]]
    files: dict[str, str]
    extremes: tuple[tuple[str, int, np.ndarray], ...]


def open_test_split(opt: Options) -> EvalSplit:
    """Open the test frames of ``eval_split``; of the training split if the default ``eval_split`` does not exist.

    Raises:
        DataError: Neither split exists, or the ground truth is damaged.
    """
    try:
        dataset, folder = build_test_dataset(opt)
    except DataError:
        if "eval_split" in opt.explicitly_set:
            raise
        opt = opt.replace(eval_split=opt.split)
        dataset, folder = build_test_dataset(opt)
    return EvalSplit(opt.eval_split_name, dataset, find_ground_truth(opt, dataset, folder))


def score_weights(opt: Options, test: EvalSplit) -> SplitScores:
    """Score the weights in ``load_weights_folder``: median-scaled and, if trained with stereo pairs, stereo-scaled.

    Raises:
        DataError: An image is missing, or no frame has valid ground truth.
        WeightsError: The weights are missing or damaged, or do not fit the network.
    """
    started = time.perf_counter()
    split = predict_split(opt, test.dataset)
    scalings = {MEDIAN_SCALED: "median", **({STEREO_SCALED: "stereo"} if opt.use_stereo else {})}
    protocols = {
        name: protocol_from(opt, type(test.dataset), test.truth.kind, scaling) for name, scaling in scalings.items()
    }
    predictions = [SplitPrediction(split.scaled_disps, protocol, split.uncertainty) for protocol in protocols.values()]
    results, details = score_frames(predictions, test.truth, test.dataset, opt.num_workers, with_details=True)
    seconds = time.perf_counter() - started
    name = Path(str(opt.load_weights_folder)).absolute().name
    about = {**about_prediction(opt, predictions[0], split.depth_network), "split": test.name}
    files, summary = result_files(
        name, test.frame_names, results[0], details, predictions[0].protocol, test.truth, about
    )
    summaries = {**summary["metrics"], **summary["details"]}
    panels = tuple(extreme_panels(test.dataset, predictions[0], test.truth, results[0], EXTREMES))
    rows = dict(zip(protocols, results, strict=True))
    return SplitScores(rows, len(test.dataset), seconds, summaries, files, panels)


def score_starting_weights(opt: Options, test: EvalSplit, folder: Path) -> DepthEvaluation:
    """Score the weights that a training started from, median-scaled, at their own input size.

    Args:
        opt: Options of the report.
        test: Test frames.
        folder: The weights folder.

    Raises:
        UserError: The weights are missing or contain no depth networks, or an image is missing.
    """
    from serialization.weights_folder import read_weights_info  # imports Paddle

    info = read_weights_info(folder)
    size = {"height": info.height, "width": info.width} if info else {}
    opt = opt.replace(load_weights_folder=str(folder), **size)
    dataset, _ = build_test_dataset(opt.replace(eval_split=test.name))
    prediction = SplitPrediction(predict_frames(opt, dataset), baseline_protocol(opt, test))
    return score_frames([prediction], test.truth, dataset, opt.num_workers)[0][0]


def score_baselines(opt: Options, test: EvalSplit, max_frames: int | None = None) -> dict[str, DepthEvaluation]:
    """Score the baselines ``CONSTANT`` and ``MEAN_MAP``, median-scaled.

    Args:
        opt: Options; ``split`` names the training split.
        test: Test frames.
        max_frames: Number of evenly spaced training frames to average; None uses all.

    Raises:
        DataError: A split is missing, or its frames have no ground truth.
    """
    truth = test.truth
    depths = (truth[i] for i in range(len(test.dataset)))
    size = next((depth.shape for depth in depths if depth is not None), (opt.height, opt.width))
    train = dataset_from(opt, read_split_lines(find_split(opt.split, opt.data_path), "train"))
    lines = evenly_spaced(train.lines, max_frames or len(train.lines))
    baselines = {
        CONSTANT: constant_disparity(size),
        MEAN_MAP: mean_disparity((train.ground_truth(line) for line in lines), size),
    }
    protocol = baseline_protocol(opt, test)
    predictions = [
        SplitPrediction(np.broadcast_to(disp, (len(test.dataset), *size)), protocol) for disp in baselines.values()
    ]
    results, _ = score_frames(predictions, truth, test.dataset, opt.num_workers)
    return dict(zip(baselines, results, strict=True))


def baseline_protocol(opt: Options, test: EvalSplit) -> DepthProtocol:
    """Build the protocol of the baselines and of ``MEDIAN_SCALED``."""
    return protocol_from(opt, type(test.dataset), test.truth.kind, "median")


def evenly_spaced(items: Sequence, count: int) -> list:
    """Select ``count`` evenly spaced items, including the first and the last; all if there are fewer."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
