"""The decoder from encoder features to disparity at several scales (supplementary material, table 5)."""

from collections.abc import Sequence

import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.blocks import Conv3x3, ConvBlock

FINEST_WIDTH, LARGEST_WIDTH = 16, 256
RESNET_STRIDES = (2, 4, 8, 16, 32)


class DepthDecoder(nn.Layer):
    """U-Net decoder with skip connections; one sigmoid map per scale.

    Each stage doubles the resolution, from the coarsest feature to the input size, and concatenates the feature of its
    resolution where the encoder has one. State-dict keys are those of the published checkpoints: ``decoder.N``, two
    blocks per stage from the coarsest to the finest, then the output convolution of each scale from the finest to the
    coarsest.

    Args:
        num_ch_enc: channels of the encoder's features, finest first.
        scales: outputs to make; scale s has 1 / 2**s of the input size. A decoder with n stages has scales 0 to n - 1.
        num_output_channels: 1 for disparity; the number of sources for a predictive mask.
        strides: input size over feature size, powers of two, one per feature.

    Attributes:
        unused_prefixes: names of parameters that published weights have for further scales.

    Raises:
        ValueError: a scale is not one of the decoder's stages.
    """

    def __init__(
        self,
        num_ch_enc: Sequence[int],
        scales: Sequence[int] = (0, 1, 2, 3),
        num_output_channels: int = 1,
        strides: Sequence[int] = RESNET_STRIDES,
    ) -> None:
        super().__init__()
        self.scales = tuple(sorted(scales))
        self.num_stages = strides[-1].bit_length() - 1
        if not set(self.scales) <= set(range(self.num_stages)):
            raise ValueError(f"scales: got {self.scales}, allowed: 0 to {self.num_stages - 1} for strides {strides}")
        # Stage i ends at 1 / 2**i of the input size, where the feature of stride 2**i joins it.
        self.skips = {stride.bit_length() - 1: i for i, stride in enumerate(strides[:-1])}
        widths = [min(FINEST_WIDTH << stage, LARGEST_WIDTH) for stage in range(self.num_stages)]
        blocks: list[nn.Layer] = []
        channels = num_ch_enc[-1]
        for stage in reversed(range(self.num_stages)):
            skip_channels = num_ch_enc[self.skips[stage]] if stage in self.skips else 0
            blocks.append(ConvBlock(channels, widths[stage]))
            blocks.append(ConvBlock(widths[stage] + skip_channels, widths[stage]))
            channels = widths[stage]
        blocks.extend(Conv3x3(widths[s], num_output_channels) for s in self.scales)
        self.decoder = nn.LayerList(blocks)
        outputs = range(len(blocks), 3 * self.num_stages)
        self.unused_prefixes = tuple(f"decoder.{i}." for i in outputs)

    @property
    def heads(self) -> list[nn.Conv2D]:
        """Convolutions whose sigmoid is an output, by scale."""
        return [block.conv for block in self.decoder[2 * self.num_stages :]]

    def forward(self, features: Sequence[Tensor]) -> dict[int, Tensor]:
        """Scale -> (B, num_output_channels, H / 2**scale, W / 2**scale) in [0, 1]."""
        outputs = {}
        x = features[-1]
        for i, stage in enumerate(reversed(range(self.num_stages))):
            x = self.decoder[2 * i](x)
            skip = features[self.skips[stage]] if stage in self.skips else None
            x = self.decoder[2 * i + 1].upsampled(x, skip)  # (B, C, H / 2**stage, W / 2**stage)
            if stage in self.scales:
                to_disp = self.decoder[2 * self.num_stages + self.scales.index(stage)]
                outputs[stage] = F.sigmoid(to_disp(x))
        return outputs
