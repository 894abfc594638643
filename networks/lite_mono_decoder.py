"""The decoder of Lite-Mono (Zhang et al., CVPR 2023, section 3.3)."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant, TruncatedNormal

from layers.blocks import Conv3x3, ConvBlock

NUM_STAGES = 3


class DoubledBilinearly(nn.Layer):
    """Bilinear upsampling by 2, corners not aligned. A layer, so that an export can replace it."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 * H, 2 * W)."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class LiteMonoDecoder(nn.Layer):
    """A decoder of half the encoder's widths, with bilinear upsampling; one sigmoid map per scale.

    Unlike Monodepth2's, it has only three stages, from 1/16 to 1/2 of the input size; each output is upsampled once
    more before the sigmoid. State-dict keys are those of the released weights: ``decoder.N``, two blocks per stage from
    the coarsest to the finest, then the output convolution of each scale from the finest to the coarsest.

    Args:
        num_ch_enc: channels of the encoder's three features, finest first.
        scales: outputs to make, of 0, 1 and 2; scale s has 1 / 2**s of the input size.

    Attributes:
        unused_prefixes: names of parameters that released weights have for further scales.

    Raises:
        ValueError: a scale is not 0, 1 or 2.
    """

    def __init__(self, num_ch_enc: Sequence[int], scales: Sequence[int] = (0, 1, 2)) -> None:
        super().__init__()
        self.scales = tuple(sorted(scales))
        if not set(self.scales) <= set(range(NUM_STAGES)):
            raise ValueError(f"scales: got {self.scales}, allowed: 0 to {NUM_STAGES - 1} for Lite-Mono's decoder")
        widths = [width // 2 for width in num_ch_enc]
        blocks: list[nn.Layer] = []
        channels = num_ch_enc[-1]
        for stage in reversed(range(NUM_STAGES)):
            skip_channels = num_ch_enc[stage - 1] if stage else 0
            blocks.append(ConvBlock(channels, widths[stage]))
            blocks.append(ConvBlock(widths[stage] + skip_channels, widths[stage]))
            channels = widths[stage]
        blocks.extend(Conv3x3(widths[s], 1) for s in self.scales)
        self.decoder = nn.LayerList(blocks)
        self.doubling = DoubledBilinearly()
        self.unused_prefixes = tuple(f"decoder.{i}." for i in range(len(blocks), 3 * NUM_STAGES))
        for layer in self.sublayers():
            if isinstance(layer, nn.Conv2D):
                TruncatedNormal(std=0.02)(layer.weight)
                Constant(0.0)(layer.bias)

    @property
    def heads(self) -> list[nn.Conv2D]:
        """Convolutions whose sigmoid is an output, by scale."""
        return [block.conv for block in self.decoder[2 * NUM_STAGES :]]

    def forward(self, features: Sequence[Tensor]) -> dict[int, Tensor]:
        """Scale -> (B, 1, H / 2**scale, W / 2**scale) in [0, 1]."""
        outputs = {}
        x = features[-1]
        for i, stage in enumerate(reversed(range(NUM_STAGES))):
            x = self.doubling(self.decoder[2 * i](x))  # (B, C, H / 2**(stage + 1), W / 2**(stage + 1))
            if stage:
                x = paddle.concat([x, features[stage - 1]], axis=1)
            x = self.decoder[2 * i + 1](x)
            if stage in self.scales:
                to_disp = self.decoder[2 * NUM_STAGES + self.scales.index(stage)]
                outputs[stage] = F.sigmoid(self.doubling(to_disp(x)))
        return outputs
