"""From options to model, loss and data."""

import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.optimizer import Optimizer
from paddle.optimizer.lr import StepDecay

from common.errors import DataError
from common.registry import MODELS, POSE_MODELS, load
from datasets.build import build_cache, build_loader, dataset_from
from datasets.checks import check_split
from datasets.folder_dataset import stored_size
from datasets.loader import BatchLoader
from datasets.mono_dataset import MonoDataset
from datasets.splits import find_split, read_split_lines
from layers.loss_term import LossTerm
from layers.self_supervised_loss import SelfSupervisedLoss, monodepth2_loss
from layers.velocity_loss import METRES_PER_UNIT, VelocitySupervisedLoss
from networks.build import pose_encoder_name
from networks.resnet_encoder import stack_first_convolution
from options import Options
from serialization.backbone import find_backbone, read_backbone
from serialization.matching import MatchReport, load_into, match_table
from serialization.weights_folder import load_weights, read_weights_info, roles_in
from training.distributed import synchronise_batch_norm
from training.distributed_context import DistributedContext

LEARNING_RATE_DECAY = 0.1
# How the model runs, not what it is.
RUN_TIME_ARGUMENTS = ("recompute",)
# Tracing took 5 s and saved 0.34 s a step at 320x96 on two cores: some 15 steps to break even.
STEPS_WORTH_COMPILING = 50


def seed_everything(*numbers: int) -> None:
    """Seed every generator by one number, or by several together: the run's seed, the step, the process.

    Random numbers depend on these alone, so that a resumed run needs no random state.
    """
    seed = numbers[0] if len(numbers) == 1 else int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)


def with_weights_size(opt: Options) -> Options:
    """The options with the size that ``--load_weights_folder`` was trained for, where none is given.

    Without weights, imported videos are trained on at the size that they were stored at.

    Raises:
        WeightsError: the folder is missing, or what it says of the size is damaged.
        OptionsError: the networks cannot take that size.
    """
    info = read_weights_info(opt.load_weights_folder) if opt.load_weights_folder else None
    size = (info.height, info.width) if info else stored_size(opt.data_path) if opt.dataset == "folder" else None
    if size is None:
        return opt
    sides = zip(("height", "width"), size, strict=True)
    return opt.replace(**{name: side for name, side in sides if name not in opt.explicitly_set})


def kernels_mode(opt: Options, total_steps: int, before: bool | None) -> str:
    """What ``--kernels`` comes to: a run that goes on does so as ``before``, since the two round differently."""
    if opt.kernels != "auto":
        return opt.kernels
    return "auto" if (total_steps >= STEPS_WORTH_COMPILING if before is None else before) else "off"


def compile_mode(opt: Options, total_steps: int, kernels_on: bool, before: bool | None) -> str:
    """What ``--compile`` comes to; with the kernels, a static graph gains little and takes much more memory."""
    if opt.compile != "auto":
        return opt.compile
    worth = total_steps >= STEPS_WORTH_COMPILING and not kernels_on and not opt.recompute
    return "auto" if (worth if before is None else before) else "off"


@dataclass(frozen=True)
class Components:
    """What a run trains, on which data, and by what.

    Attributes:
        train_loader, val_loader: this process's batches.
        model: the networks, with random weights.
        compute_loss: the loss of their outputs.
        optimizer: of the model's parameters.
        scheduler: of the optimizer's learning rate; steps once an epoch.
    """

    train_loader: BatchLoader
    val_loader: BatchLoader
    model: nn.Layer
    compute_loss: SelfSupervisedLoss
    optimizer: Optimizer
    scheduler: StepDecay


def build_components(opt: Options, context: DistributedContext) -> Components:
    """Build what the options ask for, the same in all processes but for their batches.

    Raises:
        DataError: the split cannot be used.
        OptionsError: the device has no such batch norm.
    """
    train_loader, val_loader = build_data(opt, "train", context), build_data(opt, "val", context)
    seed_everything(opt.seed)
    model = build_model(opt)
    if opt.sync_bn:
        model = synchronise_batch_norm(model, context)
    return Components(train_loader, val_loader, model, build_loss(opt), *build_optimizer(opt, model, context.size))


def build_model(opt: Options) -> nn.Layer:
    """Build the networks that the options ask for, with their initial values."""
    return load(MODELS, opt.type)(**_constructor_arguments(opt))


def model_settings(opt: Options) -> dict[str, Any]:
    """Return the model's type and settings, as ``weights.json`` stores them: all that is needed to build it again."""
    arguments = _constructor_arguments(opt)
    stored = {name: value for name, value in arguments.items() if name not in RUN_TIME_ARGUMENTS and value is not None}
    return {"type": opt.type, **{name: list(v) if isinstance(v, tuple) else v for name, v in stored.items()}}


def _constructor_arguments(opt: Options) -> dict[str, Any]:
    """Return the options that the model's constructor takes, by their names; ``**settings`` means those of its base."""
    names: list[str] = []
    for layer in load(MODELS, opt.type).__mro__:
        parameters = inspect.signature(layer.__init__).parameters.values()
        names += [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return {name: getattr(opt, name) for name in names}


def build_loss(opt: Options) -> SelfSupervisedLoss:
    """Build the loss that the options ask for: the published terms, and those of ``LOSS_TERMS``."""
    more_terms = {name: build(opt) for name, build in LOSS_TERMS.items()}
    return monodepth2_loss(
        opt.source_frames,
        opt.scales,
        min_depth=opt.min_depth,
        max_depth=opt.max_depth,
        disparity_smoothness=opt.disparity_smoothness,
        use_ssim=not opt.no_ssim,
        automasking=not opt.disable_automasking,
        avg_reprojection=opt.avg_reprojection,
        v1_multiscale=opt.v1_multiscale,
        predictive_mask=opt.predictive_mask,
        scale_translation=load(POSE_MODELS, opt.pose_model_type).scales_translation,
        separate_stereo=opt.separate_stereo,
        more_terms={name: term for name, term in more_terms.items() if term[0]},
    )


# Name -> options to weight and term; a term of weight 0 is left out. A new term is a file in layers/ and a line here.
LOSS_TERMS: dict[str, Callable[[Options], tuple[float, LossTerm]]] = {
    "velocity": lambda opt: (opt.velocity_weight, VelocitySupervisedLoss(opt.source_frames)),
}


def build_optimizer(opt: Options, model: nn.Layer, processes: int = 1) -> tuple[Optimizer, StepDecay]:
    """Adam, and the schedule of its learning rate, which steps once an epoch."""
    learning_rate = opt.learning_rate * (processes if opt.scale_lr else 1)
    schedule = StepDecay(learning_rate, step_size=opt.scheduler_step_size, gamma=LEARNING_RATE_DECAY)
    clip = paddle.nn.ClipGradByGlobalNorm(opt.clip_grad_norm) if opt.clip_grad_norm else None
    # One launch on a GPU updates all parameters.
    adam = paddle.optimizer.Adam(schedule, parameters=model.parameters(), grad_clip=clip, use_multi_tensor=True)
    return adam, schedule


def initialise_weights(model: nn.Layer, opt: Options) -> list[str]:
    """Fills the networks from ``--load_weights_folder`` and, where that does not, the encoders from ``--weights_init``.

    Returns:
        The table of what matched, by line, and which networks were left; none where nothing was loaded.

    Raises:
        WeightsError: something is missing, damaged, or does not fit.
    """
    networks = model.networks()
    reports: dict[str, MatchReport] = {}
    loaded: tuple[str, ...] = ()
    if opt.load_weights_folder:
        wanted = set(opt.models_to_load)
        if "models_to_load" not in opt.explicitly_set:  # the weights' own camera, where they have one
            wanted |= {"intrinsics"} & roles_in(Path(opt.load_weights_folder))
        loaded = tuple(role for role in networks if role in wanted)
        reports.update(load_weights(opt.load_weights_folder, networks, loaded))
    names = {"encoder": opt.depth_network, "pose_encoder": pose_encoder_name(opt.pose_network, opt.depth_network)}
    if opt.weights_init != "scratch":
        for role, name in names.items():
            if role in networks and role not in loaded:
                reports[role] = _load_backbone(networks[role].encoder, find_backbone(opt.weights_init, name))
    if not reports:
        return []
    random = [role for role in networks if role not in reports]
    return [*match_table(reports).splitlines(), *([f"not loaded, random: {', '.join(random)}"] if random else [])]


def _load_backbone(resnet: nn.Layer, path: Path) -> MatchReport:
    """Fills a ResNet, whatever the number of images that its first convolution takes."""
    arrays = read_backbone(path)
    num_images = resnet.conv1.weight.shape[1] // 3
    if num_images > 1 and "conv1.weight" in arrays:
        first = paddle.to_tensor(arrays["conv1.weight"])
        arrays["conv1.weight"] = stack_first_convolution(first, num_images).numpy()
    return load_into(resnet, arrays, path)


def weights_info(opt: Options, intrinsics: tuple[float, ...] | None) -> dict[str, Any]:
    """What ``weights.json`` tells of a training's weights: the size, the scale, and the camera that was learned."""
    scale = {"metres_per_unit": METRES_PER_UNIT} if opt.velocity_weight else {}
    stored = ("height", "width", "use_stereo", "min_depth", "max_depth")
    values = {name: getattr(opt, name) for name in stored}
    return {**values, **scale, "intrinsics": intrinsics, "model": model_settings(opt)}


def build_data(opt: Options, part: str, context: DistributedContext | None = None) -> BatchLoader:
    """The loader of the "train" or "val" part of the split; lines that cannot be used are dropped and listed.

    Among several processes each has its own share of the batches.

    Raises:
        DataError: the split is missing, or holds too few usable lines, or none with the speed that is asked for.
        UserError: the folder of the cache cannot be written.
    """
    context = context or DistributedContext()
    train = part == "train"
    folder = find_split(opt.split, opt.data_path)
    dataset = dataset_from(
        opt,
        read_split_lines(folder, part),
        frame_ids=opt.all_frames,
        scales=opt.scales,
        augment=train,
        load_depth=not train,
        load_displacement=bool(opt.velocity_weight),
    )
    check = check_split(dataset, part, opt.run_dir if context.is_main else None)
    if check.dropped:
        print(
            f"{part}: {len(check.dropped)} of {len(dataset.lines)} lines dropped, whose frames or neighbours are "
            f"missing; they are listed in {opt.run_dir / f'dropped_{part}_lines.txt'}"
        )
        dataset = dataset.replace(lines=check.kept)
    if train and opt.velocity_weight:
        _check_speeds(dataset)
    dataset = dataset.replace(cache=build_cache(opt.cache, dataset, opt.cache_dir))
    if dataset.cache is not None:
        paths = {path for line in dataset.lines for path in dataset.frame_paths(line)}
        print(f"{part}: {dataset.cache.describe_room(paths)}")
    return build_loader(
        dataset,
        batch_size=opt.batch_size * (opt.grad_accumulation if train else 1),
        shuffle=train,
        num_workers=opt.num_workers,
        seed=opt.seed,
        drop_last=train,
        rank=context.rank,
        processes=context.size,
    )


def _check_speeds(dataset: MonoDataset) -> None:
    """Raises DataError where no line of a split tells how far the camera moves, so that there is no scale to learn."""
    sources = dataset.frame_ids[1:]
    if not any(dataset.displacement(line, f) is not None for line in dataset.lines for f in sources):
        raise DataError(
            f"--velocity_weight needs the speed of the camera, and in {dataset.data_path} no line to train on has one: "
            "KITTI raw has it in oxts, imported videos in a column speed of SEQUENCE/frames.csv. Add it, or leave "
            "out the option."
        )
