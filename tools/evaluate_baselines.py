"""Scores constant depth and the mean depth map of the training frames on a split: what training must beat.

``python tools/evaluate_baselines.py --split NAME --eval_split NAME --data_path DIR``
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from datasets.build import build_dataset
from datasets.splits import find_split, read_split_lines
from environment import run_script
from evaluate_depth import build_test_dataset, load_ground_truth
from evaluation.baselines import constant_disparity, mean_disparity
from evaluation.depth_protocol import DepthProtocol, evaluate_depths
from evaluation.report import format_metrics_table
from options import Options, parse_options


def main() -> None:
    """Prints the seven metrics of both, by the protocol of evaluate_depth.py with median scaling."""
    for name, table in evaluate_baselines(parse_options()).items():
        print(f"{name}\n{table}")


def evaluate_baselines(opt: Options) -> dict[str, str]:
    """Name of the baseline -> table of its metrics.

    Raises:
        DataError: a split is missing, or its frames have no ground truth.
    """
    test, split_dir = build_test_dataset(opt)
    truth = load_ground_truth(opt, test, split_dir)
    size = next((depth.shape for depth in truth.depths if depth is not None), (opt.height, opt.width))
    train = build_dataset(
        opt.dataset,
        opt.data_path,
        read_split_lines(find_split(opt.split, opt.data_path), "train"),
        height=opt.height,
        width=opt.width,
        frame_ids=(0,),
        train=False,
        gt_depth=opt.gt_depth,
    )
    baselines = {
        "constant depth": constant_disparity(size),
        "mean depth map": mean_disparity((train.ground_truth(line) for line in train.lines), size),
    }
    names = [str(line) for line in test.lines]
    protocol = DepthProtocol.choose(truth.kind, opt.eval_crop)
    tables = {}
    for name, disparity in baselines.items():
        disparities = np.broadcast_to(disparity, (len(names), *size))
        result = evaluate_depths(disparities, truth.depths, protocol, names)
        count = len(names) - len(result.skipped)
        tables[f"{name}, {count} frames, median scaling"] = format_metrics_table(result.means)
    return tables


if __name__ == "__main__":
    run_script(main)
