"""Supervision by known depth: a scale-invariant error of log depth, and its gradients for sharp edges."""

from collections.abc import Mapping, Sequence

import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.loss_term import TermResult, mean_over_scales
from layers.velocity_loss import METRES_PER_UNIT
from layers.view_synthesis import View

FARTHEST = 100.0  # metres; all depth beyond counts as this far
VARIANCE_FOCUS = 0.85  # lambda: share of an error common to all pixels that is forgiven
GRADIENT_WEIGHT = 0.5
GRADIENT_SCALES = 4


class DepthSupervisedLoss(nn.Layer):
    """Error of predicted depth, where the map "depth" knows it.

    Lambda is that of Lee et al., "From Big to Small", 2019, equation 5; Eigen et al., "Depth Map Prediction from a
    Single Image", NIPS 2014, equation 4, forgive half. Gradients are matched as by Li and Snavely, "MegaDepth", CVPR
    2018, equation 4.
    """

    def forward(self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor], views: Sequence[View]) -> TermResult:
        """Compare the views' depth with "map/depth" (B, 1, H, W), metres, 0 where unknown.

        Returns:
            The mean over scales, "loss/S", and the mean as the scalar "supervised_depth".
        """
        losses: dict[int, Tensor] = {}
        for view in views:
            depth = batch["map/depth"]
            if tuple(depth.shape[2:]) != view.frames.target.size:
                depth = F.interpolate(depth, size=list(view.frames.target.size), mode="nearest")
            known = (depth > 0).astype(depth.dtype)
            difference = view.depth.log() - (depth.clip(1e-3, FARTHEST) / METRES_PER_UNIT).log()
            gradients = gradient_error(difference, known)
            losses[view.scale] = scale_invariant_error(difference, known) + GRADIENT_WEIGHT * gradients
        loss, by_scale = mean_over_scales(losses)
        return TermResult(loss, {**by_scale, "supervised_depth": loss.detach()}, {})


def scale_invariant_error(difference: Tensor, known: Tensor) -> Tensor:
    """Return the mean over images of sqrt(mean(d ** 2) - lambda * mean(d) ** 2).

    Args:
        difference: (B, 1, H, W), of predicted and true log depth.
        known: (B, 1, H, W), 1 where the true depth is known, else 0. Images where none is count as 0.
    """
    count = known.sum(axis=[1, 2, 3]).clip(min=1.0)  # (B,)
    mean = (difference * known).sum(axis=[1, 2, 3]) / count
    mean_square = (difference * difference * known).sum(axis=[1, 2, 3]) / count
    # The constant keeps the gradient of the root finite.
    return ((mean_square - VARIANCE_FOCUS * mean * mean).clip(min=0.0) + 1e-6).sqrt().mean()


def gradient_error(difference: Tensor, known: Tensor) -> Tensor:
    """Return the mean absolute gradient of ``difference`` between known neighbours, summed over resolutions.

    Args:
        difference, known: as for ``scale_invariant_error``; each resolution keeps every second row and column.
    """
    total = 0.0
    for scale in range(GRADIENT_SCALES):
        step = 2**scale
        d, k = difference[:, :, ::step, ::step], known[:, :, ::step, ::step]
        across, down = k[:, :, :, 1:] * k[:, :, :, :-1], k[:, :, 1:] * k[:, :, :-1]
        steps = ((d[:, :, :, 1:] - d[:, :, :, :-1]).abs() * across).sum()
        steps = steps + ((d[:, :, 1:] - d[:, :, :-1]).abs() * down).sum()
        total = total + steps / k.sum().clip(min=1.0)
    return total
