"""Options of predict.py; those shared with training are defined in ``options`` and mean the same."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from common.command_line import OptionParser, add_argument, refuse_unknown
from common.errors import OptionsError
from common.option_types import checked, option
from inference.writers import WRITERS
from options import OPTION_FIELDS
from serialization.published_weights import DEFAULT_WEIGHTS, SHIPPED_WEIGHTS

LAYER_ENGINES = ("auto", "paddle")  # predict with a weights folder; the others with an exported model
ENGINE_CHOICES = (*LAYER_ENGINES, "inference", "onnx")

_predict = partial(option, "predict")


def _shared(name: str) -> Any:
    """Return an option of training, unchanged."""
    return dataclasses.field(default=OPTION_FIELDS[name].default, metadata=OPTION_FIELDS[name].metadata)


def _weights_own(name: str) -> Any:
    """Return an option of training whose default is the value in ``weights.json``."""
    about = dict(OPTION_FIELDS[name].metadata)
    about["text"] += " (default: from the weights)"
    return dataclasses.field(default=None, metadata=about)


@dataclass(frozen=True)
class PredictOptions:
    """Inputs, weights and outputs of a prediction, validated.

    Raises:
        OptionsError: A value has the wrong type or is not allowed, or a required option is missing.
    """

    inputs: tuple[str, ...] = ()
    load_weights_folder: str | None = _predict(
        None,
        "folder of the weights, name of published weights, which are downloaded once, or folder of the exported model "
        f"(default: {DEFAULT_WEIGHTS}, or {SHIPPED_WEIGHTS} if they cannot be downloaded)",
    )
    output_dir: str = _predict("predictions", "output folder")
    save: tuple[str, ...] = _predict(
        ("picture",),
        "outputs: input next to disparity or its uncertainty, float32 arrays, 16-bit PNG (metres x 256, or "
        "millimetres), point cloud",
        choices=tuple(WRITERS),
    )
    scale: float | None = _predict(
        None, "metres per scene unit (default: from the weights, or the dataset's stereo factor)", above=0
    )
    camera_height: float | None = _predict(
        None, "height of the camera above the road, metres; sets the scale of each image (default: none)", above=0
    )
    intrinsics: str | None = _predict(
        None, "intrinsics, pixels: kitti, or a text, KITTI calibration, JSON or YAML file (default: none)"
    )
    fov: float | None = _predict(
        None, "horizontal field of view, degrees, instead of --intrinsics (default: none)", above=0
    )
    engine: str = _predict(
        "auto",
        "runtime; auto predicts on a CPU with ONNX Runtime, paddle with Paddle's layers; inference (Paddle Inference) "
        "and onnx (ONNX Runtime) run a model of tools/export_model.py",
        choices=ENGINE_CHOICES,
    )
    max_frames: int | None = _predict(
        None, "maximum number of frames per video or camera (default: all, a camera until Ctrl-C)", at_least=1
    )
    batch_size: int = _predict(8, "images per batch", at_least=1)
    overwrite: bool = _predict(False, "predict again and replace existing outputs")
    height: int | None = _predict(
        None, "input height of the network, pixels, a multiple of 32 (default: from the weights)", at_least=64
    )
    width: int | None = _predict(
        None, "input width of the network, pixels, a multiple of 32 (default: from the weights)", at_least=64
    )
    post_process: bool = _shared("post_process")
    depth_network: str | None = _weights_own("depth_network")
    min_depth: float | None = _weights_own("min_depth")
    max_depth: float | None = _weights_own("max_depth")
    dataset: str = _predict(
        "kitti",
        "dataset that the weights were trained on; its stereo factor sets the scale",
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
            yield "No input. Pass images, videos, folders, patterns such as 'drive/*.jpg', or camera:0."
        if self.engine not in LAYER_ENGINES and self.load_weights_folder is None:
            yield f"--engine {self.engine} runs an exported model. Pass its folder: --load_weights_folder EXPORTED."
        for name in ("height", "width"):
            size = getattr(self, name)
            if size is not None and size % 32:
                yield f"--{name}: got {size}, allowed: multiples of 32, for example {size // 32 * 32}."
        if self.intrinsics is not None and self.fov is not None:
            yield "--intrinsics and --fov both define the camera. Pass only one of them."
        if self.fov is not None and self.fov >= 180:
            yield f"--fov: got {self.fov}, allowed: below 180 degrees."
        if self.scale is not None and self.camera_height is not None:
            yield "--scale and --camera_height both set the scale. Pass only one of them."
        needing = [f"--save {kind}" for kind in self.save if WRITERS[kind].needs_intrinsics]
        needing += ["--camera_height"] if self.camera_height is not None else []
        if needing and self.intrinsics is None and self.fov is None:
            yield (
                f"{needing[0]} needs intrinsics. Pass --intrinsics FILE, --intrinsics kitti for KITTI images, or "
                "--fov DEGREES (horizontal)."
            )
        if self.kernels == "on" and self.engine not in ("auto", "paddle"):
            yield f"--kernels on has no effect with --engine {self.engine}. Remove one of them."
        if self.min_depth is not None and self.max_depth is not None and self.min_depth >= self.max_depth:
            yield f"--min_depth ({self.min_depth}) must be below --max_depth ({self.max_depth})."


PREDICT_FIELDS = {field.name: field for field in dataclasses.fields(PredictOptions) if field.metadata}


def parse_predict_options(argv: Sequence[str] | None = None, description: str | None = None) -> PredictOptions:
    """Parse the command line.

    Args:
        argv: Command line; None reads ``sys.argv``.
        description: Text at the top of ``--help``: what the command does, and an example.

    Raises:
        OptionsError: An option is unknown (the message names the nearest), or as for ``PredictOptions``.
    """
    parser = OptionParser(
        usage="%(prog)s INPUT ... [--load_weights_folder WEIGHTS] [--OPTION VALUE ...]",
        description=description,
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="image, video, folder, pattern, or camera:N (required)"
    )
    group = parser.add_argument_group("prediction")
    for field in PREDICT_FIELDS.values():
        add_argument(group, field)
    namespace, unknown = parser.parse_known_intermixed_args(sys.argv[1:] if argv is None else list(argv))
    if unknown:
        options = [f"--{name}" for name in PREDICT_FIELDS]
        refuse_unknown(unknown, [*options, *(f"--save {kind}" for kind in WRITERS)])
    values = {name: value for name, value in vars(namespace).items() if value is not None}
    return PredictOptions(**{**values, "inputs": tuple(namespace.inputs)})
