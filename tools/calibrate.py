"""Calibrate a camera (intrinsics and distortion) from a video or images of a checkerboard.

Example: python tools/calibrate.py board.mp4 --corners 9x6 --out camera.json

Then pass the result on: python tools/import_video.py ... --camera camera.json. A flat screen can display the board.
Record the board with the same zoom, resolution and stabilisation as the videos to import.
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.atomic_files import check_file_writable
from common.environment import run_script
from common.errors import OptionsError
from common.option_types import OptionParser
from common.progress import Progress
from datasets.cameras import rescale_and_validate
from tools.video_import.camera_calibration import (
    GOOD_FIT,
    calibrate,
    find_boards,
    frames_to_search,
    write_camera_file,
)
from tools.video_import.sources import open_source

WIDE_SPREAD = 0.5  # share of the image


def main() -> None:
    """Calibrate the camera, print the result and write it."""
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("input", type=Path, metavar="VIDEO_OR_FOLDER", help="video or images of the board")
    parser.add_argument(
        "--corners", required=True, metavar="ACROSSxDOWN", help="inner corners of the board: 9x6 for 10x7 squares"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file to write")
    parser.add_argument(
        "--fisheye", action="store_true", help="use the fisheye model: horizontal FOV above about 100 degrees"
    )
    args = parser.parse_args()
    match = re.fullmatch(r"(\d+)x(\d+)", args.corners)
    corners = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(corners) < 3:
        raise OptionsError(f"--corners: got {args.corners}, expected two numbers of at least 3, for example 9x6")
    check_file_writable(args.out)
    source = open_source(args.input)
    progress = Progress(len(frames_to_search(source)), "frames", seconds=30)
    try:
        boards = find_boards(source, corners, lambda: progress.update(1))
    finally:
        progress.close()
    found = calibrate(boards, corners, source.size, args.fisheye)
    camera = rescale_and_validate(found.camera, source.size, str(args.input))
    write_camera_file(args.out, camera, error_pixels=found.error, boards=found.boards)
    print(
        f"{camera.describe()}\n{found.boards} boards covering {found.covered:.0%} of the image, reprojection error "
        f"{found.error:.2f} pixels. Saved to '{args.out}'"
    )
    if found.error > GOOD_FIT:
        print(
            "Note: an error above 1 pixel is large. Check that the video is sharp, the board flat and --fisheye right."
        )
    if found.covered < WIDE_SPREAD:
        print("Note: distortion is unreliable outside the covered area. Show the board near the image borders too.")


if __name__ == "__main__":
    run_script(main)
