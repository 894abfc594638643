"""Create a training dataset from your own videos or image folders.

Example: python tools/import_video.py drive.mp4 --out my_data --camera camera.json

Then train: python train.py --dataset folder --data_path my_data. Exit status: 1 if an input could not be imported.
"""

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.atomic_files import check_writable
from common.command_line import OptionParser
from common.environment import run_script
from common.errors import DataError, OptionsError, printable, shell_quoted
from common.progress import Progress
from tools.video_import.collection import (
    LEAST_SIDE,
    MULTIPLE,
    ImportInput,
    ImportSettings,
    describe_plan,
    frames_to_take,
    import_or_skip,
    name_of,
    plan_import,
    settled_size,
)
from tools.video_import.sequence import ImportPlan
from tools.video_import.split_lists import write_lists

SECONDS_BETWEEN_LINES = 30.0


def main() -> None:
    """Import all inputs; exit with status 1 if one of them failed."""
    args = _parser().parse_args()
    inputs, settings = _checked(args)
    check_writable(settings.out)
    failed = 0
    taken: set[str] = set()
    size = settled_size(settings)
    for given in inputs:
        print(printable(given.left), flush=True)
        try:
            name = name_of(given, settings.out, taken)
            taken.add(name)
            plan = plan_import(settings, given, size)
            size = plan.size
            _import(plan, settings.out / name)
        except DataError as error:
            print(f"  Skipping '{printable(given.left)}': {error}", file=sys.stderr, flush=True)
            failed += 1
    manifest = write_lists(settings.out)
    counts = manifest["lines"]
    print(
        f"{len(manifest['sequences'])} sequences of {manifest['width']}x{manifest['height']}: {counts['train']} lines "
        f"for training, {counts['val']} for validation, {counts['test']} for testing. Saved to '{settings.out}'\n"
        f"To train: python train.py --dataset folder --data_path {shell_quoted(settings.out)}"
    )
    if failed:
        print(f"{failed} of {len(inputs)} inputs could not be imported.", file=sys.stderr)
        raise SystemExit(1)


def _import(plan: ImportPlan, folder: Path) -> None:
    for line in describe_plan(plan):
        print(f"  {line}", flush=True)
    progress = Progress(frames_to_take(plan), "frames", SECONDS_BETWEEN_LINES)
    try:
        record, was_there = import_or_skip(plan, folder, lambda: progress.update(1))
    finally:
        progress.close()
    across, down = record["field_of_view"]
    print(
        f"  {record['frames']} frames, {record['frames_still']} static frames skipped"
        + (f", {record['frames_not_decoded']} not decodable" if record["frames_not_decoded"] else "")
        + f", {record['breaks']} breaks; stored field of view {across:.1f} x {down:.1f} degrees"
        + (", undistorted" if record.get("lens") == "undone" else "")
        + (f". Already in '{folder}'" if was_there else f". Saved to '{folder}'"),
        flush=True,
    )


def _parser() -> OptionParser:
    parser = OptionParser(description=__doc__)
    parser.add_argument("inputs", nargs="+", type=Path, metavar="VIDEO_OR_FOLDER", help="video or folder of images")
    parser.add_argument("--out", type=Path, required=True, help="dataset folder, new or to be extended")
    parser.add_argument("--height", type=int, help=f"height of stored frames, a multiple of {MULTIPLE} pixels")
    parser.add_argument(
        "--width",
        type=int,
        help=f"width of stored frames, a multiple of {MULTIPLE} pixels (default: area of 640x192, aspect ratio kept)",
    )
    parser.add_argument("--camera", type=Path, metavar="FILE", help="camera file, JSON or YAML (docs/own_camera.md)")
    parser.add_argument("--fov", type=float, metavar="DEGREES", help="horizontal FOV, degrees")
    parser.add_argument(
        "--keep_distortion", action="store_true", help="store distorted frames and model the lens in training"
    )
    parser.add_argument(
        "--fps",
        type=float,
        metavar="RATE",
        help="frames per second: of image folders (default: unknown), or, if all inputs are videos, of the selected "
        "frames (default: by parallax)",
    )
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="image of the frames' size, black on pixels to ignore, such as a bonnet (default: found automatically)",
    )
    parser.add_argument("--stride", type=int, metavar="N", help="select every Nth frame (default: by parallax)")
    parser.add_argument(
        "--right", nargs="+", type=Path, default=[], help="right camera of each input, for rectified stereo pairs"
    )
    parser.add_argument("--baseline", type=float, metavar="METRES", help="baseline of the stereo pairs, metres")
    parser.add_argument(
        "--depth", nargs="+", type=Path, default=[], help="folder of depth maps for each input, for evaluation"
    )
    return parser


def _checked(args: argparse.Namespace) -> tuple[list[ImportInput], ImportSettings]:
    """Check the options and derive inputs and settings.

    Raises:
        OptionsError: an option is out of range, or options contradict each other.
    """
    if len({path.resolve() for path in args.inputs}) < len(args.inputs):
        raise OptionsError("an input is named twice: its frames would be in both the training and the test split")
    for name in ("right", "depth"):
        if getattr(args, name) and len(getattr(args, name)) != len(args.inputs):
            raise OptionsError(f"--{name}: got {len(getattr(args, name))}, expected one for each of {len(args.inputs)}")
    if bool(args.right) != (args.baseline is not None):
        raise OptionsError("--right and --baseline require each other. Pass both, or neither")
    if args.baseline is not None and args.baseline <= 0:
        raise OptionsError(f"--baseline: got {args.baseline}, expected more than 0 metres")
    if args.fps is not None and not 0 < args.fps < math.inf:
        raise OptionsError(f"--fps: got {args.fps}, expected more than 0 frames per second")
    if args.stride is not None and args.stride < 1:
        raise OptionsError(f"--stride: got {args.stride}, expected at least 1")
    all_videos = not any(path.is_dir() for path in args.inputs)
    if args.fps is not None and args.stride is not None and all_videos:
        raise OptionsError("--fps and --stride exclude each other for videos. Pass one of them")
    if args.camera and args.fov is not None:
        raise OptionsError("--camera and --fov exclude each other. Pass one of them")
    if args.fov is not None and not 1 < args.fov < 179:
        raise OptionsError(f"--fov: got {args.fov}, expected between 1 and 179 degrees")
    if args.keep_distortion and not args.camera:
        raise OptionsError("--keep_distortion requires the distortion coefficients. Pass --camera")
    if (args.height is None) != (args.width is None):
        raise OptionsError("--height and --width require each other. Pass both, or neither")
    for name in ("height", "width"):
        side = getattr(args, name)
        if side is not None and (side % MULTIPLE or side < LEAST_SIDE):
            raise OptionsError(f"--{name}: got {side}, expected a multiple of {MULTIPLE}, at least {LEAST_SIDE}")
    size = (args.height, args.width) if args.height else None
    rights, depths = (getattr(args, name) or [None] * len(args.inputs) for name in ("right", "depth"))
    inputs = [ImportInput(*paths) for paths in zip(args.inputs, rights, depths, strict=True)]
    settings = ImportSettings(
        out=args.out,
        size=size,
        camera_file=args.camera,
        view=args.fov,
        keep_distortion=args.keep_distortion,
        baseline=args.baseline,
        fps=None if all_videos else args.fps,
        mask_file=args.mask,
        stride=args.stride,
        selected_fps=args.fps if all_videos else None,
    )
    return inputs, settings


if __name__ == "__main__":
    run_script(main)
