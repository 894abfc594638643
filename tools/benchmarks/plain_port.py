"""Line-by-line Paddle port of the published Monodepth2 loss: the baseline of the step benchmark.

As in the published code, nothing is shared between scales: rays, identity reprojection errors and target statistics are
recomputed for each.
"""

from collections.abc import Mapping, Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.geometry import disp_to_depth


class PlainLoss(nn.Layer):
    """Minimum reprojection loss with auto-masking at full resolution, plus edge-aware smoothness (paper, section 3).

    Args:
        source_frames: Source frame ids, as in ``layers.self_supervised_loss``.
        scales: Scales of the loss, as in ``layers.self_supervised_loss``.
        tie_breaking_noise: Standard deviation of the noise added to the identity reprojection errors.
    """

    def __init__(
        self, source_frames: Sequence[int | str], scales: Sequence[int], tie_breaking_noise: float = 1e-5
    ) -> None:
        super().__init__()
        self.source_frames = tuple(source_frames)
        self.scales = tuple(scales)
        self.tie_breaking_noise = tie_breaking_noise

    def forward(self, batch: Mapping, outputs: Mapping) -> Tensor:
        """Compute the loss, a scalar, from the same ``batch`` and ``outputs`` as ``SelfSupervisedLoss``."""
        total = 0.0
        for scale in self.scales:
            disp, target = outputs[f"disp/{scale}"], batch["color/0/0"]
            height, width = target.shape[2:]
            full_disp = F.interpolate(disp, [height, width], mode="bilinear", align_corners=False)
            _, depth = disp_to_depth(full_disp, 0.1, 100.0)
            errors, unwarped = [], []
            for f in self.source_frames:
                T = batch["stereo_T"] if f == "s" else outputs[f"T_target_to_source/{f}"]
                points = back_project(depth, batch["inv_K/0"])
                pixels = project(points, batch["K/0"], T, height, width)
                source = batch[f"color/{f}/0"]
                source.stop_gradient = False  # otherwise the backward pass of F.grid_sample crashes in Paddle
                warped = F.grid_sample(source, pixels, padding_mode="border", align_corners=True)
                errors.append(photometric_error(warped, target))
                unwarped.append(photometric_error(source.detach(), target))
            unwarped = paddle.concat(unwarped, axis=1)
            unwarped = unwarped + paddle.randn(unwarped.shape) * self.tie_breaking_noise
            to_optimise = paddle.concat([unwarped, *errors], axis=1).min(axis=1)
            normalised = disp / (disp.mean(2, True).mean(3, True) + 1e-7)
            smoothness = smoothness_loss(normalised, batch[f"color/0/{scale}"])
            total = total + to_optimise.mean() + 1e-3 * smoothness / 2**scale
        return total / len(self.scales)


def back_project(depth: Tensor, inv_K: Tensor) -> Tensor:
    """Back-project depth (B, 1, H, W) to homogeneous points (B, 4, H * W) in the camera frame."""
    batch, _, height, width = depth.shape
    y, x = paddle.meshgrid(paddle.arange(height, dtype="float32"), paddle.arange(width, dtype="float32"))
    ones = paddle.ones([batch, 1, height * width])
    pixels = paddle.stack([x.flatten(), y.flatten(), ones[0, 0]]).unsqueeze(0).tile([batch, 1, 1])
    return paddle.concat([depth.reshape([batch, 1, -1]) * paddle.matmul(inv_K[:, :3, :3], pixels), ones], axis=1)


def project(points: Tensor, K: Tensor, T: Tensor, height: int, width: int) -> Tensor:
    """Project points (B, 4, H * W) to sampling coordinates (B, H, W, 2), in [-1, 1] inside the image."""
    camera = paddle.matmul(paddle.matmul(K, T)[:, :3, :], points)
    pixels = camera[:, :2, :] / (camera[:, 2, :].unsqueeze(1) + 1e-7)
    pixels = pixels.reshape([-1, 2, height, width]).transpose([0, 2, 3, 1])
    return (pixels / paddle.to_tensor([width - 1.0, height - 1.0]) - 0.5) * 2


def photometric_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute 0.85 (1 - SSIM) / 2 + 0.15 L1, averaged over the colour channels: (B, 1, H, W)."""
    l1_error = (target - prediction).abs().mean(1, True)
    x, y = (F.pad(image, [1, 1, 1, 1], mode="reflect") for image in (prediction, target))
    mean_x, mean_y = F.avg_pool2d(x, 3, 1), F.avg_pool2d(y, 3, 1)
    variance_x = F.avg_pool2d(x**2, 3, 1) - mean_x**2
    variance_y = F.avg_pool2d(y**2, 3, 1) - mean_y**2
    covariance = F.avg_pool2d(x * y, 3, 1) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
    denominator = (mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2)
    ssim_error = paddle.clip((1 - numerator / denominator) / 2, 0, 1)
    return 0.85 * ssim_error.mean(1, True) + 0.15 * l1_error


def smoothness_loss(disp: Tensor, image: Tensor) -> Tensor:
    """Compute the edge-aware smoothness loss, a scalar."""
    disp_x = (disp[:, :, :, :-1] - disp[:, :, :, 1:]).abs()
    disp_y = (disp[:, :, :-1, :] - disp[:, :, 1:, :]).abs()
    image_x = (image[:, :, :, :-1] - image[:, :, :, 1:]).abs().mean(1, keepdim=True)
    image_y = (image[:, :, :-1, :] - image[:, :, 1:, :]).abs().mean(1, keepdim=True)
    return (disp_x * (-image_x).exp()).mean() + (disp_y * (-image_y).exp()).mean()
