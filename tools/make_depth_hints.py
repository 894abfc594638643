"""Make depth hints for --depth_hints by matching the stereo pairs of a split, and compare them with the ground truth.

Example: python tools/make_depth_hints.py --data_path kitti_data --split eigen_zhou --out kitti_data/depth_hints

Hints that exist are kept, so that an interrupted run continues when it is repeated.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matching processes already use all cores

import numpy as np

from common.atomic_files import check_writable
from common.command_help import accepts_options_of
from common.command_line import OptionParser
from common.environment import run_script
from common.errors import DataError
from common.process_pool import map_in_processes
from common.progress import Progress
from datasets.build import dataset_from
from datasets.splits import find_split, read_split_lines
from options import Options, parse_tool_options
from tools.depth_hints.hint_files import HintMaker, HintScore, unique_lines

PARTS = ("train", "val")
SECONDS_BETWEEN_LINES = 30.0


def main() -> None:
    """Parse the options and make the hints."""
    parser = OptionParser(
        description=__doc__,
        epilog=accepts_options_of("train.py", "--data_path, --split, --dataset, --png, --num_workers, ..."),
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the hints (default: depth_hints in --data_path)"
    )
    own, opt = parse_tool_options(parser)
    opt = opt.replace(gt_depth="camera")  # hints are along the camera's axis
    make_hints(opt, own.out or Path(opt.data_path) / "depth_hints")


def make_hints(opt: Options, folder: Path) -> list[HintScore]:
    """Make the missing hints of the training and validation lines of ``split``, and report on all.

    Raises:
        DataError: The split has no stereo pair, or a file is damaged.
        UserError: The folder cannot be written.
    """
    check_writable(folder)
    split = find_split(opt.split, opt.data_path)
    lines = [line for part in PARTS for line in read_split_lines(split, part)]
    dataset = dataset_from(opt, lines, frame_ids=(0, "s"))
    kept, incomplete = unique_lines(lines, dataset)
    if not kept:
        raise DataError(
            f"No line of split {opt.split_name} has both images of its stereo pair in {opt.data_path}, for example "
            f"{' and '.join(dataset.frame_paths(lines[0])) if lines else 'none'}. Check --data_path and --png."
        )
    if incomplete:
        print(f"Skipping {incomplete} frames without both images of a stereo pair")
    progress, started = Progress(len(kept), "pairs", SECONDS_BETWEEN_LINES), time.monotonic()
    scores = []
    try:
        for score in map_in_processes(HintMaker(dataset, folder), kept, opt.num_workers):
            scores.append(score)
            progress.update(1)
    finally:
        progress.close()
    print("\n".join(describe(scores, time.monotonic() - started)))
    print(f"Saved to '{folder}'. Train with --depth_hints {folder}")
    return scores


def describe(scores: Sequence[HintScore], seconds: float) -> list[str]:
    """Describe the hints: their number, the share of valid pixels, and the error against ground truth."""
    made = sum(score.made for score in scores)
    lines = [f"{made} hints made, {len(scores) - made} found, in {seconds:.0f} s ({seconds / len(scores):.2f} s each)"]
    lines.append(f"valid: {np.mean([score.valid_share for score in scores]):.1%} of the pixels")
    compared = [score for score in scores if score.metrics]
    if compared:
        mean = {name: np.mean([score.metrics[name] for score in compared]) for name in ("abs_rel", "rmse", "a1")}
        covered = np.mean([score.gt_share for score in compared])
        lines.append(
            f"against the ground truth of {len(compared)} frames, {covered:.1%} of which the hints cover: "
            f"abs_rel {mean['abs_rel']:.3f}, rmse {mean['rmse']:.2f} m, a1 {mean['a1']:.3f}"
        )
    return lines


if __name__ == "__main__":
    run_script(main)
