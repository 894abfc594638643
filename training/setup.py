"""Build model, loss, optimizer and data from options."""

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
from paddle.optimizer.lr import LRScheduler

from common.errors import DataError, OptionsError
from common.registry import MODELS, POSE_MODELS, load
from datasets.build import build_cache, build_loader, dataset_class, dataset_from
from datasets.checks import check_split, missing_maps
from datasets.folder_dataset import stored_size
from datasets.loader import BatchLoader
from datasets.mono_dataset import MonoDataset
from datasets.splits import find_split, read_split_lines
from inference.from_options import with_local_weights
from layers.depth_hint_loss import DepthHintLoss
from layers.depth_supervision import DepthSupervisedLoss
from layers.drop_path import set_drop_path
from layers.loss_term import LossTerm
from layers.pseudo_label_loss import PseudoLabelLoss
from layers.self_supervised_loss import SelfSupervisedLoss, monodepth2_loss
from layers.velocity_loss import METRES_PER_UNIT, VelocitySupervisedLoss
from options import Options
from serialization.weights_folder import read_weights_info
from training.distributed import synchronise_batch_norm
from training.distributed_context import DistributedContext
from training.frozen_layers import freeze_stages
from training.optimizer import build_optimizer

# Constructor arguments that change how the model runs, not its weights; ``weights.json`` does not store them.
RUN_TIME_ARGUMENTS = ("recompute",)
# Tracing takes 5 s and saves 0.34 s per step at 320x96 on two cores: it pays off after about 15 steps.
STEPS_WORTH_COMPILING = 50


def seed_everything(*numbers: int) -> None:
    """Seed all random generators from one number, or from several: the run's seed, the step, the process.

    Random numbers depend only on these, so checkpoints need no random state.
    """
    seed = numbers[0] if len(numbers) == 1 else int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)


def with_weights_size(opt: Options) -> Options:
    """Set the input size to that of ``--load_weights_folder``, unless the size is given explicitly.

    The name of published weights becomes the folder that they are downloaded to. Without weights, imported videos use
    the size at which they are stored.

    Raises:
        WeightsError: the folder is missing, or its size entry is damaged.
        OptionsError: the networks do not support that size.
    """
    opt = with_local_weights(opt)
    info = read_weights_info(opt.load_weights_folder) if opt.load_weights_folder else None
    size = (info.height, info.width) if info else stored_size(opt.data_path) if opt.dataset == "folder" else None
    if size is None:
        return opt
    sides = zip(("height", "width"), size, strict=True)
    return opt.replace(**{name: side for name, side in sides if name not in opt.explicitly_set})


def kernels_mode(opt: Options, total_steps: int, before: bool | None) -> str:
    """Resolve ``--kernels auto``.

    Args:
        opt: the options.
        total_steps: steps of the whole run; short runs do not pay for the compilation.
        before: whether the resumed run used the operators, which it keeps, because both round differently; None for a
            new run.

    Returns:
        "on", "off" or "auto", as ``use_kernels`` takes it.
    """
    if opt.kernels != "auto":
        return opt.kernels
    return "auto" if (total_steps >= STEPS_WORTH_COMPILING if before is None else before) else "off"


def compile_mode(opt: Options, total_steps: int, kernels_on: bool, before: bool | None) -> str:
    """Resolve ``--compile auto``.

    Args:
        opt: the options.
        total_steps: steps of the whole run; short runs do not pay for the tracing.
        kernels_on: whether the C++ operators are on; a static graph then gains little, and needs much more memory.
        before: whether the resumed run was compiled, which it keeps; None for a new run.

    Returns:
        "on", "off" or "auto", as ``ForwardPass`` takes it.
    """
    if opt.compile != "auto":
        return opt.compile
    worth = total_steps >= STEPS_WORTH_COMPILING and not kernels_on and not opt.recompute
    return "auto" if (worth if before is None else before) else "off"


@dataclass(frozen=True)
class Components:
    """Data, model, loss and optimizer of a run.

    Attributes:
        train_loader, val_loader: loaders of this process's batches.
        model: the networks, randomly initialised.
        compute_loss: the loss.
        optimizer: the optimizer of the model's parameters.
        scheduler: the learning-rate schedule; ``training.optimizer.set_position`` sets its rate.
    """

    train_loader: BatchLoader
    val_loader: BatchLoader
    model: nn.Layer
    compute_loss: SelfSupervisedLoss
    optimizer: Optimizer
    scheduler: LRScheduler


def build_components(opt: Options, context: DistributedContext) -> Components:
    """Build the components of a run; processes differ only in their batches.

    Raises:
        DataError: the split cannot be used.
        OptionsError: the device does not support ``--sync_bn``, or the networks do not support ``--drop_path`` or
            ``--freeze_encoder``.
    """
    train_loader, val_loader = build_data(opt, "train", context), build_data(opt, "val", context)
    seed_everything(opt.seed)
    model = build_model(opt)
    freeze_stages(model.encoder, opt.freeze_encoder)
    if opt.sync_bn:
        model = synchronise_batch_norm(model, context)
    optimizer, schedule = build_optimizer(opt, model, context.size, len(train_loader))
    return Components(train_loader, val_loader, model, build_loss(opt), optimizer, schedule)


def build_model(opt: Options) -> nn.Layer:
    """Build the model of ``--type``, randomly initialised, with the rates of ``--drop_path``.

    Raises:
        OptionsError: no network can drop paths.
    """
    model = load(MODELS, opt.type)(**_constructor_arguments(opt))
    if opt.drop_path and not sum(set_drop_path(network, opt.drop_path) for network in model.networks().values()):
        raise OptionsError(
            f"--drop_path {opt.drop_path}: {opt.depth_network} has no stochastic depth. Omit --drop_path, or pass a "
            "--depth_network that has it (docs/training.md)."
        )
    return model


def model_settings(opt: Options) -> dict[str, Any]:
    """Return the model's type and settings, from which it can be rebuilt, as ``weights.json`` stores them."""
    arguments = _constructor_arguments(opt)
    stored = {name: value for name, value in arguments.items() if name not in RUN_TIME_ARGUMENTS and value is not None}
    return {"type": opt.type, **{name: list(v) if isinstance(v, tuple) else v for name, v in stored.items()}}


def _constructor_arguments(opt: Options) -> dict[str, Any]:
    """Return the options that are keywords of the model's constructor; ``**settings`` adds those of its base class."""
    names: list[str] = []
    for layer in load(MODELS, opt.type).__mro__:
        parameters = inspect.signature(layer.__init__).parameters.values()
        names += [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return {name: getattr(opt, name) for name in names}


def build_loss(opt: Options) -> SelfSupervisedLoss:
    """Build the loss: the published terms, and those of ``LOSS_TERMS`` with a weight."""
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
LOSS_TERMS: dict[str, Callable[[Options], tuple[float, LossTerm | None]]] = {
    "velocity": lambda opt: (opt.velocity_weight, VelocitySupervisedLoss(opt.source_frames)),
    "depth_hints": lambda opt: _depth_hint_term(opt),
    "depth": lambda opt: (opt.supervise_depth, DepthSupervisedLoss()),
    "pseudo_labels": lambda opt: (1.0 if opt.pseudo_labels else 0.0, _pseudo_label_term(opt)),
}


def _depth_hint_term(opt: Options) -> tuple[float, DepthHintLoss | None]:
    if opt.depth_hints is None:
        return 0.0, None
    metres_per_unit = dataset_class(opt.dataset).STEREO_SCALE_FACTOR
    return opt.depth_hint_weight, DepthHintLoss(metres_per_unit, use_ssim=not opt.no_ssim)


def _pseudo_label_term(opt: Options) -> PseudoLabelLoss:
    return PseudoLabelLoss(opt.pseudo_label_weight, opt.pseudo_label_late_weight, opt.pseudo_label_late_epoch)


def weights_info(opt: Options, intrinsics: tuple[float, ...] | None) -> dict[str, Any]:
    """Return the contents of ``weights.json``: input size, depth range, scale, learned intrinsics, model settings."""
    scale = {"metres_per_unit": METRES_PER_UNIT} if opt.velocity_weight else {}
    stored = ("height", "width", "use_stereo", "min_depth", "max_depth")
    values = {name: getattr(opt, name) for name in stored}
    return {**values, **scale, "intrinsics": intrinsics, "model": model_settings(opt)}


def build_data(opt: Options, part: str, context: DistributedContext | None = None) -> BatchLoader:
    """Build the loader of the "train" or "val" part of the split; drop lines with missing frames, and list them.

    With several processes, each loads its share of the batches.

    Raises:
        DataError: the split is missing, has too few usable lines, no speed for ``--velocity_weight``, or no depth for
            ``--supervise_depth``.
        UserError: the folder of the cache cannot be written.
    """
    context = context or DistributedContext()
    train = part == "train"
    folder = find_split(opt.split, opt.data_path)
    dataset = dataset_from(
        opt,
        read_split_lines(folder, part),
        frame_ids=opt.all_frames,
        scales=opt.scales if opt.source_frames else (),  # intrinsics are needed only to warp
        augment=train,
        load_depth=not train,
        load_displacement=bool(opt.velocity_weight),
        load_maps=True,
        supervise_depth=bool(opt.supervise_depth),
    )
    check = check_split(dataset, part, opt.run_dir if context.is_main else None)
    if check.dropped:
        print(
            f"{part}: skipping {len(check.dropped)} of {len(dataset.lines)} lines with missing frames or neighbours, "
            f"listed in {opt.run_dir / f'dropped_{part}_lines.txt'}"
        )
        dataset = dataset.replace(lines=check.kept)
    if train:
        _check_supervision(opt, dataset)
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


def _check_supervision(opt: Options, dataset: MonoDataset) -> None:
    """Check that the training lines have what the options learn from; print how many lack a map.

    Raises:
        DataError: no line has a speed for ``--velocity_weight``, or ground truth for ``--supervise_depth``.
    """
    if opt.velocity_weight:
        _check_speeds(dataset)
    for name, missing in missing_maps(dataset).items():
        if missing:
            kind = dataset.map_folders[name].kind.name
            print(f"train: {missing} of {len(dataset)} lines have no {kind}, and train without one")
    if opt.supervise_depth:
        _check_depths(dataset)


def _check_depths(dataset: MonoDataset) -> None:
    """Check that at least one line of the split has a file of ground truth.

    Raises:
        DataError: no line has one.
    """
    paths = [dataset.ground_truth_path(line) for line in dataset.lines]
    if not any(path and Path(path).is_file() for path in paths):
        example = next((f": {path}" for path in paths if path), "; this --dataset has no depth")
        raise DataError(
            f"--supervise_depth needs ground truth, but no training line has any{example}. Add it, or omit "
            "--supervise_depth."
        )


def _check_speeds(dataset: MonoDataset) -> None:
    """Check that at least one line of the split has a known displacement, from which scale is learned.

    Raises:
        DataError: no line has one.
    """
    sources = dataset.frame_ids[1:]
    if not any(dataset.displacement(line, f) is not None for line in dataset.lines for f in sources):
        raise DataError(
            f"--velocity_weight needs the camera's speed, but no training line has one in {dataset.data_path}. KITTI "
            "raw stores it in oxts, imported videos in column speed of SEQUENCE/frames.csv. Add it, or omit "
            "--velocity_weight."
        )
