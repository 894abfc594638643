"""Training in several processes, started by ``python -m paddle.distributed.launch``: the parts that Paddle provides.

With a single process all functions are no-ops.
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
    """Connect the processes that the launcher started; call it once, after the device is set.

    From then on all processes but the first print only errors.

    Args:
        timeout: seconds after which a process that does not answer ends the run.

    Raises:
        UserError: a process is unreachable.
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
        sys.stdout = open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: SIM115  (to the end of the process)
    return context


def training_command(context: DistributedContext) -> str:
    """Return the command that starts a run with this number of processes."""
    if context.size == 1:
        return "python train.py"
    return f"python -m paddle.distributed.launch --nproc_per_node={os.environ['PADDLE_LOCAL_SIZE']} train.py"


def _first_value(value: object) -> object:
    """Broadcast the first process's value."""
    values: list = []
    dist.all_gather_object(values, value)
    return values[0]


def synchronise_batch_norm(model: nn.Layer, context: DistributedContext) -> nn.Layer:
    """Convert batch norm to use the statistics of all processes' batches; the state dict stays the same.

    Raises:
        OptionsError: the device is a CPU, which Paddle does not support here.
    """
    if context.size == 1:
        return model
    if paddle.get_device() == "cpu":
        raise OptionsError("--sync_bn: Paddle synchronises batch norm only on GPUs. Omit --sync_bn on the CPU.")
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def synchronise_gradients(layer: nn.Layer, context: DistributedContext) -> nn.Layer:
    """Wrap a layer to average its gradients over processes, overlapping communication with the backward pass.

    Parameters and buffers are broadcast from the first process.
    """
    return paddle.DataParallel(layer) if context.size > 1 else layer


@paddle.no_grad()
def average_statistics(model: nn.Layer, context: DistributedContext) -> None:
    """Average the running statistics of batch norm over processes; all processes must call it.

    The statistics are linear in those of each step, so the result does not depend on how often they are averaged.
    """
    if context.size == 1:
        return
    # In Paddle they are parameters without gradient.
    statistics = [value for value in model.state_dict().values() if value.stop_gradient]
    context.barrier()  # gloo gives up after 30 s
    flat = paddle.concat([value.flatten() for value in statistics])
    dist.all_reduce(flat)
    parts = paddle.split(flat / context.size, [value.size for value in statistics])
    for value, part in zip(statistics, parts, strict=True):
        value.set_value(part.reshape(value.shape))
