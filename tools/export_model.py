"""Exports the depth networks to files that run without this project: Paddle's inference model, and ONNX.

``python tools/export_model.py --load_weights_folder DIR --out DIR``: the models take uint8 (B, H, W, 3), RGB images of
any size, and give float32 (B, H, W), depth. Each is run and compared with the networks before it counts as exported.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.atomic_files import atomic_folder
from common.environment import prepare_environment, run_script
from common.errors import UserError
from common.images import read_image
from common.input_files import find_images
from common.option_types import OptionParser, add_argument
from inference.export.exported_folder import FILES, MODEL, ExportInfo, write_info
from inference.from_options import predictor_from
from inference.predict_options import PREDICT_FIELDS
from serialization.manifest import write_manifest

if TYPE_CHECKING:  # they import Paddle, which nobody needs to be told of a mistyped option
    import numpy as np

    from inference.depth_predictor import DepthPredictor

FRAMES = 4  # of the images given, at most

# Options that predict.py and the export share.
PREDICTOR_OPTIONS = ("depth_network", "height", "width", "min_depth", "max_depth", "scale", "dataset")


def main() -> None:
    """Parses the options and exports."""
    args = _parse()
    if args.out.exists() and any(args.out.iterdir() if args.out.is_dir() else [1]):
        raise UserError(f"--out {args.out} holds something already, and will not be replaced: name a new folder.")
    frames = _frames(args.images)
    prepare_environment()
    predictor = predictor_from(args)
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
    print(f"Exported to {args.out}: {', '.join(name for kind in info.formats for name in FILES[kind])}")


def _parse() -> Namespace:
    parser = OptionParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--load_weights_folder", required=True, metavar="DIR", help="folder of weights")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write, new or empty")
    parser.add_argument(
        "--format", nargs="+", choices=FILES, help="what to write (default: paddle, and onnx where it can be written)"
    )
    parser.add_argument(
        "--bare", action="store_true", help="the networks alone: float32 (B, 3, h, w) in [0, 1] to 1 / depth"
    )
    parser.add_argument("--fp16", action="store_true", help="weights in 16 bits: half the size")
    parser.add_argument(
        "--images", nargs="+", metavar="INPUT", help="what to compare on: images or folders (default: built-in scenes)"
    )
    for name in PREDICTOR_OPTIONS:
        add_argument(parser, PREDICT_FIELDS[name])
    return parser.parse_args()


def _formats(asked: Sequence[str] | None) -> tuple[str, ...]:
    """Return the formats to write: those asked for, else all that can be written here."""
    from inference.export.model_writers import ONNX_NEEDS, can_write_onnx

    if asked:
        return tuple(asked)
    if can_write_onnx():
        return tuple(FILES)
    print(f"Writing only the Paddle model. {ONNX_NEEDS}")
    return ("paddle",)


def _frames(inputs: Sequence[str] | None) -> list["np.ndarray"]:
    """uint8 (H, W, 3) images to compare on."""
    if inputs is None:
        from tools.synthetic.render import PinholeCamera, StreetRenderer
        from tools.synthetic.street import Street
        from tools.synthetic.textures import build_atlas

        street = Street((0,), 20)
        renderer = StreetRenderer(street, build_atlas(0), PinholeCamera.like_kitti(375, 1242))
        return [renderer.render(i, street.poses[i]).color for i in (0, 19)]
    return [read_image(path) for path in find_images(inputs)[:FRAMES]]


def _write(folder: Path, predictor: "DepthPredictor", info: ExportInfo) -> None:
    """Writes the models; ONNX is made of Paddle's."""
    from inference.export.model_writers import cast_weights_fp16, write_onnx, write_paddle
    from inference.export.traced_network import CoreModel, EndToEndModel

    model = CoreModel(predictor) if info.bare else EndToEndModel(predictor)
    if info.fp16:
        cast_weights_fp16(model)
    write_paddle(model, folder / MODEL)
    if "onnx" in info.formats:
        unit = "scene units" if info.scale is None else "metres"
        about = {
            "input": "batch 3 height width" if info.bare else "batch height width 3",
            "output": "scaled_disp" if info.bare else "depth",
            "unit": "1 / scene units" if info.bare else unit,
            "weights": info.weights,
        }
        write_onnx(folder / MODEL, folder / FILES["onnx"][0], about)


def _compare(
    folder: Path, kind: str, predictor: "DepthPredictor", frames: Sequence["np.ndarray"], info: ExportInfo
) -> None:
    """Runs a model and prints how it agrees. Raises UserError where it does not."""
    from inference.export.agreement import TOLERANCE, TOLERANCE_FP16, difference_of_resizing, difference_on_same_input
    from inference.export.engines import ENGINES

    open_engine = dict(ENGINES.values())[kind]
    run = open_engine(folder, "cpu")
    tolerance = TOLERANCE_FP16 if info.fp16 else TOLERANCE
    difference = difference_on_same_input(run, predictor, frames, info.bare)
    if not difference <= tolerance:
        raise UserError(
            f"The {kind} model's depth differs from the networks' by up to {difference:.1e} of it on the same input, "
            f"more than {tolerance:.0e}: nothing is exported."
        )
    print(f"{kind}: depth on the same resized input differs by up to {difference:.1e} of it (allowed: {tolerance:.0e})")
    if not info.bare:
        mean, largest = difference_of_resizing(run, predictor, frames)
        print(
            f"{kind}: where it resizes itself, not Pillow and OpenCV, by {mean:.1e} on average, {largest:.1e} at most"
        )


if __name__ == "__main__":
    run_script(main)
