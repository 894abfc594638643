"""Download published split lists, or generate a split by rule from a tree of KITTI or of another dataset.

Example: python tools/prepare_splits.py --split eigen_zhou eigen
Example: python tools/prepare_splits.py --make my_split --data_path kitti_data
Example: python tools/prepare_splits.py --dataset cityscapes --data_path cityscapes

The first writes splits/NAME. The second writes kitti_data/splits/my_split with the moving frames of all drives outside
the test split (Eigen's drives, sequences 9 and 10); --val_share of them are for validation. The third writes
cityscapes/splits/cityscapes with the dataset's own training, validation and test frames.
"""

import argparse
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from common.atomic_files import check_writable
from common.command_line import OptionParser
from common.download import HttpSource, LocalSource
from common.environment import run_script
from common.errors import DataError, OptionsError
from common.registry import DATASETS, RULE_DATASETS, load
from datasets.splits import PUBLISHED_SPLITS, REPOSITORY_SPLITS
from tools.kitti.published_splits import SERVER, altered_lists, fetch_lists
from tools.kitti.split_by_rule import split_by_rule, write_lists


def main() -> None:
    """Parse the command line and write the lists."""
    args = _parser().parse_args()
    if args.dataset is not None:
        _list(args)
    elif args.make is None:
        _fetch(args)
    else:
        _make(args)


def _fetch(args: argparse.Namespace) -> None:
    if args.data_path is not None:
        raise OptionsError("--data_path is for --make and --dataset only. Pass --out for the folder of published lists")
    source = LocalSource(args.source) if args.source else HttpSource(args.server, threading.Event())
    for name in args.split:
        folder = (args.out or REPOSITORY_SPLITS) / name
        check_writable(folder)
        written = fetch_lists(name, folder, source)
        if altered := altered_lists(name, folder):
            raise DataError(f"'{altered[0]}' differs from the published list. Delete it, or move it to another folder.")
        print(f"{folder}: {', '.join(path.name for path in written) or 'already complete'}")


def _list(args: argparse.Namespace) -> None:
    if args.data_path is None:
        raise OptionsError(f"--dataset {args.dataset} requires its tree. Pass --data_path")
    folder = (args.out or args.data_path / "splits") / args.dataset
    lists = load(DATASETS, args.dataset).split_lists(args.data_path)
    check_writable(folder)
    write_lists(lists, folder)
    counts = ", ".join(f"{len(lines)} {part}" for part, lines in lists.items())
    print(f"{counts} lines. Saved to '{folder}'")


def _make(args: argparse.Namespace) -> None:
    if args.data_path is None:
        raise OptionsError("--make requires a tree of KITTI raw or odometry. Pass --data_path")
    if args.make in PUBLISHED_SPLITS:
        raise OptionsError(f"--make {args.make}: a published split has this name. Choose another name")
    if not 0 <= args.val_share < 1:
        raise OptionsError(f"--val_share: got {args.val_share}, expected a number in [0, 1)")
    folder = (args.out or args.data_path / "splits") / args.make
    check_writable(folder)
    watch = partial(tqdm, unit=" drives", disable=None)
    with ThreadPoolExecutor() as pool:
        split = split_by_rule(args.data_path, args.val_share, args.seed, args.min_speed, pool, watch)
    write_lists({"train": split.train, "val": split.val}, folder)
    print(
        f"{len(split.train)} lines for training, {len(split.val)} for validation, from {split.drives} drives.\n"
        f"Excluded: {split.test_drives} drives of the test split, {split.without_neighbours} frames without "
        f"neighbours or the other camera, {split.static} static frames."
    )
    if split.by_images:
        print(f"{split.by_images} frames lack oxts data; their motion was measured in the images.")
    print(f"Saved to '{folder}'")


def _parser() -> OptionParser:
    parser = OptionParser(description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--split", nargs="+", choices=PUBLISHED_SPLITS, default=PUBLISHED_SPLITS, help="published splits (default: all)"
    )
    what.add_argument("--make", metavar="NAME", help="generate a split with this name by rule")
    what.add_argument("--dataset", choices=RULE_DATASETS, help="list the frames of this dataset's own parts")
    parser.add_argument(
        "--source", type=Path, metavar="DIR", help="folder with published lists DIR/NAME, instead of the network"
    )
    parser.add_argument("--server", default=SERVER, help="base address of NAME/FILE (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, help="parent folder of NAME (default: splits; with --make or --dataset, DATA_PATH/splits)"
    )
    parser.add_argument(
        "--data_path",
        type=Path,
        help="--make: tree with DATE/DRIVE/image_02 or sequences/NN/image_2; --dataset: tree of the dataset",
    )
    parser.add_argument(
        "--val_share", type=float, default=0.1, help="--make: share of validation frames (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="--make: random seed for the validation frames (default: %(default)s)"
    )
    parser.add_argument(
        "--min_speed", type=float, default=1.0, help="--make: minimum speed of frames, m/s (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    run_script(main)
