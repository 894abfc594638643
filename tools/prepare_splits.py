"""Gets the published split lists, or makes a split by rule from a tree of KITTI raw.

``python tools/prepare_splits.py --split eigen_zhou eigen`` writes the lists into splits/;
``python tools/prepare_splits.py --make NAME --data_path DIR`` writes DIR/splits/NAME: of all drives but the Eigen
test's the frames where the car moves, a share of them for validation.
"""

import argparse
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from common.environment import run_script
from common.errors import DataError, OptionsError
from common.option_types import OptionParser
from datasets.splits import PUBLISHED_SPLITS, REPOSITORY_SPLITS
from tools.kitti.download import HttpSource, LocalSource
from tools.kitti.published_splits import SERVER, altered_lists, fetch_lists
from tools.kitti.split_by_rule import split_by_rule, write_split


def main() -> None:
    """Parses the command line, and writes the lists."""
    args = _parser().parse_args()
    if args.make is None:
        _fetch(args)
    else:
        _make(args)


def _fetch(args: argparse.Namespace) -> None:
    if args.data_path is not None:
        raise OptionsError("--data_path goes with --make; published lists are written to --out")
    source = LocalSource(args.source) if args.source else HttpSource(args.server, threading.Event())
    for name in args.split:
        folder = (args.out or REPOSITORY_SPLITS) / name
        written = fetch_lists(name, folder, source)
        if altered := altered_lists(name, folder):
            raise DataError(f"{altered[0]} is not the published list: delete it to get that, or keep it elsewhere.")
        print(f"{folder}: {', '.join(path.name for path in written) or 'all there already'}")


def _make(args: argparse.Namespace) -> None:
    if args.data_path is None:
        raise OptionsError("--make needs --data_path, the tree of KITTI raw to make the split of")
    if args.make in PUBLISHED_SPLITS:
        raise OptionsError(f"--make {args.make}: a published split has this name; choose another")
    if not 0 <= args.val_share < 1:
        raise OptionsError(f"--val_share: got {args.val_share}, allowed: a number of at least 0 and below 1")
    folder = (args.out or args.data_path / "splits") / args.make
    watch = partial(tqdm, unit=" drives", disable=None)
    with ThreadPoolExecutor() as pool:
        split = split_by_rule(args.data_path, args.val_share, args.seed, args.min_speed, pool, watch)
    write_split(split, folder)
    print(
        f"{folder}: {len(split.train)} lines to train on, {len(split.val)} to validate on, of {split.drives} drives.\n"
        f"Left out: {split.test_drives} drives of the Eigen test, {split.without_neighbours} frames without neighbours "
        f"or the other camera, {split.static} where the car hardly moves."
    )
    if split.by_images:
        print(f"Where oxts is missing, {split.by_images} frames, motion was measured in the images.")


def _parser() -> OptionParser:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--split", nargs="+", choices=PUBLISHED_SPLITS, default=PUBLISHED_SPLITS, help="published ones (default: all)"
    )
    what.add_argument("--make", metavar="NAME", help="make a split of this name by rule")
    parser.add_argument(
        "--source", type=Path, metavar="DIR", help="take published lists from DIR/NAME, not from the network"
    )
    parser.add_argument("--server", default=SERVER, help="address that has NAME/FILE (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, help="folder that gets NAME/ (default: splits/; of --make, DATA_PATH/splits)"
    )
    parser.add_argument("--data_path", type=Path, help="--make: the tree, DATE/DRIVE/image_02/data ...")
    parser.add_argument(
        "--val_share", type=float, default=0.1, help="--make: share to validate on (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="--make: decides which frames these are (default: %(default)s)"
    )
    parser.add_argument(
        "--min_speed", type=float, default=1.0, help="--make: slower frames are left out, m/s (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    run_script(main)
