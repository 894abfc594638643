"""The decoder from encoder features to disparity at several scales (supplementary material, table 5)."""

from collections.abc import Sequence

import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.blocks import Conv3x3, ConvBlock

NUM_CH_DEC = (16, 32, 64, 128, 256)


class DepthDecoder(nn.Layer):
    """U-Net decoder with skip connections; one sigmoid map a scale.

    State-dict keys are those of the published checkpoints: ``decoder.N``, two blocks for each of the five stages from
    the coarsest to the finest, then the output convolution of each scale from the finest to the coarsest.

    Args:
        num_ch_enc: channels of the encoder's five features, finest first.
        scales: which outputs to make; scale s is 1 / 2**s of the input size.
        num_output_channels: 1 for disparity; the number of sources for a predictive mask.
    """

    def __init__(
        self, num_ch_enc: Sequence[int], scales: Sequence[int] = (0, 1, 2, 3), num_output_channels: int = 1
    ) -> None:
        super().__init__()
        self.scales = tuple(sorted(scales))
        blocks: list[nn.Layer] = []
        channels = num_ch_enc[-1]
        for stage in reversed(range(5)):
            skip_channels = num_ch_enc[stage - 1] if stage > 0 else 0
            blocks.append(ConvBlock(channels, NUM_CH_DEC[stage]))
            blocks.append(ConvBlock(NUM_CH_DEC[stage] + skip_channels, NUM_CH_DEC[stage]))
            channels = NUM_CH_DEC[stage]
        blocks.extend(Conv3x3(NUM_CH_DEC[s], num_output_channels) for s in self.scales)
        self.decoder = nn.LayerList(blocks)

    def forward(self, features: Sequence[Tensor]) -> dict[int, Tensor]:
        """Scale -> (B, num_output_channels, H / 2**scale, W / 2**scale) in [0, 1]."""
        outputs = {}
        x = features[-1]
        for i, stage in enumerate(reversed(range(5))):
            x = self.decoder[2 * i](x)
            x = self.decoder[2 * i + 1].upsampled(x, features[stage - 1] if stage > 0 else None)
            if stage in self.scales:
                to_disp = self.decoder[10 + self.scales.index(stage)]
                outputs[stage] = F.sigmoid(to_disp(x))
        return outputs
