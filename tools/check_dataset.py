"""Check every image, neighbour, calibration file and lidar scan of a split before training.

Example: python tools/check_dataset.py --data_path kitti_data --split eigen_zhou --json findings.json

Exit status: 1 if there are errors that affect training or evaluation, 2 if nothing could be checked.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # decoding processes already use all cores

from common.atomic_files import atomic_file, check_file_writable
from common.command_help import accepts_options_of
from common.command_line import OptionParser
from common.environment import run_script
from common.progress import Progress
from datasets.build import dataset_class, dataset_from
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine, find_split
from evaluation.ground_truth import IMPROVED_SPLIT
from options import Options, parse_tool_options
from tools.dataset_check.check_result import CheckResult
from tools.dataset_check.list_checks import read_lists
from tools.dataset_check.run_checks import plan_checks, run_checks

SECONDS_BETWEEN_LINES = 30.0


def main() -> None:
    """Run all checks, print a summary and write the findings; exit with status 1 on errors."""
    parser = OptionParser(
        description=__doc__,
        epilog=accepts_options_of(
            "train.py",
            "--data_path, --split, --dataset, --png, --frame_ids,\n--use_stereo, --num_workers, --config, ...",
        ),
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON file for all findings (default: none)")
    own, opt = parse_tool_options(parser)
    if own.json:
        check_file_writable(own.json)
    result = check(opt)
    print(result.summary())
    if own.json:
        about = {"split": opt.split, "data_path": opt.data_path, "dataset": opt.dataset}
        with atomic_file(own.json) as stream:
            stream.write(json.dumps({**about, **result.as_dict()}, indent=2).encode())
        print(f"Saved to '{own.json}'")
    if not result.passed:
        raise SystemExit(1)


def check(opt: Options) -> CheckResult:
    """Run all checks of a split.

    Raises:
        DataError: the split or all of its images are missing.
    """
    split_dir = find_split(opt.split, opt.data_path)
    lists, unreadable = read_lists(split_dir)
    parts = {part: _build(opt, part, lines) for part, lines in lists.items()}
    # Evaluation uses exported ground truth instead of the test frames' lidar scans.
    is_exported = (split_dir / "gt_depths.npz").is_file()
    depth_parts = [part for part in parts if part == "val" or (part.startswith("test") and not is_exported)]
    plan = plan_checks(parts, depth_parts, unreadable)
    started = time.monotonic()
    progress = Progress(plan.files, "files", SECONDS_BETWEEN_LINES)
    try:
        result = run_checks(plan, opt.num_workers, progress.update)
    finally:
        progress.close()
    seconds = time.monotonic() - started
    print(f"{plan.files} files read in {seconds:.1f} s, {plan.files / seconds:.1f} files/s")
    return result


def _build(opt: Options, part: str, lines: list[SplitLine]) -> MonoDataset:
    """Build the dataset with the settings of training, or of evaluation for test lines."""
    is_test = part.startswith("test")
    return dataset_from(
        opt,
        lines,
        kind=dataset_class("kitti_depth" if is_test and opt.split_name == IMPROVED_SPLIT else opt.dataset),
        frame_ids=(0,) if is_test else opt.all_frames,
        scales=opt.scales,
    )


if __name__ == "__main__":
    run_script(main)
