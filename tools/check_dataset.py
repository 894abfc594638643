"""Looks through a whole split before it is trained on: every image, neighbour, calibration and lidar scan.

``python tools/check_dataset.py --data_path DIR --split NAME --json FILE``: options are those of train.py. Exit status
is 1 where training or evaluation would suffer, 2 where nothing could be checked.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes that decode fill the cores

from common.atomic_files import atomic_file
from common.environment import run_script
from common.errors import OptionsError
from common.option_types import OptionParser
from common.progress import Progress
from datasets.build import dataset_class, dataset_from
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine, find_split
from evaluation.ground_truth import IMPROVED_SPLIT
from options import Options, parse_options
from tools.dataset_check.check_result import CheckResult
from tools.dataset_check.list_checks import read_lists
from tools.dataset_check.run_checks import plan_checks, run_checks

SECONDS_BETWEEN_LINES = 30.0


def main() -> None:
    """Checks, prints what was found, and writes it; the exit status is 1 where there are errors."""
    parser = OptionParser(
        description="Checks every image, neighbour, calibration and lidar scan of a split.",
        epilog="Further options are those of train.py, with the same meaning: --data_path, --split, --dataset, --png, "
        "--frame_ids, --use_stereo, --num_workers, --config.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write all findings to")
    own, others = parser.parse_known_args()
    opt = parse_options(others)
    if own.json:
        _check_writable(own.json)
    result = check(opt)
    print(result.summary())
    if own.json:
        about = {"split": opt.split, "data_path": opt.data_path, "dataset": opt.dataset}
        with atomic_file(own.json) as stream:
            stream.write(json.dumps({**about, **result.as_dict()}, indent=2).encode())
        print(f"All findings in {own.json}")
    if not result.passed:
        raise SystemExit(1)


def check(opt: Options) -> CheckResult:
    """Everything that there is to check of a split.

    Raises:
        DataError: the split is not there, or none of its images.
    """
    split_dir = find_split(opt.split, opt.data_path)
    lists, unreadable = read_lists(split_dir)
    parts = {part: _build(opt, part, lines) for part, lines in lists.items()}
    # Exported ground truth takes the place of the test frames' own.
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
    print(f"{plan.files} files read in {seconds:.1f} s, {plan.files / seconds:.1f} a second")
    return result


def _build(opt: Options, part: str, lines: list[SplitLine]) -> MonoDataset:
    """The dataset as training, or evaluation for the test lines, has it."""
    is_test = part.startswith("test")
    return dataset_from(
        opt,
        lines,
        kind=dataset_class("kitti_depth" if is_test and opt.split_name == IMPROVED_SPLIT else opt.dataset),
        frame_ids=(0,) if is_test else opt.all_frames,
        scales=opt.scales,
    )


def _check_writable(path: Path) -> None:
    """Raises OptionsError where a file cannot be written: better told before the check than after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OptionsError(f"--json: {path} cannot be written ({error.strerror})") from error
    if path.is_dir():
        raise OptionsError(f"--json: got the folder {path}, allowed: a file")


if __name__ == "__main__":
    run_script(main)
