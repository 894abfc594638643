"""Makes a data set of your own videos, to train on: ``python train.py --dataset folder --data_path DIR``.

``python tools/import_video.py VIDEO_OR_FOLDER ... --out DIR``. Exit status is 1 where some could not be imported.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.environment import run_script
from common.errors import DataError, OptionsError
from common.option_types import OptionParser
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
    """Imports what is named; the exit status is 1 where some of it could not be."""
    args = _parser().parse_args()
    inputs, settings = _checked(args)
    failed = 0
    taken: set[str] = set()
    size = settled_size(settings)
    for given in inputs:
        print(f"{given.left}", flush=True)
        try:
            name = name_of(given, settings.out, taken)
            taken.add(name)
            plan = plan_import(settings, given, size)
            size = plan.size
            _import(plan, settings.out / name)
        except DataError as error:
            print(f"  left out: {error}", file=sys.stderr, flush=True)
            failed += 1
    manifest = write_lists(settings.out)
    counts = manifest["lines"]
    print(
        f"{len(manifest['sequences'])} sequences of {manifest['width']}x{manifest['height']} in {settings.out}: "
        f"{counts['train']} lines to train on, {counts['val']} to validate on, {counts['test']} to test on\n"
        f"To train: python train.py --dataset folder --data_path {settings.out}"
    )
    if failed:
        print(f"{failed} of {len(inputs)} could not be imported.", file=sys.stderr)
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
        f"  {folder}: {record['frames']} frames, {record['frames_still']} left out where nothing moves"
        + (f", {record['frames_not_decoded']} not decoded" if record["frames_not_decoded"] else "")
        + f", {record['breaks']} breaks; field of view as stored {across:.1f} x {down:.1f} degrees"
        + (", undistorted" if record["lens"] == "undone" else "")
        + (" (was there already)" if was_there else ""),
        flush=True,
    )


def _parser() -> OptionParser:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="VIDEO_OR_FOLDER", help="a video, or a folder of images"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set; more may be added later")
    parser.add_argument("--height", type=int, help=f"of the stored frames, a multiple of {MULTIPLE}")
    parser.add_argument(
        "--width", type=int, help="of the stored frames (default: as many pixels as 640x192, unsquashed)"
    )
    parser.add_argument(
        "--camera", type=Path, metavar="FILE", help="JSON or YAML, of these cameras (docs/own_camera.md)"
    )
    parser.add_argument("--fov", type=float, metavar="DEGREES", help="field of view across the image's width")
    parser.add_argument(
        "--keep_distortion", action="store_true", help="keep the lens in the images and model it in training"
    )
    parser.add_argument(
        "--right", nargs="+", type=Path, default=[], help="the right camera of each, of rectified pairs"
    )
    parser.add_argument("--baseline", type=float, metavar="METRES", help="between the cameras of the pairs")
    parser.add_argument(
        "--depth", nargs="+", type=Path, default=[], help="a folder for each with its frames' depth, to evaluate on"
    )
    return parser


def _checked(args: argparse.Namespace) -> tuple[list[ImportInput], ImportSettings]:
    """Raises OptionsError where options make no sense together."""
    if len({path.resolve() for path in args.inputs}) < len(args.inputs):
        raise OptionsError("a source is named twice: its frames would be trained and tested on")
    for name in ("right", "depth"):
        if getattr(args, name) and len(getattr(args, name)) != len(args.inputs):
            raise OptionsError(f"--{name}: got {len(getattr(args, name))}, expected one for each of {len(args.inputs)}")
    if bool(args.right) != (args.baseline is not None):
        raise OptionsError("--right and --baseline belong together: the other camera, and how far away it is")
    if args.baseline is not None and args.baseline <= 0:
        raise OptionsError(f"--baseline: got {args.baseline}, expected metres above 0")
    if args.camera and args.fov is not None:
        raise OptionsError("--camera and --fov both say what the camera is: choose one")
    if args.fov is not None and not 1 < args.fov < 179:
        raise OptionsError(f"--fov: got {args.fov}, expected degrees between 1 and 179")
    if args.keep_distortion and not args.camera:
        raise OptionsError("--keep_distortion needs the lens: give it by --camera")
    if (args.height is None) != (args.width is None):
        raise OptionsError("--height and --width belong together")
    for name in ("height", "width"):
        side = getattr(args, name)
        if side is not None and (side % MULTIPLE or side < LEAST_SIDE):
            raise OptionsError(f"--{name}: got {side}, expected a multiple of {MULTIPLE} from {LEAST_SIDE} on")
    size = (args.height, args.width) if args.height else None
    rights, depths = (getattr(args, name) or [None] * len(args.inputs) for name in ("right", "depth"))
    inputs = [ImportInput(*paths) for paths in zip(args.inputs, rights, depths, strict=True)]
    return inputs, ImportSettings(args.out, size, args.camera, args.fov, args.keep_distortion, args.baseline)


if __name__ == "__main__":
    run_script(main)
