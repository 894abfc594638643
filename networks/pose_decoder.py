"""The decoder from features of image pairs (or of all frames) to motions (supplementary material, table 5)."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.blocks import conv2d

# Keeps the first predictions near the identity.
POSE_SCALE = 0.01


class PoseDecoder(nn.Layer):
    """Four convolutions and global average pooling.

    Args:
        num_ch_enc: channels of the encoder's features, finest first.
        num_input_features: feature maps to concatenate; 1 if the encoder takes all images at once.
        num_motions: motions to predict.
    """

    def __init__(self, num_ch_enc: Sequence[int], num_input_features: int, num_motions: int) -> None:
        super().__init__()
        self.num_motions = num_motions
        self.net = nn.LayerList(
            [
                conv2d(num_ch_enc[-1], 256, kernel_size=1),
                conv2d(num_input_features * 256, 256, kernel_size=3, padding=1),
                conv2d(256, 256, kernel_size=3, padding=1),
                conv2d(256, 6 * num_motions, kernel_size=1),
            ]
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Predict motions from the coarsest features.

        Args:
            features: ``num_input_features`` maps (B, C, h, w).

        Returns:
            ``axis_angle`` (radians) and ``translation`` (scene units), each (B, num_motions, 3).
        """
        squeeze, *convolutions, last = self.net
        x = paddle.concat([F.relu(squeeze(f)) for f in features], axis=1)
        for convolution in convolutions:
            x = F.relu(convolution(x))
        return split_motions(last(x), self.num_motions)


def split_motions(x: Tensor, num_motions: int) -> tuple[Tensor, Tensor]:
    """(B, 6 * num_motions, h, w) -> axis angle and translation, each (B, num_motions, 3), averaged over space."""
    motions = POSE_SCALE * x.mean(axis=[2, 3]).reshape([-1, num_motions, 6])
    return motions[:, :, :3], motions[:, :, 3:]
