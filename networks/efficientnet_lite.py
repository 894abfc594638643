"""EfficientNet-Lite0, EfficientNet's variant for phones: Tan and Le, "EfficientNet", ICML 2019."""

from collections.abc import Sequence

import paddle.nn.functional as F

from layers.inverted_residual import BlockShape
from networks.depth_decoder import DepthDecoder
from networks.mobile_encoder import MobileEncoder


def _stage(repeats: int, kernel: int, stride: int, expansion: int, width_in: int, width: int) -> list[BlockShape]:
    """Return the blocks of one row of the paper's table 1; the first one has the stride and the input's width."""
    first = BlockShape(kernel, expansion * width_in, width, stride)
    return [first] + [BlockShape(kernel, expansion * width, width, 1)] * (repeats - 1)


class EfficientNetLite0Encoder(MobileEncoder):
    """EfficientNet-B0 (table 1 of the paper) for devices without fast sigmoids, without its last convolution.

    A search balanced accuracy and multiplications to find B0, whose blocks are those of MobileNetV2
    (``layers.inverted_residual``). The Lite variant of its authors omits squeeze and excitation, and replaces swish by
    ReLU6, for numbers of 8 bits. Padding is TensorFlow's: with stride 2, more of it is below and on the right.

    The features are those before each halving of the size, and the last block's: 16, 24, 40, 112 and 320 channels.
    Batch norm's epsilon is 1e-3. The ImageNet weights expect (255 x - 127) / 128.
    """

    image_mean, image_std = (127 / 255,) * 3, (128 / 255,) * 3
    stem_width = 32
    pad_after = True
    block_shapes = (
        *_stage(1, 3, 1, 1, 32, 16),
        *_stage(2, 3, 2, 6, 16, 24),
        *_stage(2, 5, 2, 6, 24, 40),
        *_stage(3, 3, 2, 6, 40, 80),
        *_stage(3, 5, 1, 6, 80, 112),
        *_stage(4, 5, 2, 6, 112, 192),
        *_stage(1, 3, 1, 6, 192, 320),
    )

    def __init__(self, num_input_images: int = 1) -> None:
        super().__init__(num_input_images, [F.relu6] * (1 + len(self.block_shapes)))


def build_encoder(name: str, num_input_images: int = 1) -> EfficientNetLite0Encoder:
    """Build the encoder ``efficientnet_lite0``."""
    return EfficientNetLite0Encoder(num_input_images)


def build_depth_network(name: str, scales: Sequence[int]) -> tuple[EfficientNetLite0Encoder, DepthDecoder]:
    """Build the encoder and Monodepth2's decoder."""
    encoder = build_encoder(name)
    return encoder, DepthDecoder(encoder.num_ch_enc, scales, strides=encoder.strides)
