"""Finds how many metres a scene unit of monocular weights is, and stores it: predict.py then answers in metres.

By the camera's height above the road, from images in which the road is seen, the more the better::

    python tools/set_scale.py --load_weights_folder DIR --camera_height 1.65 IMAGE ...

or by one distance measured from the camera to what is seen at pixel X Y of an image::

    python tools/set_scale.py --load_weights_folder DIR --distance 12.5 --at X Y IMAGE

Both need the camera: ``--fov`` (horizontal, degrees) or ``--intrinsics`` (a file, or kitti), as predict.py takes
them; weights that were trained with ``--learn_intrinsics`` know it.
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

from common.environment import prepare_environment, run_script, set_device
from common.errors import DataError, OptionsError
from common.images import read_image
from common.input_files import find_images
from common.option_types import OptionParser, add_argument
from datasets.transforms import scale_intrinsics
from evaluation.metric_scale import scale_from_distance, scale_from_height
from inference.camera_intrinsics import Intrinsics, make_intrinsics
from inference.from_options import predictor_from
from inference.predict_options import PREDICT_FIELDS

if TYPE_CHECKING:  # it imports Paddle, which nobody needs to be told of a mistyped option
    from inference.depth_predictor import DepthPredictor

WIDEST_SPREAD = 1.5  # of the middle 80 % of scales: with more, one factor does not say much


def main() -> None:
    """Parses the command line, predicts, and stores the scale."""
    args = _parser().parse_args()
    _check(args)
    paths = find_images(args.images)
    given = make_intrinsics(args.intrinsics, args.fov)
    if args.distance is not None and len(paths) != 1:
        raise OptionsError(f"--distance is measured in one image; {len(paths)} are named")
    prepare_environment()
    from serialization.weights_folder import WeightsInfo, replace_weights_info

    set_device(args.device)
    # One metre in a scene unit: depth comes in scene units.
    predictor = predictor_from(args, scale=1.0)
    camera = given or _learned(predictor, args.load_weights_folder)
    scale = _describe([_scale(args, path, predictor, camera) for path in paths], args)
    info = predictor.info or WeightsInfo(*predictor.size, use_stereo=False)
    replace_weights_info(args.load_weights_folder, dataclasses.replace(info, metres_per_unit=scale))
    print(f"Stored in {Path(args.load_weights_folder) / 'weights.json'}: predict.py answers in metres.")


def _scale(args: argparse.Namespace, path: Path, predictor: "DepthPredictor", camera: Intrinsics) -> float | None:
    """What one image says; None where no road is found in it."""
    image = read_image(path)
    height, width = image.shape[:2]
    K = camera((height, width))
    if args.distance is None:
        return scale_from_height(predictor(image).depth, K, args.camera_height)
    x, y = args.at
    if not (0 <= x < width and 0 <= y < height):
        raise OptionsError(f"--at {x} {y} is outside {path}, which is {width} by {height} pixels")
    return scale_from_distance(predictor(image).depth, K, (x, y), args.distance)


def _describe(scales: Sequence[float | None], args: argparse.Namespace) -> float:
    """Prints what was found, and gives the median."""
    found = [scale for scale in scales if scale is not None]
    if not found:
        raise DataError(
            f"in none of the {len(scales)} images a road is found in the predicted depth: a level plane below the "
            "camera that most of what is ahead of it lies on. Give images of an open road, check the field of view, or "
            "measure one distance (--distance, --at)."
        )
    scale = float(np.median(found))
    if args.distance is not None:
        print(f"A scene unit is {scale:.4g} m.")
        return scale
    low, high = np.percentile(found, [10, 90])
    print(
        f"A scene unit is {scale:.4g} m by the road in {len(found)} of {len(scales)} images (80 % of them between "
        f"{low:.4g} and {high:.4g})."
    )
    if len(found) < len(scales) / 2 or high > WIDEST_SPREAD * low:
        print(
            "Images do not agree, so that this may be far off: take more of an open road, and check the field of view."
        )
    return scale


def _learned(predictor: "DepthPredictor", folder: str) -> Intrinsics:
    """What gives K (3, 3) for an image of any (height, width): the camera that the weights learned."""
    if not (predictor.info and predictor.info.intrinsics):
        raise OptionsError(
            f"{folder} does not know its camera: give the field of view across the images, in degrees, by --fov, or a "
            "file of fx fy cx cy in their pixels by --intrinsics"
        )
    fx, fy, cx, cy = predictor.info.intrinsics
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return lambda size: scale_intrinsics(K, predictor.size, size)


def _check(args: argparse.Namespace) -> None:
    if (args.camera_height is None) == (args.distance is None):
        raise OptionsError("name what is known: --camera_height METRES, or --distance METRES --at X Y")
    if (args.distance is None) != (args.at is None):
        raise OptionsError("--distance METRES and --at X Y belong together: the pixel whose distance was measured")
    if args.fov and args.intrinsics:
        raise OptionsError("--fov and --intrinsics both give the camera: choose one")
    if args.fov and args.fov >= 180:
        raise OptionsError(f"--fov: got {args.fov:g}, allowed: degrees below 180")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text}, allowed: above 0")
    return value


def _parser() -> OptionParser:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="images, folders of images, or patterns; of one camera"
    )
    parser.add_argument("--load_weights_folder", required=True, metavar="DIR", help="folder of weights")
    parser.add_argument("--camera_height", type=_positive, metavar="METRES", help="of the camera above the road")
    parser.add_argument("--distance", type=_positive, metavar="METRES", help="from the camera to what is seen --at X Y")
    parser.add_argument("--at", type=int, nargs=2, metavar=("X", "Y"), help="pixel, from 0 at the left and at the top")
    parser.add_argument("--fov", type=_positive, metavar="DEGREES", help="field of view across the images")
    parser.add_argument("--intrinsics", metavar="FILE", help="a file as predict.py takes it, or kitti")
    for name in ("depth_network", "min_depth", "max_depth", "device"):
        add_argument(parser, PREDICT_FIELDS[name])
    parser.set_defaults(device=PREDICT_FIELDS["device"].default)
    return parser


if __name__ == "__main__":
    run_script(main)
