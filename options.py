"""Define every option once: name, type, group, default and help in one line of ``Options``.

Precedence: the command line, the ``--config`` file, the file that it names as ``base``, the defaults. The result is
frozen: derive new values with ``Options.replace``.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common.command_help import CommandHelp
from common.command_line import OptionParser, given_values
from common.errors import OptionsError
from common.option_rules import contradictions, evaluation_problems, pose_evaluation_problems
from common.option_types import Alias, checked, checked_mapping, option
from common.registry import (
    CORRUPTIONS,
    DATASETS,
    DEPTH_NETWORKS,
    DEPTH_SCALES,
    MODELS,
    POSE_ENCODERS,
    POSE_MODELS,
    RESNETS,
    RULE_DATASETS,
)

_run, _data, _networks = (partial(option, group) for group in ("run", "data", "networks"))
_loss, _ablations, _optimisation = (partial(option, group) for group in ("loss", "ablations", "optimisation"))
_weights, _log, _evaluation = (partial(option, group) for group in ("weights", "log", "evaluation"))

ROLES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask", "intrinsics")


@dataclass(frozen=True)
class Options:
    """Options of one run, validated one by one and against each other.

    Raises:
        OptionsError: A value has the wrong type or is not allowed, or two options contradict each other.
    """

    config: str | None = _run(None, "YAML file of options; the command line overrides it (default: none)")
    type: str = _run("MonoDepthv2", "model type", choices=MODELS)
    model_name: str = _run("monodepthv2", "name of the run; it is saved in log_dir/model_name")
    log_dir: str = _run("logs", "folder of all runs")
    device: str = _run(
        "auto",
        "device; auto selects the accelerator if there is one, else the CPU",
        choices=("auto", "gpu", "cpu", "xpu"),
    )
    seed: int = _run(120, "random seed for initial weights, sample order and augmentation", at_least=0)

    data_path: str = _data("data/kitti", "root folder of the dataset")
    dataset: str = _data(
        "kitti",
        "dataset layout: KITTI raw, KITTI odometry, KITTI raw with improved ground truth, imported videos, or that of "
        "another dataset's release (docs/datasets.md)",
        choices=DATASETS,
    )
    split: str = _data("eigen_zhou", "split to train on: a folder, or a name in splits/ or data_path/splits/")
    png: bool = _data(False, "read .png images instead of .jpg")
    height: int = _data(192, "input height of the networks, pixels, a multiple of 32", at_least=64)
    width: int = _data(640, "input width of the networks, pixels, a multiple of 32", at_least=64)
    frame_ids: tuple[int, ...] = _data((0, -1, 1), "frames of a sample, as offsets from the target; 0 must be first")
    use_stereo: bool = _data(False, "also use the other camera of the stereo pair as a source")
    kitti_mean_intrinsics: bool = _data(False, "use the method's fixed KITTI intrinsics instead of the calibration")
    crop_scale: float = _data(
        1.0, "train on random crops with at least this share of the image's area; 1: whole images", above=0
    )
    crop_aspect: float = _data(
        1.0, "let random crops be wider or narrower than the image by up to this factor", at_least=1
    )
    corrupt_training: float = _data(
        0.0,
        "probability of corrupting a training sample (noise, blur, fog, light), but not the images of its loss",
        at_least=0,
    )
    mask_dir: str | None = _data(None, "folder of masks of moving objects, whose pixels the loss skips (default: none)")
    num_workers: int = _data(4, "worker processes that load samples; 0 loads in the main process", at_least=0)
    cache: str = _data(
        "none", "cache frames at network input size, to decode and resize each once", choices=("none", "ram", "disk")
    )
    cache_dir: str = _data("data/cache", "folder of --cache disk; later runs reuse it, and it is safe to delete")

    depth_network: str = _networks(
        "resnet18",
        "depth network",
        choices=DEPTH_NETWORKS,
        alias=Alias("num_layers", {int(name.removeprefix("resnet")): name for name in RESNETS}),
    )
    pose_network: str | None = _networks(
        None,
        "encoder of the pose network (default: same as depth_network; resnet18 for lite_mono)",
        choices=POSE_ENCODERS,
    )
    scales: tuple[int, ...] = _networks(
        (0, 1, 2, 3),
        "disparity scales of the loss; scale s has 1 / 2**s of the input size (lite_mono: 0 1 2)",
        choices=(0, 1, 2, 3),
    )
    pose_model_type: str = _networks(
        "separate_resnet", "pose network; shared reuses the features of the depth encoder", choices=POSE_MODELS
    )
    pose_model_input: str = _networks("pairs", "frames per input of the pose network", choices=("pairs", "all"))
    learn_intrinsics: bool = _networks(False, "predict focal lengths and principal point instead of reading them")

    min_depth: float = _loss(0.1, "depth at disparity 1, scene units", above=0)
    max_depth: float = _loss(100.0, "depth at disparity 0, scene units", above=0)
    disparity_smoothness: float = _loss(1e-3, "weight of the smoothness loss", at_least=0)
    velocity_weight: float = _loss(0.0, "weight of the velocity loss, which fixes the scale to metres", at_least=0)

    depth_hints: str | None = _loss(
        None, "folder of depth hints by tools/make_depth_hints.py, which pull depth towards them (default: none)"
    )
    depth_hint_weight: float = _loss(1.0, "weight of the loss of --depth_hints", above=0)
    supervise_depth: float = _loss(
        0.0,
        "weight of the error of depth where the dataset knows it; with --frame_ids 0, the only error",
        at_least=0,
    )
    pseudo_labels: str | None = _loss(
        None, "folder of relative inverse depth of any model, compared up to scale and shift (default: none)"
    )
    pseudo_label_weight: float = _loss(0.1, "weight of the loss of --pseudo_labels", at_least=0)
    pseudo_label_late_weight: float | None = _loss(
        None, "weight from --pseudo_label_late_epoch on (default: pseudo_label_weight)", at_least=0
    )
    pseudo_label_late_epoch: int | None = _loss(
        None, "epoch, from 0, that pseudo_label_late_weight begins with (default: none)", at_least=1
    )

    v1_multiscale: bool = _ablations(False, "compute the loss at each scale's own size instead of full size")
    avg_reprojection: bool = _ablations(False, "average the reprojection errors over the sources, not their minimum")
    disable_automasking: bool = _ablations(False, "keep pixels whose unwarped source matches the target better")
    predictive_mask: bool = _ablations(False, "weight errors by a predicted mask; requires --disable_automasking")
    no_ssim: bool = _ablations(False, "photometric error: L1 only, without SSIM")
    separate_stereo: bool = _ablations(
        False, "average the temporal minimum and the stereo error, to keep the scale of the stereo pair"
    )

    batch_size: int = _optimisation(12, "samples per batch and process", at_least=1)
    optimizer: str = _optimisation("adam", "optimizer; adamw also decays the weights", choices=("adam", "adamw"))
    weight_decay: float | None = _optimisation(
        None, "decay of the weights per step, times the learning rate (default: 0.01 with adamw)", at_least=0
    )
    learning_rate: float = _optimisation(1e-4, "learning rate at the start, after warm-up", above=0)
    pose_learning_rate: float | None = _optimisation(
        None, "learning rate of the pose networks, with the same schedule (default: learning_rate)", above=0
    )
    scale_lr: bool = _optimisation(False, "multiply the learning rate by the number of processes")
    num_epochs: int = _optimisation(20, "epochs to train", at_least=1)
    max_steps: int | None = _optimisation(
        None, "stop after this many steps, including those before a resume (default: no limit)", at_least=1
    )
    lr_schedule: str = _optimisation(
        "step",
        "learning rate: step divides it by 10 every scheduler_step_size epochs; cosine lowers it at each step, to "
        "min_learning_rate at the end of num_epochs",
        choices=("step", "cosine"),
    )
    scheduler_step_size: int = _optimisation(15, "epochs between divisions of the learning rate by 10", at_least=1)
    min_learning_rate: float = _optimisation(0.0, "learning rate at the end of lr_schedule cosine", at_least=0)
    warmup_epochs: float = _optimisation(
        0.0, "epochs in which the learning rate first rises linearly; may be a fraction", at_least=0
    )
    compile: str = _optimisation(
        "auto",
        "train a static graph instead of eagerly; auto: if the run is long enough",
        choices=("auto", "on", "off"),
    )
    kernels: str = _optimisation(
        "auto", "use compiled C++ operators on the CPU; auto: if the run is long enough", choices=("auto", "on", "off")
    )
    amp: str = _optimisation(
        "off", "mixed precision of the networks, GPU only; the loss stays in float32", choices=("off", "fp16", "bf16")
    )
    grad_accumulation: int = _optimisation(1, "batches per optimizer step; their gradients are averaged", at_least=1)
    clip_grad_norm: float | None = _optimisation(None, "clip gradients to this norm (default: no clipping)", above=0)
    recompute: bool = _optimisation(False, "recompute the depth decoder in the backward pass, to save memory")
    drop_path: float = _optimisation(
        0.0, "stochastic depth: probability of dropping the last residual block of a network", at_least=0, below=1
    )
    ema_decay: float | None = _optimisation(
        None,
        "average the weights with this decay per step, and validate and save the average too, as weights_N_ema "
        "(default: no average)",
        above=0,
        below=1,
    )
    freeze_encoder: int = _optimisation(
        0, "freeze the first stages of the depth encoder: as many as this, of the finest features", at_least=0
    )
    freeze_bn: bool = _optimisation(False, "freeze the batch-norm statistics of the encoders")
    sync_bn: bool = _optimisation(False, "synchronise batch-norm statistics across processes, GPU only")
    distributed_timeout: float = _optimisation(
        600.0, "seconds without a response after which a distributed run ends", above=0
    )

    weights_init: str = _weights(
        "pretrained", "initial weights of the encoders: pretrained (ImageNet), scratch, a file or a folder"
    )
    initial_disparity: float | None = _weights(
        None,
        "network output that a new depth decoder starts near: 0.05 is 2 units of depth, 11 m with stereo pairs "
        "(default: 0.05 with --use_stereo; else about 0.5, which is 0.2 units, as published)",
        above=0,
        below=1,
    )
    load_weights_folder: str | None = _weights(
        None,
        "folder of weights to fine-tune, evaluate or predict with, or the name of published weights, which are "
        "downloaded (default: none)",
    )
    models_to_load: tuple[str, ...] = _weights(ROLES[:4], "networks to load from load_weights_folder", choices=ROLES)
    resume: str | None = _weights(
        None, "resume from a checkpoint or run folder; auto: newest checkpoint of this run, if any (default: none)"
    )

    log_frequency: int = _log(50, "steps between progress lines", at_least=1)
    visualdl_frequency: int = _log(500, "steps between VisualDL scalars and images", at_least=1)
    watchdog: str = _log("warn", "action if training collapses", choices=("warn", "stop", "off"))
    save_frequency: int = _log(1, "epochs between saved weights (weights_N)", at_least=1)
    checkpoint_frequency: int = _log(
        1000, "steps between checkpoints for --resume; each epoch also ends with one", at_least=1
    )
    keep_checkpoints: int = _log(2, "number of newest checkpoints to keep", at_least=1)

    eval_split: str = _evaluation(
        "eigen", "split to evaluate, found like --split; for odometry odom_N, or the folder of a drive or sequence"
    )
    eval_mono: bool = _evaluation(
        False, "fit the scale to the ground truth, by --eval_alignment; for odometry, one factor per trajectory"
    )
    eval_stereo: bool = _evaluation(False, "scale by the dataset's stereo factor instead of median scaling")
    disable_median_scaling: bool = _evaluation(False, "apply neither median scaling nor the trajectory's factor")
    eval_alignment: str = _evaluation(
        "median",
        "with --eval_mono: median scaling, or a least-squares fit of disparity to the ground truth, of its scale "
        "(lstsq) or of scale and shift (affine)",
        choices=("median", "lstsq", "affine"),
    )
    eval_alignment_scope: str = _evaluation(
        "image", "align each image, or the whole dataset with one factor", choices=("image", "dataset")
    )
    pred_depth_scale_factor: float = _evaluation(
        1.0, "factor on predicted depth or motion, before any other scaling", above=0
    )
    post_process: bool = _evaluation(False, "average with the prediction for the mirrored image")
    gt_depth: str = _evaluation(
        "legacy",
        "axis of lidar depth: legacy is the lidar's, as published; camera is the camera's",
        choices=("legacy", "camera"),
    )
    eval_crop: str = _evaluation(
        "auto",
        "pixels to score; eigen and garg are the same crop, none is all, auto is eigen for lidar and none for improved",
        choices=("auto", "eigen", "garg", "none", "eigen_2014"),
    )
    eval_max_depth: float = _evaluation(
        80.0, "depth cap, metres: ignore ground truth beyond it and clip predictions to it; 50 is also common", above=0
    )
    eval_details: bool = _evaluation(
        False, "also score distances, regions, least-squares fit, edges and point clouds; draw best and worst frames"
    )
    metrics: str = _evaluation(
        "eigen",
        "benchmark adds those of KITTI's server; all adds MAE, log10, least-squares fits, edges and point clouds too",
        choices=("eigen", "benchmark", "all"),
    )
    corruptions: tuple[str, ...] = _evaluation(
        ("none",),
        "also score images with corruptions of five severities: all, or a list such as fog dark gaussian_noise",
    )
    corruptions_baseline: str | None = _evaluation(
        None, "output folder of another evaluation with --corruptions, for the mean corruption error (default: none)"
    )
    uncertainty: bool = _evaluation(
        False, "also predict the mirrored image, and score where both predictions disagree as uncertainty"
    )
    compare_published: bool = _evaluation(False, "print the result among the published ones of the same protocol")
    eval_trained_frames: bool = _evaluation(False, "allow scoring frames that the weights were trained on")
    ext_disp_to_eval: str | None = _evaluation(
        None, "score the disparities in this .npy file instead of predicting (default: none)"
    )
    save_pred_disps: bool = _evaluation(False, "save the predicted disparities as disps_SPLIT_split.npy")
    no_eval: bool = _evaluation(False, "predict without scoring")
    eval_eigen_to_benchmark: bool = _evaluation(
        False, "score the eigen_benchmark frames from disparities of the eigen split"
    )
    eval_out_dir: str | None = _evaluation(
        None, "output folder of the evaluation (default: next to the weights or the disparity file)"
    )

    explicitly_set: frozenset[str] = dataclasses.field(default=frozenset(), repr=False, compare=False)
    """Names of the options set on the command line or in the config."""

    def __post_init__(self) -> None:
        for name, field in OPTION_FIELDS.items():
            object.__setattr__(self, name, checked(field, getattr(self, name)))
        _refuse(contradictions(self))

    @property
    def source_frames(self) -> tuple[int | str, ...]:
        """Frames that are warped into the target view: -1, 1, ..., and "s" with stereo pairs."""
        return self.all_frames[1:]

    @property
    def all_frames(self) -> tuple[int | str, ...]:
        """Frames of a sample: the target 0, then ``source_frames``."""
        return (*self.frame_ids, "s") if self.use_stereo else self.frame_ids

    @property
    def run_dir(self) -> Path:
        """Folder of this run: ``log_dir/model_name``."""
        return Path(self.log_dir) / self.model_name

    @property
    def split_name(self) -> str:
        """Last component of ``split``, for file names."""
        return os.path.basename(os.path.abspath(self.split))

    @property
    def eval_split_name(self) -> str:
        """Last component of ``eval_split``, for file names."""
        return os.path.basename(os.path.abspath(self.eval_split))

    @property
    def corruption_names(self) -> tuple[str, ...]:
        """Corruptions to evaluate, without the words "none" and "all" of ``corruptions``."""
        return {("all",): tuple(CORRUPTIONS), ("none",): ()}.get(self.corruptions, self.corruptions)

    def replace(self, **changes: Any) -> "Options":
        """Return a validated copy with other values; ``explicitly_set`` is unchanged.

        Raises:
            OptionsError: As for ``Options``.
        """
        return dataclasses.replace(self, **changes)

    def check_for_evaluation(self) -> None:
        """Check the options that depth evaluation requires.

        Raises:
            OptionsError: The options do not define what to evaluate or how, or an option would have no effect.
        """
        _refuse(evaluation_problems(self))

    def check_for_pose_evaluation(self) -> None:
        """Check the options that pose evaluation requires.

        Raises:
            OptionsError: As for ``check_for_evaluation``.
        """
        _refuse(pose_evaluation_problems(self))

    def as_dict(self) -> dict[str, Any]:
        """Return all options by name as JSON-compatible values."""
        values = {name: getattr(self, name) for name in OPTION_FIELDS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def load(cls, path: str | Path) -> "Options":
        """Load options from a JSON file written from ``as_dict``; ``explicitly_set`` is empty.

        Raises:
            OptionsError: The file is missing or not JSON, or an option is not allowed.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OptionsError(f"Cannot read the options in {path}: {error}") from error
        return cls(**checked_mapping(OPTION_FIELDS, content, str(path)))


OPTION_FIELDS = {field.name: field for field in dataclasses.fields(Options) if field.metadata}


def parse_options(
    argv: Sequence[str] | None = None, description: str | None = None, command: CommandHelp | None = None
) -> Options:
    """Parse the command line, on top of the file given by ``--config``.

    Args:
        argv: Command line; None reads ``sys.argv``.
        description: Text at the top of ``--help``: what the command does, and an example.
        command: Options that ``--help`` lists; None lists all.

    Raises:
        OptionsError: An option or key is unknown (the message names the nearest), a value is not allowed, or the config
            cannot be read.
    """
    return _options_from(given_values(OPTION_FIELDS, argv, description, command))


def parse_tool_options(tool: OptionParser, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, Options]:
    """Parse the command line of a tool that accepts all ``Options`` besides its own.

    Args:
        tool: Parser of the tool's own options.
        argv: Command line; None reads ``sys.argv``.

    Returns:
        The tool's own options, and the shared ones.

    Raises:
        OptionsError: As for ``parse_options``, or an option of the tool is missing or invalid.
    """
    own, shared = tool.parse_known_args(sys.argv[1:] if argv is None else list(argv))
    return own, _options_from(given_values(OPTION_FIELDS, shared, tool=tool))


def _options_from(values: dict[str, Any]) -> Options:
    """Build the options from the values that were set, and the defaults that follow from these."""
    explicitly_set = frozenset(values)
    own = values.get("dataset")
    if own == "folder" or own in RULE_DATASETS:  # their split lists are next to the data
        values = {"split": own, "eval_split": own, **values}
    if values.get("depth_network") in DEPTH_SCALES:  # its decoder cannot make all default scales
        values = {"scales": DEPTH_SCALES[values["depth_network"]], **values}
    return Options(**values, explicitly_set=explicitly_set)


def _refuse(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise OptionsError("\n".join(found))


if __name__ == "__main__":  # print the resolved options of a command line
    from common.environment import run_script

    run_script(lambda: print(json.dumps(parse_options().as_dict(), indent=2)))
