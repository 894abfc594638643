"""Exports the ground truth of a split's test frames, so that evaluation need not make it of the lidar each time.

``python tools/export_gt_depth.py --data_path DIR --split eigen [--gt_depth camera] [--out FILE]``: options are those
of evaluate_depth.py. Without ``--out`` the file is the split's own ``gt_depths.npz``, where evaluation looks for it.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes that read fill the cores

import numpy as np

from common.environment import run_script
from common.errors import DataError, OptionsError
from common.option_types import OptionParser
from common.process_pool import map_in_processes
from common.progress import Progress
from datasets.mono_dataset import MonoDataset
from evaluation.ground_truth import build_test_dataset
from options import Options, parse_options
from serialization.depth_npz import write_gt_depths

MISSING_SHOWN = 3
SECONDS_BETWEEN_LINES = 30.0


def main() -> None:
    """Parses the options and writes the file."""
    parser = OptionParser(
        description="Exports the ground truth of a split's test frames as gt_depths.npz.",
        epilog="Further options are those of evaluate_depth.py: --data_path, --split (default: eigen), "
        "--dataset kitti_depth (improved ground truth; always for eigen_benchmark), --gt_depth, --num_workers.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: gt_depths.npz in the split's folder)"
    )
    own, others = parser.parse_known_args()
    opt = parse_options(others)
    if "split" in opt.explicitly_set:
        opt = opt.replace(eval_split=opt.split)
    if own.out and own.out.is_dir():
        raise OptionsError(f"--out: got the folder {own.out}, allowed: a file, {own.out / 'gt_depths.npz'} say")
    export(opt, own.out)


def export(opt: Options, out: Path | None) -> None:
    """Writes the ground truth of the test frames of ``eval_split``, in their order.

    Raises:
        DataError: the split or its ground truth is missing or damaged.
        UserError: the file cannot be written.
    """
    dataset, split_dir = build_test_dataset(opt)
    _check_files(dataset, opt)
    # The improved depth maps are along the camera's axis, whatever is asked for.
    axis = "camera" if dataset.GROUND_TRUTH == "improved" else opt.gt_depth
    path = out or split_dir / "gt_depths.npz"
    write_gt_depths(path, _read_all(dataset, opt.num_workers), dataset.GROUND_TRUTH, axis)
    print(
        f"{dataset.GROUND_TRUTH} ground truth of {len(dataset)} frames, {axis} axis, in {path} "
        f"({path.stat().st_size / 1e6:.1f} MB)"
    )


def _check_files(dataset: MonoDataset, opt: Options) -> None:
    """Raises DataError where a frame has no ground truth."""
    paths = [(line, dataset.ground_truth_path(line)) for line in dataset.lines]
    if paths[0][1] is None:
        raise DataError(f"--dataset {opt.dataset} has no depth: there is no ground truth to export.")
    missing = [(line, path) for line, path in paths if not os.path.isfile(path)]
    if missing:
        first = "\n".join(f"  {line}: {path}" for line, path in missing[:MISSING_SHOWN])
        raise DataError(
            f"{len(missing)} of the {len(paths)} test frames of {opt.eval_split_name} have no "
            f"{dataset.GROUND_TRUTH} ground truth. The first:\n{first}\n"
            "Get the files, or check --data_path; evaluate_depth.py alone can do without some."
        )


def _read_all(dataset: MonoDataset, num_workers: int) -> Iterator[np.ndarray]:
    progress = Progress(len(dataset), "frames", SECONDS_BETWEEN_LINES)
    try:
        for depth in map_in_processes(dataset.ground_truth, dataset.lines, num_workers):
            yield depth
            progress.update(1)
    finally:
        progress.close()


if __name__ == "__main__":
    run_script(main)
