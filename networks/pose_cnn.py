"""The pose network of Zhou et al. (2017), an ablation of the paper: seven convolutions on the stacked images."""

import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.blocks import conv2d
from networks.pose_decoder import split_motions


class PoseCNN(nn.Layer):
    """Predict motions directly from stacked images.

    Args:
        num_input_images: images stacked along the channels; ``num_input_images - 1`` motions are predicted.
    """

    def __init__(self, num_input_images: int) -> None:
        super().__init__()
        self.num_motions = num_input_images - 1
        widths = (3 * num_input_images, 16, 32, 64, 128, 256, 256, 256)
        kernels = (7, 5, 3, 3, 3, 3, 3)
        # The output layer comes first in the published state dict.
        self.pose_conv = conv2d(256, 6 * self.num_motions, kernel_size=1)
        self.net = nn.LayerList(
            conv2d(widths[i], widths[i + 1], kernel, stride=2, padding=kernel // 2) for i, kernel in enumerate(kernels)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3 * num_input_images, H, W) in [0, 1] -> axis angle and translation, each (B, num_motions, 3)."""
        x = images
        for convolution in self.net:
            x = F.relu(convolution(x))
        return split_motions(self.pose_conv(x), self.num_motions)
