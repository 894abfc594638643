"""MobileNetV3-Large: Howard et al., "Searching for MobileNetV3", ICCV 2019."""

from collections.abc import Sequence

import paddle.nn.functional as F

from layers.blocks import IMAGENET_MEAN, IMAGENET_STD
from layers.inverted_residual import BlockShape
from networks.depth_decoder import DepthDecoder
from networks.mobile_encoder import MobileEncoder


class MobileNetV3LargeEncoder(MobileEncoder):
    """The network of the paper's table 1 up to its last 1x1 convolution, without the classifier.

    The blocks are those of MobileNetV2 (``layers.inverted_residual``); a search by platform chose their kernels, widths
    and where squeeze and excitation is worth its time (section 4). The layers of low resolution use ``hardswish``,
    x * relu6(x + 3) / 6, a swish without an exponential; its cost shrinks with the resolution, its gain does not
    (section 5.2). With 3 M parameters, it needs an eighth of the multiplications of ResNet18.

    The last feature is the 1x1 convolution to 960 channels (section 5.1). Batch norm's epsilon is 1e-3.
    """

    image_mean, image_std = IMAGENET_MEAN, IMAGENET_STD
    stem_width, head_width = 16, 960
    num_relu_blocks = 6
    block_shapes = (
        BlockShape(3, 16, 16, 1),
        BlockShape(3, 64, 24, 2),
        BlockShape(3, 72, 24, 1),
        BlockShape(5, 72, 40, 2, squeeze=True),
        BlockShape(5, 120, 40, 1, squeeze=True),
        BlockShape(5, 120, 40, 1, squeeze=True),
        BlockShape(3, 240, 80, 2),
        BlockShape(3, 200, 80, 1),
        BlockShape(3, 184, 80, 1),
        BlockShape(3, 184, 80, 1),
        BlockShape(3, 480, 112, 1, squeeze=True),
        BlockShape(3, 672, 112, 1, squeeze=True),
        BlockShape(5, 672, 160, 2, squeeze=True),
        BlockShape(5, 960, 160, 1, squeeze=True),
        BlockShape(5, 960, 160, 1, squeeze=True),
    )

    def __init__(self, num_input_images: int = 1) -> None:
        num_others = len(self.block_shapes) - self.num_relu_blocks
        activations = [F.hardswish] + [F.relu] * self.num_relu_blocks + [F.hardswish] * num_others
        super().__init__(num_input_images, activations)


def build_encoder(name: str, num_input_images: int = 1) -> MobileNetV3LargeEncoder:
    """Build the encoder ``mobilenet_v3_large``."""
    return MobileNetV3LargeEncoder(num_input_images)


def build_depth_network(name: str, scales: Sequence[int]) -> tuple[MobileNetV3LargeEncoder, DepthDecoder]:
    """Build the encoder and Monodepth2's decoder."""
    encoder = build_encoder(name)
    return encoder, DepthDecoder(encoder.num_ch_enc, scales, strides=encoder.strides)
