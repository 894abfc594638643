"""Calibrate a camera (intrinsics and distortion) from a video or images of a checkerboard.

Example: python tools/calibrate.py board.mp4 --out camera.json

Then pass the result on: python tools/import_video.py ... --camera camera.json. A flat screen can display the board.
Record the board with the same zoom, resolution and stabilisation as the videos to import. The board may be partly
outside the image. A picture next to the result shows a board before and after undistortion.
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image

from common.atomic_files import atomic_file, check_file_writable
from common.command_line import OptionParser
from common.environment import run_script
from common.errors import DataError, OptionsError
from common.progress import Progress
from common.signatures import media_kind
from datasets.cameras import Camera, rescale_and_validate
from tools.video_import.board_detection import MIN_BOARDS, Board, find_boards, frames_to_search
from tools.video_import.board_picture import choose_board, draw_board
from tools.video_import.camera_calibration import GOOD_FIT, Calibration, calibrate, write_camera_file
from tools.video_import.sources import ImageFolderSource, Source, open_source

WIDE_SPREAD = 0.5  # share of the image


def main() -> None:
    """Calibrate the camera, print the result and write it."""
    args = _parse()
    picture = args.out.with_name(f"{args.out.stem}_board.png")
    for path in (args.out, picture):
        check_file_writable(path)
    source = _open_boards(args.input)
    progress = Progress(len(frames_to_search(source)), "frames", seconds=30)
    try:
        boards, corners = find_boards(source, args.corners, lambda: progress.update(1))
    finally:
        progress.close()
    if args.corners is None:
        print(f"The board has {corners[0]}x{corners[1]} inner corners; pass --corners if that is wrong.")
    found = calibrate(boards, source.size, args.fisheye)
    camera = rescale_and_validate(found.camera, source.size, str(args.input))
    errors = {_name(source, board): float(error) for board, error in zip(found.boards, found.errors, strict=True)}
    write_camera_file(
        args.out, camera, error_pixels=found.error, boards=len(found.boards), errors_pixels_by_image=errors
    )
    shown = choose_board(found.boards)
    _write_picture(picture, source, shown, camera)
    _report(source, found, camera, max(corners) * min(corners))
    print(f"Saved to '{args.out}'. '{picture}' shows {_name(source, shown)} as recorded and undistorted.")


def _parse() -> argparse.Namespace:
    parser = OptionParser(description=__doc__)
    parser.add_argument("input", type=Path, metavar="VIDEO_OR_FOLDER", help="video or images of the board")
    parser.add_argument(
        "--corners",
        metavar="ACROSSxDOWN",
        help="inner corners of the board: 9x6 for 10x7 squares; searches faster (default: detected)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file to write")
    parser.add_argument(
        "--fisheye", action="store_true", help="use the fisheye model: horizontal FOV above about 100 degrees"
    )
    args = parser.parse_args()
    if args.corners is not None:
        match = re.fullmatch(r"(\d+)x(\d+)", args.corners)
        corners = (int(match[1]), int(match[2])) if match else (0, 0)
        if min(corners) < 3:
            raise OptionsError(f"--corners: got {args.corners}, expected two numbers of at least 3, for example 9x6")
        args.corners = corners
    return args


def _open_boards(path: Path) -> Source:
    """Open the video or the images, without those of another size than most.

    Raises:
        DataError: It cannot be read, or has too few frames.
    """
    if path.is_file() and media_kind(path) == "image":
        raise DataError(
            f"{path} is one photo, expected at least {MIN_BOARDS} views of the board. Pass a video, or a folder of "
            "photos."
        )
    source = ImageFolderSource(path) if path.is_dir() else open_source(path)
    if isinstance(source, ImageFolderSource):
        others = source.keep_common_size()
        if others:
            height, width = source.size
            names = ", ".join(f"{image.name} ({across}x{down})" for image, (down, across) in others)
            print(f"Note: {len(others)} images are not {width}x{height} like the others and are skipped: {names}")
    if len(source) < MIN_BOARDS:
        raise DataError(f"{path} has {len(source)} usable frames, expected at least {MIN_BOARDS} views of the board.")
    return source


def _write_picture(path: Path, source: Source, board: Board, camera: Camera) -> None:
    """Write the frame of the board as recorded and undistorted.

    Raises:
        UserError: The file cannot be written.
    """
    (frame,) = source.read([board.frame])
    with atomic_file(path) as stream:
        Image.fromarray(draw_board(frame.pixels, board, camera)).save(stream, "PNG")


def _report(source: Source, found: Calibration, camera: Camera, corners: int) -> None:
    """Print the error of each board, the camera, and what makes it doubtful."""
    for board, error in zip(found.boards, found.errors, strict=True):
        part = "" if len(board.corners) == corners else f", {max(board.shape)}x{min(board.shape)} corners visible"
        print(f"  {_name(source, board)}: {error:.2f} pixels{part}")
    for board in found.rejected:
        print(f"  {_name(source, board)}: left out, its corners contradict those of the others")
    print(
        f"{camera.describe()}\n{len(found.boards)} boards covering {found.covered:.0%} of the image, reprojection "
        f"error {found.error:.2f} pixels."
    )
    if found.error > GOOD_FIT:
        print(
            "Note: an error above 1 pixel is large. Check that the video is sharp, the board flat and --fisheye right."
        )
    if found.covered < WIDE_SPREAD:
        print("Note: distortion is unreliable outside the covered area. Show the board near the image borders too.")


def _name(source: Source, board: Board) -> str:
    """Return the file name of an image, or the number of a video's frame."""
    return source.images[board.frame].name if isinstance(source, ImageFolderSource) else f"frame {board.frame}"


if __name__ == "__main__":
    run_script(main)
