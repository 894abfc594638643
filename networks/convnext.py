"""ConvNeXt-T: Liu et al., "A ConvNet for the 2020s", CVPR 2022."""

from collections.abc import Sequence

import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant, TruncatedNormal

from layers.blocks import IMAGENET_MEAN, IMAGENET_STD, normalise_images
from layers.drop_path import DropPath
from networks.depth_decoder import DepthDecoder

WIDTHS, DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)
EPSILON = 1e-6
INITIAL_GAMMA = 1e-6  # layer scale, appendix A.1


class _Mlp(nn.Layer):
    """Two linear layers with four times the width between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class ConvNeXtBlock(nn.Layer):
    """Depthwise 7x7 convolution, layer norm, two linear layers, and the residual (figure 4 of the paper).

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2D(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, epsilon=EPSILON)
        self.mlp = _Mlp(width)
        self.gamma = self.create_parameter([width], default_initializer=Constant(INITIAL_GAMMA))
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = self.conv_dw(x).transpose([0, 2, 3, 1])  # (B, H, W, C)
        y = self.gamma * self.mlp(self.norm(y))
        return x + self.drop_path(y.transpose([0, 3, 1, 2]))


class ConvNeXtStage(nn.Layer):
    """Layer norm and a strided 2x2 convolution (none in the first stage), then blocks of one width.

    Args:
        width_in: channels of the input.
        width: channels of the output.
        depth: number of blocks.
    """

    def __init__(self, width_in: int, width: int, depth: int) -> None:
        super().__init__()
        is_first = width_in == width
        halving = [nn.LayerNorm(width_in, epsilon=EPSILON), nn.Conv2D(width_in, width, 2, stride=2)]
        self.downsample = None if is_first else nn.LayerList(halving)
        self.blocks = nn.LayerList(ConvNeXtBlock(width) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) -> (B, width, H / 2, W / 2); the first stage keeps the size."""
        if self.downsample is not None:
            norm, convolution = self.downsample
            x = convolution(channel_norm(norm, x))
        for block in self.blocks:
            x = block(x)
        return x


class ConvNeXtTinyEncoder(nn.Layer):
    """A convolutional network with the proportions of a Swin transformer, without its classifier and last norm.

    Patches of 4x4 pixels, four stages with 3, 3, 9 and 3 blocks, large depthwise kernels instead of attention,
    inverted bottlenecks, GELU, and few norms: layer norm over the channels, once per block (section 2). Its 28 M
    parameters are 2.5 times those of ResNet18. There is no feature at half the input size, and none is needed: the
    decoder doubles the last two sizes without a skip connection.

    Initial values: normal of 0.02, truncated, biases 0 (appendix A.1). Parameters are named as in timm.

    Args:
        num_input_images: images stacked along the channels.

    Attributes:
        image_mean, image_std: normalisation that the pretrained weights expect, for images in [0, 1].
        first_convolution: name of the weight that sees the image.
        num_ch_enc: channels of the features, finest first.
        strides: input size over feature size.
    """

    image_mean, image_std = IMAGENET_MEAN, IMAGENET_STD
    first_convolution = "stem.0.weight"
    num_ch_enc = WIDTHS
    strides = (4, 8, 16, 32)

    def __init__(self, num_input_images: int = 1) -> None:
        super().__init__()
        self.stem = nn.LayerList(
            [nn.Conv2D(3 * num_input_images, WIDTHS[0], 4, stride=4), nn.LayerNorm(WIDTHS[0], epsilon=EPSILON)]
        )
        widths_in = (WIDTHS[0], *WIDTHS[:-1])
        self.stages = nn.LayerList(map(ConvNeXtStage, widths_in, WIDTHS, DEPTHS))
        for layer in self.sublayers():
            if isinstance(layer, nn.Conv2D | nn.Linear):
                TruncatedNormal(std=0.02)(layer.weight)
                Constant(0.0)(layer.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute features at 1/4, 1/8, 1/16 and 1/32 of the input size.

        Args:
            images: (B, 3 * num_input_images, H, W) in [0, 1]; H and W multiples of 32.

        Returns:
            Four tensors (B, num_ch_enc[i], H / strides[i], W / strides[i]), finest first.
        """
        patches, norm = self.stem
        x = channel_norm(norm, patches(normalise_images(images, self.image_mean, self.image_std)))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def channel_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Apply a layer norm over the channels of (B, C, H, W)."""
    return norm(x.transpose([0, 2, 3, 1])).transpose([0, 3, 1, 2])


def build_encoder(name: str, num_input_images: int = 1) -> ConvNeXtTinyEncoder:
    """Build the encoder ``convnext_tiny``."""
    return ConvNeXtTinyEncoder(num_input_images)


def build_depth_network(name: str, scales: Sequence[int]) -> tuple[ConvNeXtTinyEncoder, DepthDecoder]:
    """Build the encoder and Monodepth2's decoder, whose stages do not depend on the encoder's."""
    encoder = build_encoder(name)
    return encoder, DepthDecoder(encoder.num_ch_enc, scales, strides=encoder.strides)
