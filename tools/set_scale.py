"""Estimate the metric scale of monocular weights and store it with them; predict.py then predicts metres.

Example: python tools/set_scale.py --load_weights_folder DIR --fov 81.5 --camera_height 1.65 IMAGE ...
Example: python tools/set_scale.py --load_weights_folder DIR --fov 81.5 --distance 12.5 --at X Y IMAGE

The first uses the camera's height above the road, from images that show the road; more images are more reliable. The
second uses one distance, measured from the camera to the object at pixel X Y of an image. Both require the camera
(--fov or --intrinsics), unless the weights were trained with --learn_intrinsics.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from common.atomic_files import check_writable
from common.command_line import OptionParser, add_argument
from common.environment import prepare_environment, run_script, set_device
from common.errors import DataError, OptionsError
from common.images import read_image
from common.input_files import find_images
from datasets.transforms import scale_intrinsics
from evaluation.metric_scale import scale_from_distance, scale_from_height
from inference.camera_intrinsics import Intrinsics, make_intrinsics
from inference.from_options import predictor_from
from inference.predict_options import PREDICT_FIELDS
from serialization.weights_download import resolve_weights

if TYPE_CHECKING:  # this imports Paddle, too slow for --help and option errors
    from inference.depth_predictor import DepthPredictor
    from serialization.weights_folder import WeightsInfo

WIDEST_SPREAD = 1.5  # 90th / 10th percentile of the scales; above it, a single factor is unreliable


def main() -> None:
    """Parse the command line, predict depth and store the scale."""
    args = _parser().parse_args()
    _check(args)
    paths = find_images(args.images, print)
    given = make_intrinsics(args.intrinsics, args.fov)
    if args.distance is not None and len(paths) != 1:
        raise OptionsError(f"--distance: got {len(paths)} images, expected one")
    args.load_weights_folder = resolve_weights(args.load_weights_folder)
    check_writable(Path(args.load_weights_folder))
    prepare_environment()
    from serialization.weights_folder import WeightsInfo, read_weights_info, replace_weights_info

    _check_stored(read_weights_info(args.load_weights_folder), args)
    set_device(args.device)
    # A scale of 1 metre per scene unit makes the predictor return scene units.
    predictor = predictor_from(args, scale=1.0)
    camera = given or _learned(predictor, args.load_weights_folder)
    scale = _describe([_scale(args, path, predictor, camera) for path in paths], args)
    info = predictor.info or WeightsInfo(*predictor.size, use_stereo=False)
    replace_weights_info(args.load_weights_folder, dataclasses.replace(info, metres_per_unit=scale))
    print(f"Saved to '{Path(args.load_weights_folder) / 'weights.json'}'. predict.py now predicts metres.")


def _check_stored(info: "WeightsInfo | None", args: argparse.Namespace) -> None:
    """Print the scale that the weights have already.

    Raises:
        OptionsError: They have one, and ``--overwrite`` is not given.
    """
    stored = None
    if info is not None and info.metres_per_unit is not None:
        stored = f"{info.metres_per_unit:.4g} m per scene unit"
    elif info is not None and info.use_stereo:
        stored = "the scale of the stereo pairs that they were trained on (use_stereo)"
    if stored and not args.overwrite:
        raise OptionsError(
            f"'{args.load_weights_folder}' already has a scale: {stored}. Pass --overwrite to replace it, or copy the "
            "folder first to keep both."
        )
    if stored:
        print(f"Replacing the stored scale: {stored}.")


def _scale(args: argparse.Namespace, path: Path, predictor: "DepthPredictor", camera: Intrinsics) -> float | None:
    """Estimate the scale from one image, metres per scene unit; None if no road is found in it."""
    image = read_image(path)
    height, width = image.shape[:2]
    K = camera((height, width))
    if args.distance is None:
        return scale_from_height(predictor(image).depth, K, args.camera_height)
    x, y = args.at
    if not (0 <= x < width and 0 <= y < height):
        raise OptionsError(f"--at: got {x} {y}, expected a pixel inside the {width}x{height} image '{path}'")
    return scale_from_distance(predictor(image).depth, K, (x, y), args.distance)


def _describe(scales: Sequence[float | None], args: argparse.Namespace) -> float:
    """Print the estimates and return their median."""
    found = [scale for scale in scales if scale is not None]
    if not found:
        raise DataError(
            f"no road found in the predicted depth of {len(scales)} images: expected a level plane below the camera "
            "with most of the points ahead. Pass images of an open road and check the field of view, or measure one "
            "distance (--distance, --at)."
        )
    scale = float(np.median(found))
    if args.distance is not None:
        print(f"A scene unit is {scale:.4g} m.")
        return scale
    low, high = np.percentile(found, [10, 90])
    print(
        f"A scene unit is {scale:.4g} m, from the road in {len(found)} of {len(scales)} images (80 % of the estimates "
        f"between {low:.4g} and {high:.4g})."
    )
    if len(found) < len(scales) / 2 or high > WIDEST_SPREAD * low:
        print("Note: the estimates disagree. Pass more images of an open road and check the field of view.")
    return scale


def _learned(predictor: "DepthPredictor", folder: str) -> Intrinsics:
    """Build the function (height, width) -> K (3, 3) from the intrinsics that the weights learned.

    Raises:
        OptionsError: the weights have no intrinsics.
    """
    if not (predictor.info and predictor.info.intrinsics):
        raise OptionsError(
            f"'{folder}' has no learned intrinsics. Pass the horizontal FOV in degrees to --fov, or a file with "
            "fx fy cx cy in pixels of the images to --intrinsics"
        )
    fx, fy, cx, cy = predictor.info.intrinsics
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return lambda size: scale_intrinsics(K, predictor.size, size)


def _check(args: argparse.Namespace) -> None:
    if (args.camera_height is None) == (args.distance is None):
        raise OptionsError("pass a known length: either --camera_height METRES, or --distance METRES --at X Y")
    if (args.distance is None) != (args.at is None):
        raise OptionsError("--distance METRES and --at X Y require each other: the distance and its pixel. Pass both")
    if args.fov and args.intrinsics:
        raise OptionsError("--fov and --intrinsics exclude each other. Pass one of them")
    if args.fov and args.fov >= 180:
        raise OptionsError(f"--fov: got {args.fov:g}, expected degrees below 180")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return value


def _parser() -> OptionParser:
    parser = OptionParser(description=__doc__)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="images, image folders or patterns, all from one camera"
    )
    parser.add_argument(
        "--load_weights_folder", required=True, metavar="DIR", help="weights folder, or name of published weights"
    )
    parser.add_argument(
        "--camera_height", type=_positive, metavar="METRES", help="camera height above the road, metres"
    )
    parser.add_argument("--distance", type=_positive, metavar="METRES", help="distance of the pixel --at X Y, metres")
    parser.add_argument("--at", type=int, nargs=2, metavar=("X", "Y"), help="pixel; 0 0 is the top left one")
    parser.add_argument("--fov", type=_positive, metavar="DEGREES", help="horizontal FOV, degrees")
    parser.add_argument("--intrinsics", metavar="FILE", help="intrinsics file in the format of predict.py, or kitti")
    parser.add_argument("--overwrite", action="store_true", help="replace the scale that the weights have already")
    for name in ("depth_network", "min_depth", "max_depth", "device"):
        add_argument(parser, PREDICT_FIELDS[name])
    parser.set_defaults(device=PREDICT_FIELDS["device"].default)
    return parser


if __name__ == "__main__":
    run_script(main)
