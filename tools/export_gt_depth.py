"""Export the ground truth of a split's test frames once, instead of computing it from lidar in each evaluation.

Example: python tools/export_gt_depth.py --data_path kitti_data --split eigen --gt_depth camera

The default file, gt_depths.npz in the split's folder, is the one that evaluation reads.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # reading processes already use all cores

import numpy as np

from common.atomic_files import check_file_writable
from common.command_help import accepts_options_of
from common.command_line import OptionParser
from common.environment import run_script
from common.errors import DataError
from common.process_pool import map_in_processes
from common.progress import Progress
from datasets.mono_dataset import MonoDataset
from evaluation.ground_truth import build_test_dataset
from options import Options, parse_tool_options
from serialization.depth_npz import write_gt_depths

MISSING_SHOWN = 3
SECONDS_BETWEEN_LINES = 30.0


def main() -> None:
    """Parse the options and write the file."""
    parser = OptionParser(
        description=__doc__,
        epilog=accepts_options_of(
            "evaluate_depth.py",
            "--data_path, --split (default: eigen), --gt_depth,\n"
            "--dataset kitti_depth (improved ground truth; always used for eigen_benchmark), --num_workers, ...",
        ),
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="output file (default: gt_depths.npz in the split's folder)"
    )
    own, opt = parse_tool_options(parser)
    if "split" in opt.explicitly_set:
        opt = opt.replace(eval_split=opt.split)
    export(opt, own.out)


def export(opt: Options, out: Path | None) -> None:
    """Write the ground truth of the test frames of ``eval_split``, in their order.

    Args:
        opt: the options.
        out: output file; None for ``gt_depths.npz`` in the split's folder.

    Raises:
        DataError: the split or its ground truth is missing or damaged.
        UserError: the file cannot be written.
    """
    dataset, split_dir = build_test_dataset(opt)
    path = out or split_dir / "gt_depths.npz"
    check_file_writable(path)
    _check_files(dataset, opt)
    # Improved depth maps are always measured along the camera axis, whatever --gt_depth specifies.
    axis = "camera" if dataset.GROUND_TRUTH == "improved" else opt.gt_depth
    write_gt_depths(path, _read_all(dataset, opt.num_workers), dataset.GROUND_TRUTH, axis)
    print(
        f"{dataset.GROUND_TRUTH} ground truth of {len(dataset)} frames, {axis} axis, "
        f"{path.stat().st_size / 1e6:.1f} MB. Saved to '{path}'"
    )


def _check_files(dataset: MonoDataset, opt: Options) -> None:
    """Check that all frames have ground truth.

    Raises:
        DataError: the dataset has no depth, or files are missing.
    """
    paths = [(line, dataset.ground_truth_path(line)) for line in dataset.lines]
    if paths[0][1] is None:
        raise DataError(f"--dataset {opt.dataset} has no ground truth depth to export.")
    missing = [(line, path) for line, path in paths if not os.path.isfile(path)]
    if missing:
        first = "\n".join(f"  {line}: {path}" for line, path in missing[:MISSING_SHOWN])
        raise DataError(
            f"{len(missing)} of the {len(paths)} test frames of {opt.eval_split_name} have no "
            f"{dataset.GROUND_TRUTH} ground truth. First missing files:\n{first}\n"
            "Download the files or check --data_path. evaluate_depth.py skips such frames, the export does not."
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
