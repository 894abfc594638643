"""Every option once: name, type, group, default and help stand together in one line of `Options`.

The command line wins over the file given by ``--config``, that over the file it names as ``base``, that over
the defaults. What comes out is frozen: derive new values with `Options.replace`.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common.errors import OptionsError
from common.option_rules import contradictions, evaluation_problems, pose_evaluation_problems
from common.option_types import (
    Alias,
    OptionParser,
    add_argument,
    checked,
    checked_mapping,
    option,
    read_config,
    refuse_unknown,
)
from common.registry import DATASETS, DEPTH_NETWORKS, MODELS, POSE_ENCODERS, POSE_MODELS, RESNETS

_run, _data, _networks = (partial(option, group) for group in ("run", "data", "networks"))
_loss, _ablations, _optimisation = (partial(option, group) for group in ("loss", "ablations", "optimisation"))
_weights, _log, _evaluation = (partial(option, group) for group in ("weights", "log", "evaluation"))

ROLES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask", "intrinsics")


@dataclass(frozen=True)
class Options:
    """The options of one run, checked by themselves and against each other.

    Raises:
        OptionsError: a value has the wrong type or is not allowed, or values make no sense together.
    """

    config: str | None = _run(None, "YAML file of options, below the command line")
    type: str = _run("MonoDepthv2", "the method", choices=MODELS)
    model_name: str = _run("monodepthv2", "name of the run, its folder in log_dir")
    log_dir: str = _run("logs", "folder of all runs")
    device: str = _run("auto", "auto takes the GPU, else the CPU and says so", choices=("auto", "gpu", "cpu", "xpu"))
    seed: int = _run(120, "seed of the initial weights, the order and the augmentation", at_least=0)

    data_path: str = _data("data/kitti", "folder of the dataset")
    dataset: str = _data(
        "kitti",
        "layout of the dataset: KITTI raw, odometry, raw with the improved ground truth, or imported videos",
        choices=DATASETS,
    )
    split: str = _data("eigen_zhou", "a folder, or a name in splits/ or data_path/splits/")
    png: bool = _data(False, "read .png images, not .jpg")
    height: int = _data(192, "height of the networks' input, a multiple of 32", at_least=64)
    width: int = _data(640, "width of the networks' input, a multiple of 32", at_least=64)
    frame_ids: tuple[int, ...] = _data(
        (0, -1, 1), "frames of a sample relative to the target, which is 0 and comes first"
    )
    use_stereo: bool = _data(False, "the other camera of the stereo pair is a source too")
    kitti_mean_intrinsics: bool = _data(False, "the method's fixed intrinsics, not the calibration's")
    num_workers: int = _data(4, "processes that load samples; 0 loads in the main one", at_least=0)
    cache: str = _data(
        "none",
        "keep the training and validation frames at the networks' size, so that each is decoded and resized once",
        choices=("none", "ram", "disk"),
    )
    cache_dir: str = _data("data/cache", "folder of cache disk, which later runs find again; it may be removed")

    depth_network: str = _networks(
        "resnet18",
        "network that predicts depth",
        choices=DEPTH_NETWORKS,
        alias=Alias("num_layers", {int(name.removeprefix("resnet")): name for name in RESNETS}),
    )
    pose_network: str | None = _networks(
        None, "encoder of the pose network (default: as depth_network)", choices=POSE_ENCODERS
    )
    scales: tuple[int, ...] = _networks(
        (0, 1, 2, 3), "scales of the disparity; s is 1 / 2**s of the input", choices=(0, 1, 2, 3)
    )
    pose_model_type: str = _networks(
        "separate_resnet",
        "what predicts motion; shared uses the depth encoder's features",
        choices=POSE_MODELS,
    )
    pose_model_input: str = _networks("pairs", "frames that the pose network sees at once", choices=("pairs", "all"))
    learn_intrinsics: bool = _networks(False, "predict focal length and centre too, in place of the dataset's")

    min_depth: float = _loss(0.1, "depth where disparity is 1, scene units", above=0)
    max_depth: float = _loss(100.0, "depth where disparity is 0, scene units", above=0)
    disparity_smoothness: float = _loss(1e-3, "weight of the smoothness loss", at_least=0)
    velocity_weight: float = _loss(0.0, "weight of the known speed's loss, which sets the scale in metres", at_least=0)

    v1_multiscale: bool = _ablations(False, "compare images at each scale's size, not at full size")
    avg_reprojection: bool = _ablations(False, "average errors over the sources, no minimum")
    disable_automasking: bool = _ablations(False, "keep pixels that a source explains better unwarped")
    predictive_mask: bool = _ablations(False, "weigh errors by a predicted mask; no auto-masking then")
    no_ssim: bool = _ablations(False, "compare images by L1 alone")
    separate_stereo: bool = _ablations(
        False,
        "take the minimum over the temporal sources and the stereo source apart, and average both: depth "
        "must then explain the stereo pair too, which fixes its scale",
    )

    batch_size: int = _optimisation(12, "samples in a batch, of each process", at_least=1)
    learning_rate: float = _optimisation(1e-4, "learning rate of Adam", above=0)
    scale_lr: bool = _optimisation(False, "multiply the learning rate by the number of processes")
    num_epochs: int = _optimisation(20, "epochs to train", at_least=1)
    max_steps: int | None = _optimisation(None, "end after so many steps, resumes counted", at_least=1)
    scheduler_step_size: int = _optimisation(15, "epochs between divisions of the learning rate by 10", at_least=1)
    compile: str = _optimisation(
        "auto",
        "train through a static graph, traced at the first step: auto does where the run is long enough to gain by it "
        "and tracing works",
        choices=("auto", "on", "off"),
    )
    kernels: str = _optimisation(
        "auto",
        "operators in C++ for the CPU, compiled by its compiler once: auto uses them where the run is long enough to "
        "gain by it and they can be compiled",
        choices=("auto", "on", "off"),
    )
    amp: str = _optimisation(
        "off", "mixed precision of the networks, on GPUs; the loss stays in float32", choices=("off", "fp16", "bf16")
    )
    grad_accumulation: int = _optimisation(1, "batches whose gradients a step averages", at_least=1)
    clip_grad_norm: float | None = _optimisation(None, "shrink longer gradients to this norm", above=0)
    recompute: bool = _optimisation(False, "compute the depth decoder twice, to save the memory of its features")
    freeze_bn: bool = _optimisation(False, "keep the encoders' batch-norm statistics as they are")
    sync_bn: bool = _optimisation(False, "batch-norm statistics of the batches of all processes (GPUs alone)")
    distributed_timeout: float = _optimisation(
        600.0, "seconds after which a process that hangs ends the run of several processes", above=0
    )

    weights_init: str = _weights(
        "pretrained", "what encoders start from: pretrained (ImageNet), scratch, a file or a folder"
    )
    load_weights_folder: str | None = _weights(None, "folder of weights to start from or to evaluate")
    models_to_load: tuple[str, ...] = _weights(
        ROLES[:4], "networks that load_weights_folder is read for", choices=ROLES
    )
    resume: str | None = _weights(
        None,
        "go on with a run as if it had never ended: auto for the newest whole checkpoint of log_dir/model_name, if "
        "there is one, or the folder of a checkpoint or of a run",
    )

    log_frequency: int = _log(50, "steps between lines of progress", at_least=1)
    visualdl_frequency: int = _log(500, "steps between scalars and pictures in VisualDL", at_least=1)
    watchdog: str = _log(
        "warn", "where training collapses: warn, stop, or do not look", choices=("warn", "stop", "off")
    )
    save_frequency: int = _log(1, "epochs between the weights kept as weights_N", at_least=1)
    checkpoint_frequency: int = _log(
        1000, "steps between full checkpoints, which resume takes; each epoch ends with one too", at_least=1
    )
    keep_checkpoints: int = _log(2, "how many of the newest full checkpoints stay", at_least=1)

    eval_split: str = _evaluation(
        "eigen",
        "the split to evaluate on, found as split is; for odometry odom_N, or the folder of a drive or sequence",
    )
    eval_mono: bool = _evaluation(False, "scale each prediction by the ratio of medians, a trajectory by one factor")
    eval_stereo: bool = _evaluation(False, "scale by the dataset's stereo factor instead")
    disable_median_scaling: bool = _evaluation(False, "leave out the ratio of medians, or the trajectory's factor")
    pred_depth_scale_factor: float = _evaluation(1.0, "multiply depth, or motion, by this first", above=0)
    post_process: bool = _evaluation(False, "blend with the prediction for the mirrored image")
    gt_depth: str = _evaluation(
        "legacy",
        "axis of lidar depth: the lidar's, as in published tables, or the camera's",
        choices=("legacy", "camera"),
    )
    eval_crop: str = _evaluation(
        "auto",
        "pixels to score. eigen and garg are the same crop: published Monodepth2 numbers on the Eigen split "
        "use the crop of Garg et al.; eigen_2014 is Eigen et al.'s own (0.3324..0.9135 of the height); none "
        "is every pixel with ground truth; auto is eigen for lidar, none for the improved ground truth",
        choices=("auto", "eigen", "garg", "none", "eigen_2014"),
    )
    eval_max_depth: float = _evaluation(
        80.0, "cap in metres: ground truth beyond does not count, predictions end there; 50 is the other usual", above=0
    )
    eval_details: bool = _evaluation(
        False,
        "score by distance and region, after aligning by least squares, edges and point clouds too, and draw the best "
        "and worst frames",
    )
    eval_trained_frames: bool = _evaluation(False, "score frames that the weights were trained on all the same")
    ext_disp_to_eval: str | None = _evaluation(None, "score the disparities of this .npy file")
    save_pred_disps: bool = _evaluation(False, "write disps_SPLIT_split.npy")
    no_eval: bool = _evaluation(False, "predict, but score nothing")
    eval_eigen_to_benchmark: bool = _evaluation(False, "score the frames of eigen_benchmark, of disparities for eigen")
    eval_out_dir: str | None = _evaluation(None, "folder of what evaluation writes")

    explicitly_set: frozenset[str] = dataclasses.field(default=frozenset(), repr=False, compare=False)
    """Names of the options set on the command line or in the config."""

    def __post_init__(self) -> None:
        for name, field in OPTION_FIELDS.items():
            object.__setattr__(self, name, checked(field, getattr(self, name)))
        _refuse(contradictions(self))

    @property
    def source_frames(self) -> tuple[int | str, ...]:
        """The frames that are warped to the target: -1, 1, ..., and "s" with the stereo pair."""
        return self.all_frames[1:]

    @property
    def all_frames(self) -> tuple[int | str, ...]:
        """The frames of a sample: the target 0, then `source_frames`."""
        return (*self.frame_ids, "s") if self.use_stereo else self.frame_ids

    @property
    def run_dir(self) -> Path:
        """The folder of this run: log_dir/model_name."""
        return Path(self.log_dir) / self.model_name

    @property
    def split_name(self) -> str:
        """The last component of `split`, for file names."""
        return os.path.basename(os.path.abspath(self.split))

    @property
    def eval_split_name(self) -> str:
        """The last component of `eval_split`, for file names."""
        return os.path.basename(os.path.abspath(self.eval_split))

    def replace(self, **changes: Any) -> "Options":
        """A copy with other values, checked anew; `explicitly_set` stays.

        Raises:
            OptionsError: as in building `Options`.
        """
        return dataclasses.replace(self, **changes)

    def check_for_evaluation(self) -> None:
        """Checks what only evaluation asks for.

        Raises:
            OptionsError: it is not said what to evaluate or how, or an option would have no effect.
        """
        _refuse(evaluation_problems(self))

    def check_for_pose_evaluation(self) -> None:
        """Checks what only the evaluation of motion asks for; raises OptionsError as `check_for_evaluation`."""
        _refuse(pose_evaluation_problems(self))

    def as_dict(self) -> dict[str, Any]:
        """All options by name, as JSON can hold them."""
        values = {name: getattr(self, name) for name in OPTION_FIELDS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def load(cls, path: str | Path) -> "Options":
        """The options of a JSON file that holds `as_dict`; `explicitly_set` is empty.

        Raises:
            OptionsError: the file is missing, is not JSON, or its options are not allowed.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OptionsError(f"cannot read the options in {path}: {error}") from error
        return cls(**checked_mapping(OPTION_FIELDS, content, str(path)))


OPTION_FIELDS = {field.name: field for field in dataclasses.fields(Options) if field.metadata}


def parse_options(argv: Sequence[str] | None = None) -> Options:
    """The options of the command line ``argv`` (sys.argv's by default), above those of its ``--config``.

    Raises:
        OptionsError: an option or a key is unknown (the nearest is named), a value is not allowed, or the
            config cannot be read.
    """
    namespace, unknown = _parser().parse_known_args(sys.argv[1:] if argv is None else list(argv))
    if unknown:
        refuse_unknown(unknown, [*(f"--{name}" for name in OPTION_FIELDS), "--no_cuda"])
    values = {name: value for name, value in vars(namespace).items() if value is not None}
    if "config" in values:
        in_file = {name: field for name, field in OPTION_FIELDS.items() if name != "config"}
        values = {**read_config(in_file, Path(values["config"])), **values}
    explicitly_set = frozenset(values)
    if values.get("dataset") == "folder":  # whose lists are its own
        values = {"split": "folder", "eval_split": "folder", **values}
    return Options(**values, explicitly_set=explicitly_set)


def _parser() -> OptionParser:
    """The parser made from the fields of `Options`."""
    parser = OptionParser(usage="%(prog)s [--OPTION VALUE ...]", allow_abbrev=False)
    groups: dict[str, Any] = {}
    for field in OPTION_FIELDS.values():
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        add_argument(groups[title], field)
    groups["run"].add_argument(
        "--no_cuda", action="store_const", const="cpu", dest="device", help="the same as --device cpu"
    )
    return parser


def _refuse(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise OptionsError("\n".join(found))


if __name__ == "__main__":  # prints what a command line comes to, without running anything
    try:
        print(json.dumps(parse_options().as_dict(), indent=2))
    except OptionsError as error:
        sys.exit(f"error: {error}")
