"""Makes a driving world to train in: procedural streets with stereo, lidar and exact depth, as a KITTI raw tree.

``python tools/make_synthetic.py --out data/synthetic --height 96 --width 320 --frames 800``, then
``python train.py --data_path data/synthetic --split synthetic --eval_split synthetic ...``
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes that draw fill the cores

from tqdm import tqdm

from common.environment import run_script
from common.option_types import OptionParser
from tools.synthetic.world import SPLIT, World, generate


def main() -> None:
    """Parses the options and writes the world."""
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="folder to write, new or empty")
    parser.add_argument("--height", type=int, default=96, help="of the images (default %(default)s)")
    parser.add_argument("--width", type=int, default=320, help="of the images (default %(default)s)")
    parser.add_argument("--frames", type=int, default=800, help="stereo frames altogether (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another one, another world (default %(default)s)")
    parser.add_argument(
        "--num_workers", type=int, default=os.cpu_count(), help="processes that draw; 0 draws in the main one"
    )
    args = parser.parse_args()
    if args.num_workers < 0:
        parser.error(f"--num_workers: got {args.num_workers}, expected 0 or more")
    world = World(args.height, args.width, args.frames, args.seed)
    started = time.monotonic()
    with tqdm(total=args.frames, unit=" frames", disable=None) as bar:
        written = generate(world, args.out, args.num_workers, bar.update)
    if not written:
        print(f"{args.out} holds this world already.")
        return
    seconds = time.monotonic() - started
    lines = ", ".join(f"{len(world.split_lines(part))} to {verb}" for part, verb in _PARTS)
    print(
        f"{args.frames} stereo frames of {args.width}x{args.height} in {len(world.drive_lengths)} streets in "
        f"{seconds:.0f} s ({args.frames / seconds:.1f} a second): {args.out}\nsplit {SPLIT}: {lines}"
    )


_PARTS = (("train", "train on"), ("val", "validate on"), ("test", "test on"))

if __name__ == "__main__":
    run_script(main)
