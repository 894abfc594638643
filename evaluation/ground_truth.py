"""Find the frames to score and their ground truth."""

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
from evaluation.metrics.dataset_protocols import DATASET_PROTOCOLS
from evaluation.metrics.depth_protocol import FITS, DepthProtocol
from options import Options
from serialization.depth_npz import read_gt_depths

IMPROVED_SPLIT = "eigen_benchmark"
BENCHMARK_SPLIT = "benchmark"  # only KITTI's server has its ground truth


@dataclass(frozen=True)
class GroundTruth:
    """Depth of the frames of a split, read on access: metres, 0 where unknown; None for a frame without ground truth.

    Attributes:
        keys: Argument of ``read`` for each frame.
        read: Reads the depth of a frame; picklable, for worker processes.
        kind: As in ``serialization.depth_npz.KINDS``.
        source: Path that the ground truth is read from.
        axis: Axis along which depth is measured, a value of ``--gt_depth``.
    """

    keys: Sequence[Any]
    read: Callable[[Any], np.ndarray | None]
    kind: str
    source: str
    axis: str = "camera"

    def __getitem__(self, number: int) -> np.ndarray | None:
        """Read the depth of a frame by its number in the split."""
        return self.read(self.keys[number])


def build_test_dataset(opt: Options) -> tuple[MonoDataset, Path]:
    """Build the dataset of the split's test frames, without neighbours, and return it with the split's folder.

    The predictor sets the image size.
    """
    split_dir = find_split(opt.eval_split, opt.data_path)
    if opt.eval_split_name == BENCHMARK_SPLIT:
        lines = read_benchmark_lines(split_dir / "test_files.txt")
        # The benchmark archive contains .png images, regardless of --png.
        return dataset_from(opt.replace(png=True), lines, kind=KITTIBenchmarkDataset), split_dir
    kind = dataset_class("kitti_depth" if opt.eval_split_name == IMPROVED_SPLIT else opt.dataset)
    return dataset_from(opt, read_split_lines(split_dir, "test"), kind=kind), split_dir


def find_ground_truth(opt: Options, dataset: MonoDataset, split_dir: Path) -> GroundTruth:
    """Select the ground truth of a split.

    Uses ``gt_depths.npz`` of the split if it has the required kind and axis, else the dataset's own files.

    Raises:
        DataError: The file is damaged, or its number of frames differs from the split's. Reading a frame raises it too.
    """
    path = split_dir / "gt_depths.npz"
    axes = {"lidar": opt.gt_depth}  # that of exported lidar depth is the same, or it is not used
    if path.is_file():
        exported = read_gt_depths(path)
        # Files of other code name neither. They contain lidar (improved depth for one split), along the legacy axis.
        kind = exported.kind or ("improved" if opt.eval_split_name == IMPROVED_SPLIT else "lidar")
        axis = exported.axis or "legacy"
        if kind == "lidar" and dataset.GROUND_TRUTH == "improved":
            print(f"{path} contains lidar depth; reading improved ground truth from the dataset instead")
        elif kind == "lidar" and axis != opt.gt_depth:
            print(f"{path} has the {axis} axis; reading --gt_depth {opt.gt_depth} from the dataset instead")
        else:
            if len(exported.depths) != len(dataset.lines):
                raise DataError(
                    f"{path} contains {len(exported.depths)} depth maps, but the split has {len(dataset.lines)} test "
                    "frames. Export it again, or delete it to read ground truth from the dataset."
                )
            if isinstance(exported.depths, list):  # already in memory: send each depth map itself to the workers
                return GroundTruth(exported.depths, _itself, kind, str(path), axes.get(kind, "camera"))
            numbers = range(len(exported.depths))
            return GroundTruth(numbers, exported.depths.__getitem__, kind, str(path), axes.get(kind, "camera"))
    kind = dataset.GROUND_TRUTH
    return GroundTruth(dataset.lines, dataset.ground_truth, kind, opt.data_path, axes.get(kind, "camera"))


def _itself(depth: np.ndarray) -> np.ndarray:
    return depth


def protocol_from(opt: Options, dataset: type[MonoDataset], kind: str, scaling: str | None = None) -> DepthProtocol:
    """Build the protocol from the options: crop, cap, and scaling of predictions.

    Args:
        opt: Uses ``eval_crop``, ``eval_max_depth`` and the scaling options.
        dataset: Class of the dataset, which defines the stereo factor, and with ``PROTOCOL`` crop and cap.
        kind: Kind of ground truth, as in ``serialization.depth_npz.KINDS``.
        scaling: "median" or "stereo" overrides the scaling options; None uses them.
    """
    per_dataset = scaling is None and opt.eval_alignment_scope == "dataset"
    if scaling is None:
        scaling = "stereo" if opt.eval_stereo else "none" if opt.disable_median_scaling else opt.eval_alignment
    protocol = DepthProtocol.choose(
        kind,
        opt.eval_crop,
        median_scaling=scaling == "median",
        scale_factor=dataset.STEREO_SCALE_FACTOR if scaling == "stereo" else opt.pred_depth_scale_factor,
        cap=opt.eval_max_depth,
        disparity_fit=scaling if scaling in FITS else None,
        per_dataset=per_dataset,
    )
    if dataset.PROTOCOL is None:
        return protocol
    cap = opt.eval_max_depth if "eval_max_depth" in opt.explicitly_set else None
    return DATASET_PROTOCOLS[dataset.PROTOCOL].apply(protocol, opt.eval_crop, cap)
