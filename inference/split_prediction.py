"""Predict the frames to score: disparities of a split, motions along a sequence."""

from dataclasses import dataclass

import numpy as np

from common.environment import set_device
from common.errors import DataError
from datasets.build import build_loader
from datasets.checks import check_split
from datasets.loader import BatchLoader
from datasets.mono_dataset import MonoDataset
from evaluation.metrics.trajectories import motions_along
from inference.from_options import pose_predictor_from, predictor_from
from options import Options


@dataclass(frozen=True, eq=False)
class PredictedSplit:
    """Prediction of N frames.

    Attributes:
        scaled_disps: float32 (N, H, W), 1 / depth in scene units.
        uncertainty: float32 (N, H, W), ``mirror_disagreement``; None without ``--uncertainty``.
        depth_network: Key of ``DEPTH_NETWORKS``; None if it is unknown.
    """

    scaled_disps: np.ndarray
    uncertainty: np.ndarray | None
    depth_network: str | None


def predict_frames(opt: Options, dataset: MonoDataset) -> np.ndarray:
    """Predict scaled disparities of the dataset's frames, (N, H, W): those of ``predict_split``.

    Raises:
        DataError, WeightsError: As for ``predict_split``.
    """
    return predict_split(opt.replace(uncertainty=False), dataset).scaled_disps


def predict_split(opt: Options, dataset: MonoDataset) -> PredictedSplit:
    """Predict the dataset's frames with the weights of the options.

    Raises:
        DataError: An image is missing or damaged.
        WeightsError: The weights are missing or damaged, or do not fit the networks.
    """
    from inference.depth_predictor import combine_mirrored  # imports Paddle

    set_device(opt.device)
    predictor = predictor_from(opt)
    height, width = predictor.size
    dataset = dataset.replace(frame_ids=predictor.model.depth_frames, height=height, width=width)
    missing = check_split(dataset, "test").dropped
    if missing:
        line, path = missing[0]
        raise DataError(
            f"Images of {len(missing)} of the {len(dataset)} test frames are missing, the first is '{line}': {path}. "
            "Scores of the other frames are not comparable. Copy the images, or choose another --eval_split."
        )
    if opt.eval_stereo and predictor.info and not predictor.info.use_stereo:
        print(
            "Note: these weights were trained without stereo pairs, so their depth has no metric scale. "
            "Pass --eval_mono for median scaling."
        )
    if predictor.left_out:
        print(f"Skipping parameters that the networks do not have: {', '.join(predictor.left_out)}")
    loader = _loader(opt, dataset)
    print(f"Predicting {len(dataset)} frames at {width}x{height}")
    try:
        if not opt.uncertainty:
            return PredictedSplit(predictor.predict_all(loader, opt.post_process), None, predictor.depth_network)
        combined = combine_mirrored(*predictor.predict_all_pairs(loader), opt.post_process)
        return PredictedSplit(*combined, predictor.depth_network)
    finally:
        loader.close()


def predict_motions(opt: Options, dataset: MonoDataset) -> np.ndarray:
    """Predict the motion from each of the dataset's frames to the next with the weights of the options.

    Returns:
        (N - 1, 4, 4), T_target_to_source from each frame to the next, scene units.

    Raises:
        DataError: An image is missing or damaged, or there are too few frames.
        WeightsError: The weights are missing or damaged, or do not fit the networks.
    """
    set_device(opt.device)
    predictor = pose_predictor_from(opt)
    if opt.eval_stereo and predictor.info and not predictor.info.use_stereo:
        print("Note: these weights were trained without stereo pairs, so their motion has no metric scale.")
    num_frames = len(dataset)
    targets = predictor.targets(num_frames)
    if not targets:
        raise DataError(f"Got {num_frames} frames, too few for a pose network with input frames {predictor.frame_ids}.")
    height, width = predictor.size
    lines = [dataset.lines[target] for target in targets]
    loader = _loader(opt, dataset.replace(lines=lines, frame_ids=predictor.frame_ids, height=height, width=width))
    print(f"Predicting the motion of {num_frames} frames at {width}x{height}")
    try:
        return motions_along(predictor.predict_all(loader))
    finally:
        loader.close()


def _loader(opt: Options, dataset: MonoDataset) -> BatchLoader:
    """Load every frame once, in the dataset's order."""
    return build_loader(
        dataset,
        batch_size=min(opt.batch_size, len(dataset)),
        shuffle=False,
        num_workers=opt.num_workers,
        seed=opt.seed,
        drop_last=False,
    )
