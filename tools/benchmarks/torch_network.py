"""The depth network in PyTorch (eager mode), a baseline of the benchmarks. Requires PyTorch.

Follows the supplementary material of the paper and uses the published parameter names.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ENCODER_CHANNELS = (64, 64, 128, 256, 512)
DECODER_CHANNELS = (16, 32, 64, 128, 256)


class _Block(nn.Module):
    """ResNet18's basic block: two 3x3 convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride > 1:
            shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


class Encoder(nn.Module):
    """ResNet18 without its classifier, for ``num_images`` images stacked along the channels."""

    def __init__(self, num_images: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3 * num_images, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        for i in range(1, 5):
            blocks = [_Block(ENCODER_CHANNELS[i - 1], ENCODER_CHANNELS[i], 1 if i == 1 else 2)]
            blocks.append(_Block(ENCODER_CHANNELS[i], ENCODER_CHANNELS[i], 1))
            self.add_module(f"layer{i}", nn.Sequential(*blocks))

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3 num_images, H, W) in [0, 1] -> five features of 1/2 to 1/32 of the size, finest first."""
        features = [F.relu(self.bn1(self.conv1((images - 0.45) / 0.225)))]
        x = F.max_pool2d(features[0], 3, 2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


class _Convolution(nn.Module):
    """3x3 convolution with reflection padding."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))


class _ConvolutionBlock(nn.Module):
    """The decoder's convolution with ELU; its parameters have the names of the original's ``ConvBlock``."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv = _Convolution(channels_in, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(self.conv(x), inplace=True)


class DepthNetwork(nn.Module):
    """ResNet18 encoder and depth decoder.

    Args:
        scales: Scales to predict, ascending.
    """

    def __init__(self, scales: Sequence[int] = (0,)) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.encoder = Encoder()
        blocks: list[nn.Module] = []
        channels = ENCODER_CHANNELS[-1]
        for stage in reversed(range(5)):
            skipped = ENCODER_CHANNELS[stage - 1] if stage else 0
            blocks.append(_ConvolutionBlock(channels, DECODER_CHANNELS[stage]))
            blocks.append(_ConvolutionBlock(DECODER_CHANNELS[stage] + skipped, DECODER_CHANNELS[stage]))
            channels = DECODER_CHANNELS[stage]
        outputs = [_Convolution(DECODER_CHANNELS[scale], 1) for scale in self.scales]
        self.decoder = nn.ModuleList([*blocks, *outputs])

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Predict disparities, scale s -> (B, 1, H / 2^s, W / 2^s) in [0, 1], from images (B, 3, H, W) in [0, 1]."""
        features = self.encoder(images)
        x = features[-1]
        disps = {}
        for i, stage in enumerate(reversed(range(5))):
            x = F.interpolate(self.decoder[2 * i](x), scale_factor=2, mode="nearest")
            if stage:
                x = torch.cat([x, features[stage - 1]], dim=1)
            x = self.decoder[2 * i + 1](x)
            if stage in self.scales:
                disps[stage] = torch.sigmoid(self.decoder[10 + self.scales.index(stage)](x))
        return disps


def load_arrays(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Load PyTorch parameter name -> array; the classifier (``encoder.fc``) is ignored."""
    kept = {name: array for name, array in arrays.items() if not name.startswith("encoder.fc.")}
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in kept.items()})
