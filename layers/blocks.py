"""Convolution blocks shared by the networks, initialised as in the published method."""

import math
from collections.abc import Sequence
from typing import TypeVar

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Uniform

from layers.kernels.ops import operator

# Mean and standard deviation of red, green and blue, by which most ImageNet weights normalise images in [0, 1].
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Network = TypeVar("Network", bound=nn.Layer)


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolve with zero padding, through oneDNN where its operator is available.

    Args:
        x: (B, I, H, W).
        weight: (O, I / groups, h, w).
        bias: (O,); None for zeros.
        stride, dilation: vertical and horizontal.
        padding: vertical and horizontal, or top, bottom, left and right.
        groups: of channels.

    Returns:
        (B, O, H', W').
    """
    fused = operator("convolution", x, weight)
    if fused is None:
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    biases = paddle.zeros(weight.shape[:1]) if bias is None else bias
    sides = list(padding) if len(padding) == 4 else [padding[0], padding[0], padding[1], padding[1]]
    sizes = (list(stride), sides, list(dilation))
    return fused(x, weight, biases, *sizes, groups, not x.stop_gradient, bias is not None)


class Conv2D(nn.Conv2D):
    """Paddle's convolution through ``convolve`` where that supports the layer's arguments."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H', W')."""
        is_zero_padded = self._padding_mode == "zeros" and self._padding_algorithm == "EXPLICIT"
        if not is_zero_padded or self._data_format != "NCHW":
            return super().forward(x)
        sizes = (self._stride, self._updated_padding, self._dilation)
        return convolve(x, self.weight, self.bias, *sizes, self._groups)


def use_operators(network: Network) -> Network:
    """Make the convolutions of a network, Paddle's own included, use our operators; parameters stay as they are."""
    for layer in network.sublayers(include_self=True):
        if type(layer) is nn.Conv2D:
            layer.__class__ = Conv2D  # keeps names and values, which a new layer would not
    return network


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
        return _convolve_block(x, None, self.conv, double=False, elu=False)


class ConvBlock(nn.Layer):
    """3x3 convolution followed by ELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return _convolve_block(x, None, self.conv.conv, double=False, elu=True)

    def upsampled(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Upsample ``x`` by 2 (nearest neighbour), concatenate ``skip``, and apply the block.

        Args:
            x: (B, C, H / 2, W / 2).
            skip: (B, S, H, W) with C + S = in_channels; None if C = in_channels.

        Returns:
            (B, out_channels, H, W).
        """
        return _convolve_block(x, skip, self.conv.conv, double=True, elu=True)


def _convolve_block(x: Tensor, skip: Tensor | None, conv: nn.Conv2D, *, double: bool, elu: bool) -> Tensor:
    """Upsample, concatenate, pad, convolve and apply ELU, in one operator if it is available."""
    inputs = [x, conv.weight, conv.bias] if skip is None else [x, skip, conv.weight, conv.bias]
    fused = operator("block" if skip is None else "skip_block", *inputs)
    if fused:
        return fused(*inputs, double, elu)
    if double:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    if skip is not None:
        x = paddle.concat([x, skip], axis=1)
    x = conv(F.pad(x, [1, 1, 1, 1], mode="reflect"))
    return F.elu(x) if elu else x
