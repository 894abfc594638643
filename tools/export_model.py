"""Export the depth networks as models that run without this project: Paddle inference model and ONNX.

Example: python tools/export_model.py --load_weights_folder weights/mono_640x192 --out exported

Input: uint8 (B, H, W, 3), RGB images of any size. Output: float32 (B, H, W), depth. Each exported model is run and
compared with the networks before it is saved.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.atomic_files import atomic_folder, check_writable
from common.command_line import OptionParser, add_argument
from common.environment import prepare_environment, run_script
from common.errors import UserError
from common.images import read_image
from common.input_files import find_images
from inference.export.exported_folder import FILES, MODEL, ExportInfo, write_info
from inference.from_options import predictor_from
from inference.predict_options import PREDICT_FIELDS
from serialization.manifest import write_manifest

if TYPE_CHECKING:  # these import Paddle, too slow for --help and option errors
    import numpy as np

    from inference.depth_predictor import DepthPredictor

FRAMES = 4  # maximum number of images for the comparison

# Options shared with predict.py.
PREDICTOR_OPTIONS = ("depth_network", "height", "width", "min_depth", "max_depth", "scale", "dataset")


def main() -> None:
    """Parse the options and export the models."""
    args = _parse()
    if args.out.exists() and any(args.out.iterdir() if args.out.is_dir() else [1]):
        raise UserError(f"--out '{args.out}' is not empty and is not replaced. Choose a new folder.")
    check_writable(args.out.absolute().parent)
    frames = _frames(args.images)
    prepare_environment()
    predictor = predictor_from(args, engine="paddle")  # the layers are what it compares with
    info = ExportInfo(
        formats=_formats(args.format),
        height=predictor.size[0],
        width=predictor.size[1],
        min_depth=predictor.depth_range[0],
        max_depth=predictor.depth_range[1],
        scale=predictor.scale,
        bare=args.bare,
        fp16=args.fp16,
        weights=predictor.checksum(),
        model=predictor.info and predictor.info.model,
    )
    with atomic_folder(args.out.absolute()) as folder:
        _write(folder, predictor_from(args), info)
        for kind in info.formats:
            _compare(folder, kind, predictor, frames, info)
        if "paddle" not in info.formats:
            for name in FILES["paddle"]:
                (folder / name).unlink()
        write_info(folder, info)
        write_manifest(folder)
    print(f"{', '.join(name for kind in info.formats for name in FILES[kind])}. Saved to '{args.out}'")


def _parse() -> Namespace:
    parser = OptionParser(description=__doc__)
    parser.add_argument(
        "--load_weights_folder", required=True, metavar="DIR", help="weights folder, or name of published weights"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder, new or empty")
    parser.add_argument(
        "--format", nargs="+", choices=FILES, help="formats to export (default: paddle, and onnx if available)"
    )
    parser.add_argument(
        "--bare", action="store_true", help="export the networks only: float32 (B, 3, h, w) in [0, 1] to 1 / depth"
    )
    parser.add_argument("--fp16", action="store_true", help="store weights as float16, half the size (default: off)")
    parser.add_argument(
        "--images", nargs="+", metavar="INPUT", help="images or folders to compare on (default: built-in scenes)"
    )
    for name in PREDICTOR_OPTIONS:
        add_argument(parser, PREDICT_FIELDS[name])
    return parser.parse_args()


def _formats(asked: Sequence[str] | None) -> tuple[str, ...]:
    """Return the requested formats, or all that can be written on this machine."""
    from inference.export.model_writers import ONNX_NEEDS, can_write_onnx

    if asked:
        return tuple(asked)
    if can_write_onnx():
        return tuple(FILES)
    print(f"Writing only the Paddle model. {ONNX_NEEDS}")
    return ("paddle",)


def _frames(inputs: Sequence[str] | None) -> list["np.ndarray"]:
    """Load or render the images for the comparison, uint8 (H, W, 3) each."""
    if inputs is None:
        from tools.synthetic.render import PinholeCamera, StreetRenderer
        from tools.synthetic.street import Street
        from tools.synthetic.textures import build_atlas

        street = Street((0,), 20)
        renderer = StreetRenderer(street, build_atlas(0), PinholeCamera.like_kitti(375, 1242))
        return [renderer.render(i, street.poses[i]).color for i in (0, 19)]
    return [read_image(path) for path in find_images(inputs)[:FRAMES]]


def _write(folder: Path, predictor: "DepthPredictor", info: ExportInfo) -> None:
    """Write the models; the ONNX model is converted from the Paddle model."""
    from inference.export.model_writers import cast_weights_fp16, write_onnx, write_paddle
    from inference.export.traced_network import CoreModel, EndToEndModel

    model = CoreModel(predictor) if info.bare else EndToEndModel(predictor)
    if info.fp16:
        cast_weights_fp16(model)
    write_paddle(model, folder / MODEL)
    if "onnx" in info.formats:
        unit = "scene units" if info.scale is None else "metres"
        sides = "height width"
        if info.bare and model.fixed_size:
            sides = " ".join(map(str, model.fixed_size))
        about = {
            "input": f"batch 3 {sides}" if info.bare else "batch height width 3",
            "output": "scaled_disp" if info.bare else "depth",
            "unit": "1 / scene units" if info.bare else unit,
            "weights": info.weights,
        }
        write_onnx(folder / MODEL, folder / FILES["onnx"][0], about)


def _compare(
    folder: Path, kind: str, predictor: "DepthPredictor", frames: Sequence["np.ndarray"], info: ExportInfo
) -> None:
    """Run an exported model and print its difference from the networks.

    Raises:
        UserError: the difference exceeds the tolerance.
    """
    from inference.export.agreement import TOLERANCE, TOLERANCE_FP16, difference_of_resizing, difference_on_same_input
    from inference.export.engines import ENGINES

    open_engine = dict(ENGINES.values())[kind]
    run = open_engine(folder, "cpu")
    tolerance = TOLERANCE_FP16 if info.fp16 else TOLERANCE
    difference = difference_on_same_input(run, predictor, frames, info.bare)
    if not difference <= tolerance:
        raise UserError(
            f"The {kind} model's depth has a relative difference of up to {difference:.1e} from the networks' on the "
            f"same input (allowed: {tolerance:.0e}). Nothing was exported."
        )
    print(f"{kind}: maximum relative depth difference on the same input {difference:.1e} (allowed: {tolerance:.0e})")
    if not info.bare:
        mean, largest = difference_of_resizing(run, predictor, frames)
        print(f"{kind}: with its own resizing instead of Pillow and OpenCV: mean {mean:.1e}, maximum {largest:.1e}")


if __name__ == "__main__":
    run_script(main)
