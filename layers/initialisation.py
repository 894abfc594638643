"""Initial values of networks."""

import math
from collections.abc import Iterable

from paddle import nn
from paddle.nn.initializer import Constant, KaimingNormal


def initialise_kaiming(network: nn.Layer) -> None:
    """Initialise a network in place: He et al. (ICCV 2015) by ``fan_out``; batch-norm weights 1, all biases 0.

    ``fan_out`` is output channels times kernel size, for depthwise convolutions too, as in PyTorch.

    Args:
        network: its ``Conv2D``, ``Linear`` and ``BatchNorm2D`` layers are initialised, others keep their values.
    """
    for layer in network.sublayers():
        if isinstance(layer, nn.Conv2D):
            out_channels, _, *kernel = layer.weight.shape
            _normal_by_fan_out(layer, out_channels * kernel[0] * kernel[1])
        elif isinstance(layer, nn.Linear):
            _normal_by_fan_out(layer, layer.weight.shape[1])
        elif isinstance(layer, nn.BatchNorm2D):
            Constant(1.0)(layer.weight)
            Constant(0.0)(layer.bias)


def start_sigmoid_at(heads: Iterable[nn.Conv2D], value: float) -> None:
    """Set the biases of convolutions so that the sigmoid of their output starts near ``value``, in (0, 1)."""
    for head in heads:
        Constant(math.log(value / (1 - value)))(head.bias)


def _normal_by_fan_out(layer: nn.Layer, fan_out: int) -> None:
    KaimingNormal(fan_in=fan_out, nonlinearity="relu")(layer.weight)
    if layer.bias is not None:
        Constant(0.0)(layer.bias)
