"""The two blocks of Lite-Mono's encoder (Zhang et al., CVPR 2023, section 3.2)."""

from collections.abc import Sequence

import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant

from layers.blocks import convolve
from layers.channel_attention import ChannelAttention, FourierPositions
from layers.drop_path import DropPath

EXPANSION = 6
EPSILON = 1e-6  # of the layer norms
INITIAL_GAMMA = 1e-6


class Convolution(nn.Layer):
    """3x3 convolution without bias; optionally batch norm and GELU.

    Args:
        in_channels, out_channels: number of channels.
        stride: 1 or 2.
        norm: add batch norm and GELU.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, *, norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2D(in_channels, out_channels, 3, stride=stride, padding=1, bias_attr=False)
        self.bn_gelu = _NormGelu(out_channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride), for even H and W."""
        x = self.conv(x)
        return x if self.bn_gelu is None else self.bn_gelu(x)


class _NormGelu(nn.Layer):
    """Batch norm, then GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2D(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.bn(x))


class DepthwiseConv3x3(nn.Conv2D):
    """Depthwise 3x3 convolution without bias, whose dilation is an argument: it depends on the size of the image."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 3, groups=width, padding=1, bias_attr=False)

    def forward(self, x: Tensor, dilation: int) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        sizes = (dilation, dilation)
        return convolve(x, self.weight, None, padding=sizes, dilation=sizes, groups=x.shape[1])


class DilatedBlock(nn.Layer):
    """Consecutive dilated convolutions: local features at several scales without pooling (equation 1).

    Depthwise dilated 3x3 convolution and batch norm; then per pixel a linear layer to 6 times the width, GELU, and a
    linear layer back; and the residual. The published weights contain a layer norm ``norm`` that no output depends on;
    it is kept, without gradients, so that they load completely.

    Args:
        width: channels C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ddwconv = nn.LayerDict({"conv": DepthwiseConv3x3(width)})
        self.bn1 = nn.BatchNorm2D(width)
        self.norm = nn.LayerNorm(width, epsilon=EPSILON)
        for unused in self.norm.parameters():
            unused.stop_gradient = True
        self.pwconv1, self.pwconv2 = nn.Linear(width, EXPANSION * width), nn.Linear(EXPANSION * width, width)
        self.gamma = self.create_parameter([width], default_initializer=Constant(INITIAL_GAMMA))
        self.drop_path = DropPath()

    def forward(self, x: Tensor, dilation: int) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = self.bn1(self.ddwconv["conv"](x, dilation)).transpose([0, 2, 3, 1])  # (B, H, W, C)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + self.drop_path(y.transpose([0, 3, 1, 2]))


class LocalGlobalBlock(nn.Layer):
    """Local-global features interaction: attention between channels at the end of a stage (equations 2 and 3).

    Args:
        width: channels C.
        has_positions: add codes of the positions, from which the first stage learns them.
    """

    def __init__(self, width: int, *, has_positions: bool) -> None:
        super().__init__()
        self.pos_embd = FourierPositions(width) if has_positions else None
        self.norm_xca = nn.LayerNorm(width, epsilon=EPSILON)
        self.gamma_xca = self.create_parameter([width], default_initializer=Constant(INITIAL_GAMMA))
        self.xca = ChannelAttention(width)
        self.norm = nn.LayerNorm(width, epsilon=EPSILON)
        self.pwconv1, self.pwconv2 = nn.Linear(width, EXPANSION * width), nn.Linear(EXPANSION * width, width)
        self.gamma = self.create_parameter([width], default_initializer=Constant(INITIAL_GAMMA))
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        channels, height, width = x.shape[1:]
        y = x if self.pos_embd is None else x + self.pos_embd(height, width)
        y = y.flatten(2).transpose([0, 2, 1])  # (B, H * W, C)
        y = y + self.gamma_xca * self.xca(self.norm_xca(y))
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(self.norm(y))))
        y = y.transpose([0, 2, 1]).reshape([-1, channels, height, width])
        return x + self.drop_path(y)


class Stage(nn.LayerList):
    """Dilated blocks, then a local-global block.

    Args:
        width: channels C.
        num_dilated: number of dilated blocks.
        has_positions: see ``LocalGlobalBlock``.
    """

    def __init__(self, width: int, num_dilated: int, *, has_positions: bool) -> None:
        dilated = [DilatedBlock(width) for _ in range(num_dilated)]
        super().__init__([*dilated, LocalGlobalBlock(width, has_positions=has_positions)])

    def forward(self, x: Tensor, dilations: Sequence[int]) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); ``dilations`` has one entry per dilated block."""
        # By index: Paddle's conversion to a static graph knows neither ``zip(strict=True)`` nor starred assignment.
        for i in range(len(dilations)):
            x = self[i](x, dilations[i])
        return self[len(dilations)](x)


def averaged_down(images: Tensor, count: int) -> list[Tensor]:
    """Average an image down repeatedly: 3x3 means at stride 2, in which the padding counts as zeros.

    Args:
        images: (B, C, H, W); H and W multiples of 2**count.
        count: how often.

    Returns:
        (B, C, H / 2, W / 2), (B, C, H / 4, W / 4), ...
    """
    levels = [images]
    for _ in range(count):
        levels.append(F.avg_pool2d(levels[-1], kernel_size=3, stride=2, padding=1, exclusive=False))
    return levels[1:]
