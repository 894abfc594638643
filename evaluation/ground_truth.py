"""The frames to score, and their ground truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from datasets.build import dataset_class, dataset_from
from datasets.kitti_benchmark import KITTIBenchmarkDataset, read_benchmark_lines
from datasets.mono_dataset import MonoDataset
from datasets.splits import find_split, read_split_lines
from evaluation.metrics.depth_protocol import DepthProtocol
from options import Options
from serialization.depth_npz import read_gt_depths

IMPROVED_SPLIT = "eigen_benchmark"
BENCHMARK_SPLIT = "benchmark"  # whose ground truth only the server has


@dataclass(frozen=True)
class GroundTruth:
    """Depth of the frames of a split: metres, 0 where unknown, None for a frame without; made when it is asked for.

    Attributes:
        keys: of each frame, what ``read`` makes its depth of.
        read: can be sent to other processes.
        kind: "lidar" or "improved".
        source: where it comes from.
    """

    keys: Sequence[Any]
    read: Callable[[Any], np.ndarray | None]
    kind: str
    source: str

    def __getitem__(self, number: int) -> np.ndarray | None:
        """Depth of a frame, by its number in the split."""
        return self.read(self.keys[number])


def build_test_dataset(opt: Options) -> tuple[MonoDataset, Path]:
    """The split's test frames, without neighbours, and the split's folder; predicting sets the size."""
    split_dir = find_split(opt.eval_split, opt.data_path)
    if opt.eval_split_name == BENCHMARK_SPLIT:
        lines = read_benchmark_lines(split_dir / "test_files.txt")
        # As the archive has them, png whatever --png says.
        return dataset_from(opt.replace(png=True), lines, kind=KITTIBenchmarkDataset), split_dir
    kind = dataset_class("kitti_depth" if opt.eval_split_name == IMPROVED_SPLIT else opt.dataset)
    return dataset_from(opt, read_split_lines(split_dir, "test"), kind=kind), split_dir


def find_ground_truth(opt: Options, dataset: MonoDataset, split_dir: Path) -> GroundTruth:
    """The split's ``gt_depths.npz`` if it is there and of the kind and axis asked for, else the dataset's own files.

    Raises:
        DataError: the file is damaged, or its number of frames is not the split's; also where a frame is asked for.
    """
    path = split_dir / "gt_depths.npz"
    if path.is_file():
        exported = read_gt_depths(path)
        # The community's files name neither: they hold lidar but for one split, along the published tables' axis.
        kind = exported.kind or ("improved" if opt.eval_split_name == IMPROVED_SPLIT else "lidar")
        axis = exported.axis or "legacy"
        if kind == "lidar" and dataset.GROUND_TRUTH == "improved":
            print(f"{path} holds lidar; the improved ground truth comes from the dataset instead")
        elif kind == "lidar" and axis != opt.gt_depth:
            print(f"{path} has the {axis} axis; --gt_depth {opt.gt_depth} comes from the dataset instead")
        else:
            if len(exported.depths) != len(dataset.lines):
                raise DataError(
                    f"{path} holds {len(exported.depths)} depth maps, but the split has {len(dataset.lines)} test "
                    "frames; export it again, or remove it: ground truth then comes straight from the dataset"
                )
            if isinstance(exported.depths, list):  # in memory: each is sent to whom it is asked of
                return GroundTruth(exported.depths, _itself, kind, str(path))
            return GroundTruth(range(len(exported.depths)), exported.depths.__getitem__, kind, str(path))
    return GroundTruth(dataset.lines, dataset.ground_truth, dataset.GROUND_TRUTH, opt.data_path)


def _itself(depth: np.ndarray) -> np.ndarray:
    return depth


def protocol_from(opt: Options, dataset: type[MonoDataset], kind: str, scaling: str | None = None) -> DepthProtocol:
    """Choose the protocol that the options ask for: crop and cap, and how predictions are scaled.

    Args:
        opt: ``eval_crop``, ``eval_max_depth`` and the options of scaling count.
        dataset: the class of the frames' dataset, which has the stereo factor.
        kind: of ground truth, "lidar" or "improved".
        scaling: "median" or "stereo" scales so whatever the options say; None as they say.
    """
    if scaling is None:
        scaling = "stereo" if opt.eval_stereo else "none" if opt.disable_median_scaling else "median"
    return DepthProtocol.choose(
        kind,
        opt.eval_crop,
        median_scaling=scaling == "median",
        scale_factor=dataset.STEREO_SCALE_FACTOR if scaling == "stereo" else opt.pred_depth_scale_factor,
        cap=opt.eval_max_depth,
    )
