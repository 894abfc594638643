"""A training step in PyTorch (eager mode), a baseline of the step benchmark. Requires PyTorch.

Follows the paper as published code does: nothing is shared between scales.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.benchmarks.torch_network import DepthNetwork, Encoder

Batch = Mapping[str, Tensor]


class PoseNetwork(nn.Module):
    """ResNet18 encoder of image pairs and pose decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(num_images=2)
        shapes = [(512, 256, 1), (256, 256, 3), (256, 256, 3), (256, 12, 1)]
        self.net = nn.ModuleList(nn.Conv2d(i, o, size, padding=size // 2) for i, o, size in shapes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 6, H, W) -> axis angle and translation, each (B, 3)."""
        x = self.encoder(images)[-1]
        for convolution in self.net[:3]:
            x = F.relu(convolution(x))
        motion = 0.01 * self.net[3](x).mean(dim=(2, 3))
        return motion[:, :3], motion[:, 3:6]


def prepare_batch(raw: Batch, scales: Sequence[int], pyramid_of_sources: bool = False) -> dict[str, Tensor]:
    """Convert colours to float32 in [0, 1] and add the colour pyramid, as ``datasets.batch.prepare_batch``."""
    batch = {key: value / 255 if value.dtype == torch.uint8 else value for key, value in raw.items()}
    for key in [key for key in batch if key.startswith("color/") and (key == "color/0/0" or pyramid_of_sources)]:
        for scale in range(1, max(scales) + 1):
            frame = key.removesuffix("/0")
            batch[f"{frame}/{scale}"] = F.avg_pool2d(batch[f"{frame}/{scale - 1}"], 2)
    return batch


class TorchStep:
    """Forward pass, loss, backward pass and Adam update.

    Args:
        raw: Batch in the loader's format; converting it is part of a step, as in ours.
        source_frames: Frame offsets, and "s" for the other camera.
        scales: Scales of the loss.
        learning_rate: Of Adam.
        tie_breaking_noise: Standard deviation of the noise added to the identity reprojection errors.
    """

    def __init__(
        self,
        raw: Mapping[str, np.ndarray],
        source_frames: Sequence[int | str],
        scales: Sequence[int],
        learning_rate: float,
        tie_breaking_noise: float = 1e-5,
    ) -> None:
        self._raw = {key: torch.from_numpy(array) for key, array in raw.items()}
        self._source_frames, self._scales = tuple(source_frames), tuple(scales)
        self._noise = tie_breaking_noise
        self.depth, self.pose = DepthNetwork(self._scales), PoseNetwork()
        parameters = [*self.depth.parameters(), *self.pose.parameters()]
        self._optimizer = torch.optim.Adam(parameters, learning_rate)

    def __call__(self) -> float:
        """Run a step and return its loss."""
        loss = self.loss()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.item()

    def loss(self) -> Tensor:
        """Compute the minimum reprojection loss with auto-masking and smoothness (paper, section 3)."""
        batch = prepare_batch(self._raw, self._scales)
        disps = self.depth(batch["color_aug/0/0"])
        transforms = {f: batch["stereo_T"] if f == "s" else self._motion(batch, f) for f in self._source_frames}
        losses = [self._scale_loss(batch, scale, disps[scale], transforms) for scale in self._scales]
        return torch.stack(losses).mean()

    def _motion(self, batch: Batch, frame: int) -> Tensor:
        """Predict the (B, 4, 4) transform from the target to a source frame; pairs are in the order of time."""
        pair = [batch[f"color_aug/{f}/0"] for f in sorted((0, frame))]
        return _transform(*self.pose(torch.cat(pair, dim=1)), invert=frame < 0)

    def _scale_loss(self, batch: Batch, scale: int, disp: Tensor, transforms: Mapping[int | str, Tensor]) -> Tensor:
        target = batch["color/0/0"]
        full_disp = F.interpolate(disp, target.shape[2:], mode="bilinear", align_corners=False)
        points = _back_project(1 / (0.01 + 9.99 * full_disp), batch["inv_K/0"])
        warped, unwarped = [], []
        for f, T in transforms.items():
            source = batch[f"color/{f}/0"]
            pixels = _project(points, batch["K/0"], T, *target.shape[2:])
            warped.append(_photometric_error(_sample(source, pixels), target))
            unwarped.append(_photometric_error(source, target))
        identity = torch.cat(unwarped, dim=1)
        identity = identity + self._noise * torch.randn_like(identity)
        errors = torch.cat([identity, *warped], dim=1).min(dim=1).values
        normalised = disp / (disp.mean((2, 3), keepdim=True) + 1e-7)
        return errors.mean() + 1e-3 * _smoothness(normalised, batch[f"color/0/{scale}"]) / 2**scale


def _transform(axis_angle: Tensor, translation: Tensor, invert: bool) -> Tensor:
    """Build (B, 4, 4) transforms by Rodrigues' formula."""
    angle = axis_angle.norm(dim=1, keepdim=True)[..., None]
    x, y, z = (axis_angle / (angle[..., 0] + 1e-7)).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    outer = torch.stack([x, y, z], dim=1)
    outer = outer[:, :, None] * outer[:, None, :]
    rotation = angle.cos() * torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * outer
    translation = translation[..., None]
    if invert:
        rotation = rotation.transpose(1, 2)
        translation = -rotation @ translation
    last = torch.tensor([0.0, 0, 0, 1]).expand(len(rotation), 1, 4)
    return torch.cat([torch.cat([rotation, translation], dim=2), last], dim=1)


def _back_project(depth: Tensor, inv_K: Tensor) -> Tensor:
    """(B, 1, H, W) -> homogeneous points (B, 4, H * W)."""
    height, width = depth.shape[2:]
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    pixels = torch.stack([x.flatten(), y.flatten(), torch.ones(height * width)])
    points = depth.flatten(2) * (inv_K[:, :3, :3] @ pixels)
    return torch.cat([points, torch.ones_like(points[:, :1])], dim=1)


def _project(points: Tensor, K: Tensor, T: Tensor, height: int, width: int) -> Tensor:
    """(B, 4, H * W) -> sampling coordinates (B, H, W, 2)."""
    camera = (K @ T)[:, :3] @ points
    pixels = (camera[:, :2] / (camera[:, 2:] + 1e-7)).reshape(-1, 2, height, width).permute(0, 2, 3, 1)
    return (pixels / torch.tensor([width - 1.0, height - 1.0]) - 0.5) * 2


def _sample(source: Tensor, pixels: Tensor) -> Tensor:
    return F.grid_sample(source, pixels, padding_mode="border", align_corners=True)


def _photometric_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute 0.85 (1 - SSIM) / 2 + 0.15 L1, averaged over the colour channels: (B, 1, H, W)."""
    x, y = (F.pad(image, (1, 1, 1, 1), mode="reflect") for image in (prediction, target))
    mean_x, mean_y = _mean(x), _mean(y)
    variance_x, variance_y = _mean(x**2) - mean_x**2, _mean(y**2) - mean_y**2
    covariance = _mean(x * y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
    denominator = (mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2)
    ssim_error = ((1 - numerator / denominator) / 2).clamp(0, 1)
    return (0.85 * ssim_error + 0.15 * (target - prediction).abs()).mean(1, keepdim=True)


def _mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1)


def _smoothness(disp: Tensor, image: Tensor) -> Tensor:
    """Compute the edge-aware smoothness loss."""
    steps: list[Callable[[Tensor], Tensor]] = [lambda x: x.diff(dim=3).abs(), lambda x: x.diff(dim=2).abs()]
    return sum((step(disp) * (-step(image).mean(1, keepdim=True)).exp()).mean() for step in steps)
