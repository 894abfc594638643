"""The options of predict.py: those that it shares with training stand in `options`, with the same meaning."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from common.errors import OptionsError
from common.option_types import OptionParser, add_argument, checked, option, refuse_unknown
from inference.writers import WRITERS
from options import OPTION_FIELDS

ENGINES = ("paddle", "inference", "onnx")

_predict = partial(option, "predict")


def _shared(name: str) -> Any:
    """An option of training, as it is there."""
    return dataclasses.field(default=OPTION_FIELDS[name].default, metadata=OPTION_FIELDS[name].metadata)


def _weights_own(name: str) -> Any:
    """Return an option of training whose default is what ``weights.json`` says."""
    about = dict(OPTION_FIELDS[name].metadata)
    about["text"] += " (default: the weights' own)"
    return dataclasses.field(default=None, metadata=about)


@dataclass(frozen=True)
class PredictOptions:
    """What to predict, by which weights, and what to write; checked.

    Raises:
        OptionsError: a value has the wrong type or is not allowed, or one is missing.
    """

    inputs: tuple[str, ...] = ()
    load_weights_folder: str | None = _predict(None, "folder of weights; needed")
    output_dir: str | None = _predict(None, "folder of what is written; needed")
    save: tuple[str, ...] = _predict(
        ("picture",),
        "what to write for each image or frame: input and coloured disparity side by side (of a video, a video), "
        "disparity or depth as float32, depth as 16-bit PNG (metres times 256, or millimetres), points with colours",
        choices=tuple(WRITERS),
    )
    scale: float | None = _predict(
        None, "metres in a scene unit (default: the weights' own, or the dataset's if stereo pairs set it)", above=0
    )
    camera_height: float | None = _predict(
        None, "metres from the road up to the camera: finds the road in each picture, and so the scale", above=0
    )
    intrinsics: str | None = _predict(
        None,
        "K of the images, for ply and camera_height: a file (fx fy cx cy, K, KITTI's calibration, JSON, YAML) or kitti",
    )
    fov: float | None = _predict(None, "field of view across, degrees, instead of intrinsics", above=0)
    engine: str = _predict(
        "paddle",
        "what runs the networks: paddle, or what tools/export_model.py made of them: inference (Paddle Inference) or "
        "onnx (ONNX Runtime); the folder of weights is then what that wrote",
        choices=ENGINES,
    )
    max_frames: int | None = _predict(None, "frames of each video or camera (default: all, until Ctrl-C)", at_least=1)
    batch_size: int = _predict(8, "images predicted at once", at_least=1)
    overwrite: bool = _predict(False, "predict images again whose outputs are there")
    height: int | None = _predict(None, "height of the network's input (default: the weights' own)", at_least=64)
    width: int | None = _predict(None, "width of the network's input (default: the weights' own)", at_least=64)
    post_process: bool = _shared("post_process")
    depth_network: str | None = _weights_own("depth_network")
    min_depth: float | None = _weights_own("min_depth")
    max_depth: float | None = _weights_own("max_depth")
    dataset: str = _predict(
        "kitti",
        "what the weights were trained on: says the scale",
        choices=OPTION_FIELDS["dataset"].metadata["choices"],
    )
    device: str = _shared("device")
    kernels: str = _shared("kernels")

    def __post_init__(self) -> None:
        for name, field in PREDICT_FIELDS.items():
            object.__setattr__(self, name, checked(field, getattr(self, name)))
        problems = list(self._problems())
        if problems:
            raise OptionsError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        if not self.inputs:
            yield "name what to predict: images, videos, folders, patterns such as 'drive/*.jpg', or camera:0"
        if self.load_weights_folder is None:
            yield "name the folder of the weights: --load_weights_folder DIR"
        if self.output_dir is None:
            yield "name the folder that gets the predictions: --output_dir DIR"
        for name in ("height", "width"):
            size = getattr(self, name)
            if size is not None and size % 32:
                yield f"{name}: got {size}, allowed: multiples of 32, for example {size // 32 * 32}"
        if self.intrinsics is not None and self.fov is not None:
            yield "--intrinsics and --fov both say what the camera sees: give one of them"
        if self.fov is not None and self.fov >= 180:
            yield f"fov: got {self.fov}, allowed: below 180"
        if self.scale is not None and self.camera_height is not None:
            yield "--scale and --camera_height both set the scale: give one of them"
        needing = [f"--save {kind}" for kind in self.save if WRITERS[kind].needs_intrinsics]
        needing += ["--camera_height"] if self.camera_height is not None else []
        if needing and self.intrinsics is None and self.fov is None:
            yield (
                f"{needing[0]} needs K: --intrinsics FILE, --intrinsics kitti for KITTI's images, or --fov DEGREES, "
                "the camera's field of view across"
            )
        if self.kernels == "on" and self.engine != "paddle":
            yield f"--kernels on: --engine {self.engine} has kernels of its own; leave one of them out"
        if self.min_depth is not None and self.max_depth is not None and self.min_depth >= self.max_depth:
            yield f"min_depth ({self.min_depth}) is not below max_depth ({self.max_depth})"


PREDICT_FIELDS = {field.name: field for field in dataclasses.fields(PredictOptions) if field.metadata}


def parse_predict_options(argv: Sequence[str] | None = None) -> PredictOptions:
    """The options of the command line ``argv``, sys.argv's by default.

    Raises:
        OptionsError: an option is unknown (the nearest is named), or as in `PredictOptions`.
    """
    parser = OptionParser(
        usage="%(prog)s INPUT ... --load_weights_folder DIR --output_dir DIR [--OPTION VALUE ...]", allow_abbrev=False
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="an image, a video, a folder, a pattern, or camera:N"
    )
    group = parser.add_argument_group("what to predict, and how")
    for field in PREDICT_FIELDS.values():
        add_argument(group, field)
    namespace, unknown = parser.parse_known_intermixed_args(sys.argv[1:] if argv is None else list(argv))
    if unknown:
        refuse_unknown(unknown, [f"--{name}" for name in PREDICT_FIELDS])
    values = {name: value for name, value in vars(namespace).items() if value is not None}
    return PredictOptions(**{**values, "inputs": tuple(namespace.inputs)})
