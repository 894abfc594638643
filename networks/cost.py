"""What a network costs: parameters, and multiply-accumulate operations of one pass."""

import math
from collections.abc import Callable
from typing import Any

import paddle
from paddle import Tensor, nn

from layers.channel_attention import ChannelAttention
from networks.build import build_depth_network

_STATISTICS = ("_mean", "_variance")


def depth_prediction(name: str, size: tuple[int, int]) -> tuple[nn.Layer, Callable[[], object]]:
    """Build a depth network for the finest scale, and a function that predicts one image with it.

    Args:
        name: a key of ``DEPTH_NETWORKS``.
        size: height and width of the image.
    """
    encoder, decoder = build_depth_network(name, (0,))
    network = nn.LayerList([encoder, decoder])
    network.eval()
    image = paddle.zeros([1, 3, *size])
    return network, lambda: decoder(encoder(image))


def count_parameters(network: nn.Layer) -> int:
    """Count the parameters, without the running statistics of batch norm, which Paddle lists among them."""
    return sum(
        math.prod(parameter.shape)
        for name, parameter in network.named_parameters()
        if name.rpartition(".")[2] not in _STATISTICS
    )


def count_macs(network: nn.Layer, run: Callable[[], Any]) -> int:
    """Count the multiply-accumulate operations of convolutions, linear layers and attention in one call.

    Norms, activations, additions and resizing are not counted, as usual: they are a few percent.

    Args:
        network: the layers to count; a layer that runs twice counts twice.
        run: calls the network once, with batch size 1 for the cost of one image.
    """
    total = 0

    def add(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += _macs(layer, output)

    hooks = [layer.register_forward_post_hook(add) for layer in network.sublayers(include_self=True)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _macs(layer: nn.Layer, output: Tensor) -> int:
    if isinstance(layer, nn.Conv2D):
        # The weight is (out, in / groups, k, k): every output value is a sum over the last three.
        return math.prod(output.shape) * math.prod(layer.weight.shape[1:])
    if isinstance(layer, nn.Linear):
        return math.prod(output.shape) * layer.weight.shape[0]
    if isinstance(layer, ChannelAttention):
        # Two products with matrices of C / heads by C / heads, each per token and channel.
        return 2 * math.prod(output.shape) * output.shape[-1] // layer.num_heads
    return 0
