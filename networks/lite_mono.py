"""Lite-Mono's encoder and its variants.

Zhang et al., "Lite-Mono: A Lightweight CNN and Transformer Architecture for Self-Supervised Monocular Depth
Estimation", CVPR 2023.
"""

from collections.abc import Sequence
from typing import NamedTuple

import paddle
from paddle import Tensor, nn

from layers.initialisation import initialise_kaiming
from networks.lite_mono_blocks import Convolution, Stage, averaged_down
from networks.lite_mono_decoder import LiteMonoDecoder

IMAGE_MEAN, IMAGE_STD = 0.45, 0.225  # for all three channels
# Images of at most this height take the dilations of 640x192, others those of 1024x320.
LARGEST_LOW_HEIGHT = 192


class Variant(NamedTuple):
    """What distinguishes the networks of table 1.

    Attributes:
        widths: channels of the three stages.
        last_dilations: of the third stage's dilated blocks at 640x192; those of the others are 1, 2 and 3.
        grows: whether larger images take larger dilations: 5 instead of 3, and 10 instead of 6.
    """

    widths: tuple[int, int, int]
    last_dilations: tuple[int, ...]
    grows: bool = True

    def dilations(self, height: int) -> list[tuple[int, ...]]:
        """Return the dilations of each stage for an image of ``height`` pixels."""
        stages = [(1, 2, 3), (1, 2, 3), self.last_dilations]
        if not self.grows or height <= LARGEST_LOW_HEIGHT:
            return stages
        larger = {3: 5, 6: 10}
        return [tuple(larger.get(dilation, dilation) for dilation in stage) for stage in stages]


VARIANTS = {
    "lite_mono": Variant((48, 80, 128), (1, 2, 3, 1, 2, 3, 2, 4, 6)),
    "lite_mono_small": Variant((48, 80, 128), (1, 2, 3, 2, 4, 6)),
    "lite_mono_tiny": Variant((32, 64, 128), (1, 2, 3, 2, 4, 6)),
    "lite_mono_8m": Variant((64, 128, 224), (1, 2, 3, 1, 2, 3, 2, 4, 6), grows=False),
}


class LiteMonoEncoder(nn.Layer):
    """A small encoder that combines dilated convolutions with attention (section 3.2).

    A stem and three stages at a quarter, an eighth and a sixteenth of the input size. Depth needs both a large
    receptive field and few parameters. Each stage therefore convolves with rising dilations, which see far at full
    resolution, and ends with attention between channels, which sees the whole image at a cost that is linear in its
    pixels. The averaged image joins the features before every halving, to restore what strides lose; so does the
    entry of the previous stage (cross-stage connection, figure 2).

    Parameters are named as in the released weights. Any multiple of 16 is a valid size.

    Args:
        variant: widths and dilations.

    Attributes:
        num_ch_enc: channels of the features, finest first.
        strides: input size over feature size.
        first_convolution: name of the weight that sees the image.
        depends_on_size: a traced network has one image size, which dilations and codes of positions follow.
    """

    strides = (4, 8, 16)
    depends_on_size = True
    first_convolution = "downsample_layers.0.0.conv.weight"

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        widths = self.num_ch_enc = variant.widths
        first = widths[0]
        stem = [Convolution(3, first, 2, norm=True), *(Convolution(first, first, norm=True) for _ in range(2))]
        halvings = [[Convolution(2 * widths[i] + 3, widths[i + 1], 2)] for i in range(2)]
        self.downsample_layers = nn.LayerList(nn.Sequential(*layers) for layers in (stem, *halvings))
        self.stem2 = nn.Sequential(Convolution(first + 3, first, 2))
        depths = [len(dilations) for dilations in variant.dilations(LARGEST_LOW_HEIGHT)]
        self.stages = nn.LayerList(
            Stage(width, depth, has_positions=i == 0)
            for i, (width, depth) in enumerate(zip(widths, depths, strict=True))
        )
        initialise_kaiming(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute features at 1/4, 1/8 and 1/16 of the input size.

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W multiples of 32.

        Returns:
            Three tensors (B, num_ch_enc[i], H / strides[i], W / strides[i]), finest first.
        """
        images = (images - IMAGE_MEAN) / IMAGE_STD
        averages = averaged_down(images, 3)
        entry = self.stem2(paddle.concat([self.downsample_layers[0](images), averages[0]], axis=1))
        dilations = self.variant.dilations(images.shape[2])
        features = [self.stages[0](entry, dilations[0])]
        for i in range(1, len(self.stages)):
            entry = self.downsample_layers[i](paddle.concat([entry, features[-1], averages[i]], axis=1))
            features.append(self.stages[i](entry, dilations[i]))
        return features


def build_depth_network(name: str, scales: Sequence[int]) -> tuple[LiteMonoEncoder, LiteMonoDecoder]:
    """Build the encoder ``lite_mono`` or a variant of it, and its decoder."""
    encoder = LiteMonoEncoder(VARIANTS[name])
    return encoder, LiteMonoDecoder(encoder.num_ch_enc, scales)
