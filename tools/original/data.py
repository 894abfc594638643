"""Batches for both implementations, and the disparities that both score."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from datasets.build import build_loader, dataset_from
from datasets.checks import check_split
from datasets.mono_dataset import LISTS, MonoDataset
from datasets.splits import find_split, read_split_lines
from evaluation.ground_truth import GroundTruth, build_test_dataset, find_ground_truth, protocol_from
from evaluation.split_scores import SplitPrediction, score_frames
from inference.split_prediction import predict_frames
from options import Options
from tools.original.verdict import Scores
from tools.synthetic.world import SPLIT, World, generate

WORLD_FRAMES = 48  # three streets, of which one trains
_SHARED_KEYS = ("color", "color_aug", "K", "inv_K", "stereo_T")


def generate_world(opt: Options, folder: Path) -> Options:
    """Write a small built-in world at the input size, and return the options that train and evaluate on it."""
    print(f"Rendering {WORLD_FRAMES} frames of the built-in world. Pass --data_path and --split for other data.")
    generate(World(opt.height, opt.width, WORLD_FRAMES, opt.seed), folder, opt.num_workers)
    return opt.replace(data_path=str(folder), split=SPLIT, eval_split=SPLIT, dataset="kitti")


def lockstep_batches(opt: Options) -> Iterator[dict[str, np.ndarray]]:
    """Yield shuffled training batches without augmentation, epoch after epoch.

    Raises:
        DataError: The split is missing or too small, or its samples have what the original does not know.
    """
    lines = read_split_lines(find_split(opt.split, opt.data_path), "train")
    dataset = dataset_from(opt, lines, frame_ids=opt.all_frames, scales=opt.scales)
    dataset = dataset.replace(lines=check_split(dataset, "train").kept)
    loader = build_loader(
        dataset, batch_size=opt.batch_size, shuffle=True, drop_last=True, num_workers=opt.num_workers, seed=opt.seed
    )
    epoch = 0
    try:
        while True:
            loader.batch_sampler.set_epoch(epoch)
            for batch in loader:
                unknown = [key for key in batch if key.split("/")[0] not in (*_SHARED_KEYS, *LISTS)]
                if unknown:
                    raise DataError(
                        f"The samples have {', '.join(unknown)}, which the original does not know. Choose data of a "
                        "camera without lens distortion or masks."
                    )
                yield {key: value for key, value in batch.items() if key not in LISTS}
            epoch += 1
    finally:
        loader.close()


def score_with_both(opt: Options, original: Any, folder: Path) -> Scores | None:
    """Score the disparities of ``load_weights_folder`` on the test frames with both evaluations.

    Args:
        opt: Options; evaluates ``eval_split`` if it is given, else ``split``.
        original: The original's process.
        folder: Folder for the files that the original reads.

    Returns:
        The scores; None without test frames that have ground truth.

    Raises:
        DataError: Test images or ground truth are damaged or missing.
    """
    if "eval_split" not in opt.explicitly_set:
        opt = opt.replace(eval_split=opt.split)
    if not (find_split(opt.eval_split, opt.data_path) / "test_files.txt").is_file():
        return None
    dataset, split_dir = build_test_dataset(opt)
    truth = find_ground_truth(opt, dataset, split_dir)
    dataset, truth, depths = _with_ground_truth(dataset, truth)
    if not depths:
        return None
    disps = predict_frames(opt.replace(eval_mono=True), dataset)
    # The original applies the Eigen crop to the split of that name only.
    split = "eigen_benchmark" if truth.kind == "improved" else "eigen"
    (folder / split).mkdir()
    data = np.empty(len(depths), dtype=object)
    data[:] = depths
    np.savez(folder / split / "gt_depths.npz", data=data)
    np.save(folder / "disps.npy", disps)
    ours, theirs = {}, {}
    for mode, scaling in (("mono", "median"), ("stereo", "stereo")):
        protocol = protocol_from(opt, type(dataset), truth.kind, scaling)
        (result,), _ = score_frames([SplitPrediction(disps, protocol)], truth, dataset, opt.num_workers)
        ours[scaling] = result.metrics
        theirs[scaling] = np.array(original.ask("evaluate", str(folder / "disps.npy"), str(folder), split, mode))
    return Scores(ours, theirs)


def _with_ground_truth(dataset: MonoDataset, truth: GroundTruth) -> tuple[MonoDataset, GroundTruth, list[np.ndarray]]:
    """Select the frames that have ground truth, and return it too."""
    depths = [truth[i] for i in range(len(dataset))]
    kept = [i for i, depth in enumerate(depths) if depth is not None]
    lines = [dataset.lines[i] for i in kept]
    found = [depths[i] for i in kept]
    return dataset.replace(lines=lines), GroundTruth(found, _itself, truth.kind, truth.source), found


def _itself(depth: np.ndarray) -> np.ndarray:
    return depth
