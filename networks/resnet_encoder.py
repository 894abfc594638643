"""ResNet encoders for one image or several stacked ones (supplementary material, table 5)."""

from collections.abc import Sequence

import paddle
from paddle import Tensor, nn
from paddle.vision.models.resnet import BasicBlock, BottleneckBlock, ResNet

from layers.initialisation import initialise_kaiming
from networks.depth_decoder import RESNET_STRIDES, DepthDecoder

BLOCKS = {18: BasicBlock, 34: BasicBlock, 50: BottleneckBlock, 101: BottleneckBlock, 152: BottleneckBlock}

# Normalisation that the published weights were trained with, for all three channels.
IMAGE_MEAN = 0.45
IMAGE_STD = 0.225


class ResnetEncoder(nn.Layer):
    """A ResNet without its classifier, which returns features at five sizes.

    State-dict keys are ``encoder.`` followed by those of ResNet, as in the published checkpoints.

    Args:
        num_layers: 18, 34, 50, 101 or 152.
        num_input_images: images stacked along the channels.

    Attributes:
        num_ch_enc: channels of the features, finest first.
        strides: input size over feature size.
        first_convolution: name of the backbone's weight that sees the image.
    """

    strides = RESNET_STRIDES
    first_convolution = "conv1.weight"

    def __init__(self, num_layers: int = 18, num_input_images: int = 1) -> None:
        super().__init__()
        block = BLOCKS[num_layers]
        # By keyword: the third positional argument is the width, not the number of classes.
        self.encoder = ResNet(block=block, depth=num_layers, num_classes=0, with_pool=False)
        if num_input_images > 1:
            self.encoder.conv1 = nn.Conv2D(
                3 * num_input_images, 64, kernel_size=7, stride=2, padding=3, bias_attr=False
            )
        self.num_ch_enc = (64, *(width * block.expansion for width in (64, 128, 256, 512)))
        initialise_kaiming(self)

    @property
    def backbone(self) -> nn.Layer:
        """The layer that pretrained weights are for."""
        return self.encoder

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size.

        Args:
            images: (B, 3 * num_input_images, H, W) in [0, 1]; H and W multiples of 32.

        Returns:
            Five tensors (B, num_ch_enc[i], H / strides[i], W / strides[i]), finest first.
        """
        net = self.encoder
        x = net.relu(net.bn1(net.conv1((images - IMAGE_MEAN) / IMAGE_STD)))
        features = [x]
        x = net.layer1(net.maxpool(x))
        features.append(x)
        for stage in (net.layer2, net.layer3, net.layer4):
            x = stage(x)
            features.append(x)
        return features


def stack_first_convolution(weight: Tensor, num_input_images: int) -> Tensor:
    """Extend the weight of a first convolution from one image to several: repeat it, and divide by their number.

    The response to one image repeated ``num_input_images`` times is that of the original convolution.

    Args:
        weight: (O, 3, k, k).
        num_input_images: images stacked along the channels.

    Returns:
        (O, 3 * num_input_images, k, k).
    """
    return paddle.concat([weight] * num_input_images, axis=1) / num_input_images


def build_encoder(name: str, num_input_images: int = 1) -> ResnetEncoder:
    """Build the encoder ``resnetN``."""
    return ResnetEncoder(int(name.removeprefix("resnet")), num_input_images)


def build_depth_network(name: str, scales: Sequence[int]) -> tuple[ResnetEncoder, DepthDecoder]:
    """Build the encoder ``resnetN`` and the published decoder."""
    encoder = build_encoder(name)
    return encoder, DepthDecoder(encoder.num_ch_enc, scales, strides=encoder.strides)
