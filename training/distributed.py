"""A run in several processes, as ``python -m paddle.distributed.launch`` starts them: joining, and what Paddle sums.

With one process nothing here does anything.
"""

import os
import sys

import paddle
import paddle.distributed as dist
from paddle import nn

from environment import quiet_errors
from training.peers import Peers


def join_peers() -> Peers:
    """Joins the processes that the launcher started; call it once, after the device is set.

    All but the first print nothing from then on but errors.
    """
    size = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
    if size == 1:
        return Peers()
    if paddle.get_device() == "cpu":
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
    with quiet_errors():
        dist.init_parallel_env()
    peers = Peers(dist.get_rank(), size)
    peers.connect(os.environ["PADDLE_MASTER"].rpartition(":")[0], _first_value)
    if not peers.is_main:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for the rest of the process)
    return peers


def _first_value(value: object) -> object:
    """The value that the first process has."""
    values: list = []
    dist.all_gather_object(values, value)
    return values[0]


def synchronise_gradients(layer: nn.Layer, peers: Peers) -> nn.Layer:
    """A layer whose gradients are averaged over the processes, while the rest of the backward pass is under way.

    All start with the first one's parameters and buffers.
    """
    return paddle.DataParallel(layer) if peers.size > 1 else layer


@paddle.no_grad()
def average_statistics(model: nn.Layer, peers: Peers) -> None:
    """Makes the running statistics of batch norm the mean over processes; all must call it.

    The statistics of a step count in them linearly, so that it does not matter how often they are averaged.
    """
    buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    if peers.size == 1 or not buffers:
        return
    peers.wait()  # gloo gives up after 30 s
    flat = paddle.concat([buffer.flatten() for buffer in buffers])
    dist.all_reduce(flat)
    parts = paddle.split(flat / peers.size, [buffer.size for buffer in buffers])
    for buffer, part in zip(buffers, parts, strict=True):
        buffer.set_value(part.reshape(buffer.shape))
