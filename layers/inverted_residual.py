"""Inverted residual blocks, of which MobileNetV3 and EfficientNet-Lite consist."""

from collections.abc import Callable
from typing import NamedTuple

import paddle.nn.functional as F
from paddle import Tensor, nn

# The published weights of both families were trained by these; momentum is the share of the old statistics.
EPSILON, MOMENTUM = 1e-3, 0.99

Activation = Callable[[Tensor], Tensor]


class BlockShape(NamedTuple):
    """One row of the table in which a paper specifies its network.

    Attributes:
        kernel: size of the depthwise kernel, pixels.
        expanded: channels of the depthwise convolution.
        out: channels of the output.
        stride: 1, or 2 to halve the size.
        squeeze: weight the channels by squeeze and excitation.
    """

    kernel: int
    expanded: int
    out: int
    stride: int
    squeeze: bool = False


class ConvNorm(nn.Layer):
    """Convolution without bias, batch norm, and an activation if there is one.

    Args:
        in_channels, out_channels: number of channels.
        kernel: kernel size, pixels.
        stride: 1 or 2.
        groups: ``in_channels`` for a depthwise convolution.
        activation: applied last; None for a linear output.
        pad_after: pad as TensorFlow's "SAME" does: with stride 2, less above and left than below and right, so that an
            image of even size is sampled from its first pixel on.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: Activation | None = None,
        pad_after: bool = False,
    ) -> None:
        super().__init__()
        before, after = ((kernel - stride) // 2, (kernel - stride + 1) // 2) if pad_after else (kernel // 2,) * 2
        padding = before if before == after else [before, after, before, after]
        self.conv = nn.Conv2D(
            in_channels, out_channels, kernel, stride=stride, padding=padding, groups=groups, bias_attr=False
        )
        self.norm = nn.BatchNorm2D(out_channels, momentum=MOMENTUM, epsilon=EPSILON)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride), for even H and W."""
        x = self.norm(self.conv(x))
        return x if self.activation is None else self.activation(x)


class SqueezeExcitation(nn.Layer):
    """Weights in [0, 1] for the channels, from their means (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018).

    MobileNetV3 replaces the sigmoid by its piecewise linear approximation (section 5.2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = divisible_by_8(channels / 4)
        self.reduce = nn.Conv2D(channels, reduced, 1)
        self.expand = nn.Conv2D(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        means = F.adaptive_avg_pool2d(x, 1)  # (B, C, 1, 1)
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(means))))


class InvertedResidual(nn.Layer):
    """Expand by a 1x1 convolution, convolve each channel, project to few channels without an activation.

    The narrow ends are connected (Sandler et al., "MobileNetV2", CVPR 2018, section 3.3), so that the memory of the
    residual is small. The input is not expanded where ``expanded`` is the number of its channels.

    Args:
        in_channels: channels of the input.
        shape: the rest of the shape.
        activation: applied to the expanded channels.
        pad_after: see ``ConvNorm``.
    """

    def __init__(self, in_channels: int, shape: BlockShape, activation: Activation, *, pad_after: bool = False) -> None:
        super().__init__()
        wide = shape.expanded
        self.expand = ConvNorm(in_channels, wide, 1, activation=activation) if wide != in_channels else None
        self.depthwise = ConvNorm(
            wide, wide, shape.kernel, shape.stride, groups=wide, activation=activation, pad_after=pad_after
        )
        self.squeeze = SqueezeExcitation(wide) if shape.squeeze else None
        self.project = ConvNorm(wide, shape.out, 1)
        self.is_residual = shape.stride == 1 and in_channels == shape.out

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out, H / stride, W / stride)."""
        y = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        if self.squeeze is not None:
            y = self.squeeze(y)
        y = self.project(y)
        return x + y if self.is_residual else y


def divisible_by_8(channels: float) -> int:
    """Round a number of channels to a multiple of 8, but never below 90 % of it, as the MobileNets do."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
