"""Prepare KITTI for splits: download and unpack the required archives, convert PNG to JPEG, and check the tree.

Example: python tools/prepare_kitti.py --data_path kitti_data --split eigen_zhou eigen

The command can be interrupted at any time and resumes when run again; it also completes a partial tree. Exit status: 1
if files are still missing at the end.
"""

import argparse
import os
import shutil
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import OptionParser
from common.download import HttpSource, LocalSource
from common.environment import run_script
from common.errors import DataError, OptionsError
from common.progress import ThreadedProgress
from datasets.splits import PUBLISHED_SPLITS, find_split
from tools.kitti import archives, published_splits
from tools.kitti.archives import Archive
from tools.kitti.preparation import Preparation, disk_errors, exclusive_run, merge_required_files
from tools.kitti.required_files import required_files

SHOWN = 5  # missing files listed per archive
MB, GB = 10**6, 10**9


def main() -> None:
    """Prepare the data folder; exit with status 1 if files are still missing at the end."""
    args = _parser().parse_args()
    for name in ("downloads", "num_workers"):
        if getattr(args, name) < 1:
            raise OptionsError(f"--{name}: got {getattr(args, name)}, expected an integer of at least 1")
    signal.signal(signal.SIGINT, _stop_at_once)
    with exclusive_run(args.data_path), disk_errors(args.data_path):
        missing = _prepare(args)
    if missing:
        _report_missing(missing)
        raise SystemExit(1)
    names = " ".join(args.split)
    advice = " Images are PNG: pass --png to all commands that read them." if args.png else ""
    print(f"'{args.data_path}' is complete for {names}.{advice}")


def _stop_at_once(*_: object) -> NoReturn:
    """Exit at once, without waiting for threads: every intermediate state can be resumed."""
    print("\nStopped. Run the same command again to resume.", file=sys.stderr, flush=True)
    os._exit(130)


def _prepare(args: argparse.Namespace) -> dict[Archive, list[str]]:
    """Run all steps and return the files that are still missing, by archive."""
    stop = threading.Event()
    lists = LocalSource(args.source) if args.source else HttpSource(args.splits_server, stop)
    source = LocalSource(args.source) if args.source else HttpSource(args.server, stop)
    splits = [_find_or_fetch(name, args.data_path, lists) for name in args.split]
    required = merge_required_files(
        required_files(split, ".png" if args.png else ".jpg", args.improved_gt) for split in splits
    )
    with ThreadPoolExecutor(args.num_workers) as pool:
        preparation = Preparation(
            args.data_path, required, source, pool, stop, png=args.png, keep_archives=args.keep_archives
        )
        preparation.resume()
        if pngs := preparation.pngs():
            print(f"Converting {len(pngs)} PNG images to JPEG. Pass --png to keep PNG.")
            with ThreadedProgress(len(pngs), "images") as line:
                preparation.convert(pngs, lambda: line.add(1))
        missing = preparation.missing()
        if missing:
            _fetch(preparation, missing, args)
            missing = preparation.missing()
    return missing


def _find_or_fetch(name: str, data_path: Path, lists: HttpSource | LocalSource) -> Path:
    """Locate the folder of a split; fetch a missing published split to ``DATA_PATH/splits``."""
    try:
        split = find_split(name, data_path)
    except DataError:
        if name not in PUBLISHED_SPLITS:
            raise
        split = data_path / "splits" / name
    if name in PUBLISHED_SPLITS:
        for path in published_splits.fetch_lists(name, split, lists):
            print(f"Downloaded the published list. Saved to '{path}'")
    return split


def _fetch(preparation: Preparation, missing: dict[Archive, list[str]], args: argparse.Namespace) -> None:
    sizes = preparation.sizes(missing)
    total, needed = sum(sizes.values()), preparation.space_needed(sizes, args.downloads)
    free = shutil.disk_usage(args.data_path).free
    space = f"up to {needed / GB:.1f} GB required with their content, {free / GB:.1f} GB are free in '{args.data_path}'"
    if needed > free:
        raise DataError(f"{len(sizes)} archives: {space}. Free disk space, or pass fewer --split or --downloads.")
    print(f"{len(sizes)} archives of {total / GB:.1f} GB: {space}.")
    with ThreadedProgress(total // MB, "MB") as line:
        preparation.fetch(sizes, args.downloads, lambda count: line.add(count / MB), line.note)


def _report_missing(missing: dict[Archive, list[str]]) -> None:
    for archive, files in missing.items():
        print(f"{archive.name}: {len(files)} missing or truncated files", *files[:SHOWN], sep="\n  ", file=sys.stderr)
    print(
        "Run the same command again to download these archives again. Training skips split lines without images and "
        "lists them in the run's folder.",
        file=sys.stderr,
    )


def _parser() -> OptionParser:
    parser = OptionParser(description=__doc__)
    add = parser.add_argument
    add("--data_path", type=Path, required=True, help="dataset folder; created if missing")
    add("--split", nargs="+", required=True, metavar="NAME", help="published splits, or any split that train.py finds")
    add("--improved_gt", action="store_true", help="include KITTI's improved ground truth (always for eigen_benchmark)")
    add("--png", action="store_true", help="keep images as PNG (default: convert to JPEG)")
    add("--keep_archives", action="store_true", help="keep archives in DATA_PATH/archives (default: delete)")
    add("--source", type=Path, metavar="DIR", help="folder with archives and lists, instead of the network")
    add("--server", default=archives.SERVER, help="address of the archives (default: %(default)s)")
    add("--splits_server", default=published_splits.SERVER, help="address of the lists (default: %(default)s)")
    add("--downloads", type=int, default=4, help="archives to fetch and unpack in parallel (default: %(default)s)")
    add(
        "--num_workers",
        type=int,
        default=os.cpu_count(),
        help="threads for unpacking and conversion (default: number of cores)",
    )
    return parser


if __name__ == "__main__":
    run_script(main)
