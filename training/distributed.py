"""A run in several processes, as ``python -m paddle.distributed.launch`` starts them: what Paddle does for it.

With one process nothing here does anything.
"""

import os
import sys

import paddle
import paddle.distributed as dist
from paddle import nn

from common.environment import quiet_errors
from common.errors import OptionsError
from training.distributed_context import DistributedContext


def init_distributed(timeout: float) -> DistributedContext:
    """Join the processes that the launcher started; call it once, after the device is set.

    All but the first print nothing from then on but errors.

    Args:
        timeout: seconds after which a process that does not answer ends the run.

    Raises:
        UserError: a process cannot be reached.
    """
    size = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
    if size == 1:
        return DistributedContext()
    if paddle.get_device() == "cpu":
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
    with quiet_errors():
        dist.init_parallel_env()
    context = DistributedContext(dist.get_rank(), size, timeout)
    context.connect(os.environ["PADDLE_MASTER"].rpartition(":")[0], _first_value)
    if not context.is_main:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for the rest of the process)
    return context


def training_command(context: DistributedContext) -> str:
    """How a run like this one is started."""
    if context.size == 1:
        return "python train.py"
    return f"python -m paddle.distributed.launch --nproc_per_node={os.environ['PADDLE_LOCAL_SIZE']} train.py"


def _first_value(value: object) -> object:
    """The value that the first process has."""
    values: list = []
    dist.all_gather_object(values, value)
    return values[0]


def synchronise_batch_norm(model: nn.Layer, context: DistributedContext) -> nn.Layer:
    """The model with batch norm by the statistics of the batches of all processes; the same state dict.

    Raises:
        OptionsError: on a CPU, for which Paddle has no such layer.
    """
    if context.size == 1:
        return model
    if paddle.get_device() == "cpu":
        raise OptionsError("sync_bn: Paddle synchronises batch norm on GPUs alone; leave it out on the CPU")
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def synchronise_gradients(layer: nn.Layer, context: DistributedContext) -> nn.Layer:
    """A layer whose gradients are averaged over the processes, while the rest of the backward pass is under way.

    All start with the first one's parameters and buffers.
    """
    return paddle.DataParallel(layer) if context.size > 1 else layer


@paddle.no_grad()
def average_statistics(model: nn.Layer, context: DistributedContext) -> None:
    """Makes the running statistics of batch norm the mean over processes; all must call it.

    The statistics of a step count in them linearly, so that it does not matter how often they are averaged.
    """
    if context.size == 1:
        return
    # Paddle keeps them among the parameters.
    statistics = [value for value in model.state_dict().values() if value.stop_gradient]
    context.barrier()  # gloo gives up after 30 s
    flat = paddle.concat([value.flatten() for value in statistics])
    dist.all_reduce(flat)
    parts = paddle.split(flat / context.size, [value.size for value in statistics])
    for value, part in zip(statistics, parts, strict=True):
        value.set_value(part.reshape(value.shape))
