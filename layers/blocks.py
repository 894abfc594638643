"""Convolution blocks that the decoders share, with the initial values that the method was published with."""

import math

import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Uniform


def conv2d(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0) -> nn.Conv2D:
    """A convolution whose weight and bias start uniform in +-1 / sqrt(fan_in).

    That is PyTorch's default, which the published decoders started from; Paddle's own default is wider by sqrt(6).
    """
    bound = 1.0 / math.sqrt(in_channels * kernel_size**2)
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=padding,
        weight_attr=Uniform(-bound, bound),
        bias_attr=Uniform(-bound, bound),
    )


class Conv3x3(nn.Layer):
    """3x3 convolution that keeps the size, padded by reflection: fewer artefacts at the border than zeros."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv2d(in_channels, out_channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W); H and W at least 2, for the reflection."""
        return self.conv(F.pad(x, [1, 1, 1, 1], mode="reflect"))


class ConvBlock(nn.Layer):
    """3x3 convolution, then ELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return F.elu(self.conv(x))


def upsample_nearest(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), every pixel repeated."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
