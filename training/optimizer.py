"""The optimizer and its learning-rate schedule, from options."""

import paddle
from paddle import nn
from paddle.optimizer import Optimizer
from paddle.optimizer.lr import CosineAnnealingDecay, LinearWarmup, LRScheduler, StepDecay

from options import Options

LEARNING_RATE_DECAY = 0.1
# Networks that learn at --pose_learning_rate.
POSE_ROLES = ("pose_encoder", "pose", "intrinsics")


def build_optimizer(
    opt: Options, model: nn.Layer, processes: int = 1, steps_per_epoch: int = 1
) -> tuple[Optimizer, LRScheduler]:
    """Build the optimizer of the model's parameters, and its learning-rate schedule.

    Weights of one dimension (biases, normalisation) do not decay, as is common with AdamW: they are few, and have no
    reason to be near 0.

    Args:
        opt: the options.
        model: the model.
        processes: processes that train together, for ``--scale_lr``.
        steps_per_epoch: optimizer steps of an epoch.
    """
    schedule = build_schedule(opt, processes, steps_per_epoch)
    clip = paddle.nn.ClipGradByGlobalNorm(opt.clip_grad_norm) if opt.clip_grad_norm else None
    parameters = [parameter for parameter in model.parameters() if not parameter.stop_gradient]  # not frozen
    if opt.pose_learning_rate is not None:
        _scale_learning_rate(model, opt.pose_learning_rate / opt.learning_rate)
    if opt.optimizer == "adamw":
        decaying = {parameter.name for parameter in parameters if parameter.ndim > 1}
        optimizer = paddle.optimizer.AdamW(
            schedule,
            parameters=parameters,
            grad_clip=clip,
            apply_decay_param_fun=decaying.__contains__,
            **({} if opt.weight_decay is None else {"weight_decay": opt.weight_decay}),
        )
    else:
        # Multi-tensor: on a GPU, one kernel launch updates all parameters.
        optimizer = paddle.optimizer.Adam(schedule, parameters=parameters, grad_clip=clip, use_multi_tensor=True)
    return optimizer, schedule


def _scale_learning_rate(model: nn.Layer, factor: float) -> None:
    """Scale the learning rate of the pose networks, as ``ParamAttr(learning_rate=factor)`` does.

    Paddle's parameter groups do the same, but clip the gradient norm of each group by itself.
    """
    for role, network in model.networks().items():
        if role in POSE_ROLES:
            for parameter in network.parameters():
                parameter.optimize_attr = {**parameter.optimize_attr, "learning_rate": factor}


def build_schedule(opt: Options, processes: int = 1, steps_per_epoch: int = 1) -> LRScheduler:
    """Build the schedule of ``--lr_schedule``, after ``--warmup_epochs``; ``set_position`` sets its learning rate.

    - Warm-up rises linearly. It begins at one part of W + 1 in W steps, so that its first step already learns, and
      the schedule follows it.
    - "step" divides the rate by 10 every ``--scheduler_step_size`` epochs.
    - "cosine" falls to ``--min_learning_rate`` at the end of ``--num_epochs`` (Loshchilov and Hutter, 2017, equation 5,
      without restarts).
    """
    factor = processes if opt.scale_lr else 1
    learning_rate = opt.learning_rate * factor
    unit = steps_per_epoch if counts_steps(opt) else 1
    warmup_steps = _warmup_steps(opt, steps_per_epoch)
    if opt.lr_schedule == "cosine":
        steps = max(1, opt.num_epochs * unit - warmup_steps)
        schedule = CosineAnnealingDecay(learning_rate, T_max=steps, eta_min=opt.min_learning_rate * factor)
    else:
        schedule = StepDecay(learning_rate, step_size=opt.scheduler_step_size * unit, gamma=LEARNING_RATE_DECAY)
    if not warmup_steps:
        return schedule
    return LinearWarmup(schedule, warmup_steps, start_lr=learning_rate / (warmup_steps + 1), end_lr=learning_rate)


def _warmup_steps(opt: Options, steps_per_epoch: int) -> int:
    return max(1, round(opt.warmup_epochs * steps_per_epoch)) if opt.warmup_epochs else 0


def counts_steps(opt: Options) -> bool:
    """Return whether the learning rate changes from step to step; if not, from epoch to epoch."""
    return opt.lr_schedule != "step" or opt.warmup_epochs > 0


def set_position(schedule: LRScheduler, opt: Options, epoch: int, step_of_epoch: int, steps_per_epoch: int) -> None:
    """Set the learning rate of the next step.

    It depends on the position in the run alone, and not on the rates before it, so that a resumed run has the same.
    With another number of processes, the position in epochs stays the same.

    Args:
        schedule: from ``build_schedule``.
        opt: the options.
        epoch: epochs done.
        step_of_epoch: steps done in the current epoch.
        steps_per_epoch: steps of an epoch.
    """
    # Paddle's schedules compute the rate in closed form if they are given the position.
    schedule.step(epoch * steps_per_epoch + step_of_epoch if counts_steps(opt) else epoch)
