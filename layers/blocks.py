"""Convolution blocks shared by the networks, initialised as in the published method."""

import math
from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Uniform

from layers.kernels.ops import operator

# Smaller maps have many channels, for which Paddle's matrix product is as fast as the operator.
PIXELS_FOR_OPERATOR = 400

# Mean and standard deviation of red, green and blue, by which most ImageNet weights normalise images in [0, 1].
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def conv2d(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0) -> nn.Conv2D:
    """Build a convolution with weight and bias initialised uniformly in +-1 / sqrt(fan_in).

    This is PyTorch's default, with which the published decoders were trained. Paddle's default is wider by sqrt(6).
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


def normalise_images(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalise stacked images as the pretrained weights of an encoder expect.

    Args:
        images: (B, 3 * N, H, W) in [0, 1].
        mean, std: of red, green and blue; subtracted and divided by.

    Returns:
        (B, 3 * N, H, W).
    """
    repeats = images.shape[1] // len(mean)
    means, stds = (paddle.to_tensor([*values] * repeats, images.dtype).reshape([1, -1, 1, 1]) for values in (mean, std))
    return (images - means) / stds


class Conv3x3(nn.Layer):
    """3x3 convolution with reflection padding, which causes fewer border artefacts than zeros; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv2d(in_channels, out_channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W); reflection needs H and W of at least 2."""
        return _convolve(x, None, self.conv, double=False, elu=False)


class ZeroPaddedConv3x3(nn.Conv2D):
    """3x3 convolution of a ResNet: zero padding, no bias; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1, bias_attr=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        fused = operator("convolution", x, self.weight)
        if fused is None or math.prod(x.shape[2:]) < PIXELS_FOR_OPERATOR:
            return super().forward(x)
        no_bias = paddle.zeros(self.weight.shape[:1])
        return fused(x, self.weight, no_bias, False, False, False)


class ConvBlock(nn.Layer):
    """3x3 convolution followed by ELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return _convolve(x, None, self.conv.conv, double=False, elu=True)

    def upsampled(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Upsample ``x`` by 2 (nearest neighbour), concatenate ``skip``, and apply the block.

        Args:
            x: (B, C, H / 2, W / 2).
            skip: (B, S, H, W) with C + S = in_channels; None if C = in_channels.

        Returns:
            (B, out_channels, H, W).
        """
        return _convolve(x, skip, self.conv.conv, double=True, elu=True)


def _convolve(x: Tensor, skip: Tensor | None, conv: nn.Conv2D, *, double: bool, elu: bool) -> Tensor:
    """Upsample, concatenate, pad, convolve and apply ELU, in one operator if it is available."""
    pixels = math.prod(x.shape[2:]) * (4 if double else 1)
    inputs = [x, conv.weight, conv.bias] if skip is None else [x, skip, conv.weight, conv.bias]
    fused = operator("convolution" if skip is None else "skip_convolution", *inputs)
    if fused and pixels >= PIXELS_FOR_OPERATOR:
        return fused(*inputs, double, True, elu)
    if double:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    if skip is not None:
        x = paddle.concat([x, skip], axis=1)
    x = conv(F.pad(x, [1, 1, 1, 1], mode="reflect"))
    return F.elu(x) if elu else x
