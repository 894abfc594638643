"""Photometric error per pixel: structural similarity and L1 (paper, section 3.1)."""

from functools import cached_property

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from layers.kernels.ops import operator

C1 = 0.01**2
C2 = 0.03**2
SSIM_WEIGHT = 0.85


def mean_3x3(x: Tensor) -> Tensor:
    """Average over each pixel's 3x3 window with reflection padding: (B, C, H, W) -> (B, C, H, W)."""
    return F.avg_pool2d(F.pad(x, [1, 1, 1, 1], mode="reflect"), kernel_size=3, stride=1)


class TargetStatistics:
    """The target image (B, C, H, W) in [0, 1] and its SSIM statistics, computed at most once for all sources."""

    def __init__(self, image: Tensor) -> None:
        self.image = image

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return tuple(self.image.shape[2:])

    @cached_property
    def mean(self) -> Tensor:
        """Mean over each pixel's 3x3 window, (B, C, H, W)."""
        return mean_3x3(self.image)

    @cached_property
    def variance(self) -> Tensor:
        """Variance over each pixel's 3x3 window, (B, C, H, W)."""
        return mean_3x3(self.image * self.image) - self.mean * self.mean


def ssim_error(prediction: Tensor, target: TargetStatistics) -> Tensor:
    """Compute (1 - SSIM) / 2 over 3x3 windows, (B, C, H, W), clipped to [0, 1] (Wang et al., 2004)."""
    mean = mean_3x3(prediction)
    variance = mean_3x3(prediction * prediction) - mean * mean
    covariance = mean_3x3(prediction * target.image) - mean * target.mean
    numerator = (2 * mean * target.mean + C1) * (2 * covariance + C2)
    denominator = (mean * mean + target.mean * target.mean + C1) * (variance + target.variance + C2)
    return paddle.clip((1 - numerator / denominator) / 2, 0.0, 1.0)


def photometric_error(prediction: Tensor, target: TargetStatistics, use_ssim: bool = True) -> Tensor:
    """Compute 0.85 * SSIM error + 0.15 * L1, each averaged over the channels (paper, eq. 3).

    Args:
        prediction: (B, C, H, W) in [0, 1].
        target: the image to compare with, of the same size.
        use_ssim: False computes L1 alone.

    Returns:
        (B, 1, H, W), 0 where the images are equal.
    """
    fused = operator("photometric", prediction, target.image)
    if use_ssim and fused:
        return fused(prediction, target.image)
    l1_error = (target.image - prediction).abs().mean(axis=1, keepdim=True)
    if not use_ssim:
        return l1_error
    ssim = ssim_error(prediction, target).mean(axis=1, keepdim=True)
    return SSIM_WEIGHT * ssim + (1 - SSIM_WEIGHT) * l1_error
