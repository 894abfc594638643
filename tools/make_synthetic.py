"""Render a synthetic driving dataset as a KITTI raw tree: procedural streets with exact depth.

Example: python tools/make_synthetic.py --out data/synthetic --height 96 --width 320 --frames 800

Then train: python train.py --data_path data/synthetic --split synthetic --eval_split synthetic ...
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # rendering processes already use all cores

from tqdm import tqdm

from common.command_line import OptionParser
from common.environment import run_script
from tools.synthetic.streets.world import StreetsWorld
from tools.synthetic.world import SPLIT, World, generate


def main() -> None:
    """Parse the options and write the dataset."""
    parser = OptionParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="output folder, new or empty")
    parser.add_argument("--height", type=int, default=96, help="image height, pixels (default: %(default)s)")
    parser.add_argument("--width", type=int, default=320, help="image width, pixels (default: %(default)s)")
    parser.add_argument(
        "--frames", type=int, default=800, help="total number of frames; stereo pairs in drives (default: %(default)s)"
    )
    parser.add_argument(
        "--world",
        choices=WORLDS,
        default="drives",
        help="drives: stereo videos of quiet streets, with lidar and poses; streets: single images of varied scenes, "
        "cameras and weather, for --supervise_depth (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of the streets (default: %(default)s)")
    parser.add_argument(
        "--num_workers",
        type=int,
        default=os.cpu_count(),
        help="rendering processes; 0 renders in the main process (default: number of cores)",
    )
    args = parser.parse_args()
    if args.num_workers < 0:
        parser.error(f"--num_workers: got {args.num_workers}, expected 0 or more")
    world = WORLDS[args.world](args.height, args.width, args.frames, args.seed)
    started = time.monotonic()
    with tqdm(total=args.frames, unit=" frames", disable=None) as bar:
        written = generate(world, args.out, args.num_workers, bar.update)
    if not written:
        print(f"'{args.out}' already contains this dataset.")
        return
    seconds = time.monotonic() - started
    lines = ", ".join(f"{len(world.split_lines(part))} for {verb}" for part, verb in _PARTS)
    print(
        f"{args.frames} {world.IMAGES} of {args.width}x{args.height} in {len(world.drive_lengths)} streets in "
        f"{seconds:.0f} s ({args.frames / seconds:.1f} frames/s). Saved to '{args.out}'\nsplit {SPLIT}: {lines}"
    )


WORLDS = {"drives": World, "streets": StreetsWorld}
_PARTS = (("train", "training"), ("val", "validation"), ("test", "testing"))

if __name__ == "__main__":
    run_script(main)
