"""Edge-aware smoothness of disparity (paper, section 3.1)."""

from collections.abc import Mapping, Sequence

from paddle import Tensor, nn

from layers.loss_term import TermResult, mean_over_scales
from layers.view_synthesis import View


class SmoothnessLoss(nn.Layer):
    """Edge-aware smoothness of the mean-normalised disparity, halved at each coarser scale (paper, eq. 3)."""

    def forward(self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor], views: Sequence[View]) -> TermResult:
        """Average over scales the smoothness of "disp/S", given the image "color/0/S"."""
        losses = {}
        for view in views:
            disp, image = outputs[f"disp/{view.scale}"], batch[f"color/0/{view.scale}"]
            losses[view.scale] = smoothness_loss(mean_normalised(disp), image) / 2**view.scale
        return TermResult(*mean_over_scales(losses), {})


def smoothness_loss(disp: Tensor, image: Tensor) -> Tensor:
    """Return the mean gradient of ``disp``, less where the image has an edge (Godard et al., 2017).

    Args:
        disp: (B, 1, H, W).
        image: (B, 3, H, W) in [0, 1], of the same size.

    Returns:
        A scalar.
    """
    loss = 0.0
    for axis in (2, 3):  # down, then right
        disp_step, image_step = _steps(disp, axis), _steps(image, axis)
        weight = (-image_step.mean(axis=1, keepdim=True)).exp()
        loss = loss + (disp_step * weight).mean()
    return loss


def mean_normalised(disp: Tensor) -> Tensor:
    """Divide ``disp`` (B, 1, H, W) by its mean over each image, so that shrinking all depth gains nothing."""
    return disp / (disp.mean(axis=[2, 3], keepdim=True) + 1e-7)


def _steps(x: Tensor, axis: int) -> Tensor:
    """Return the absolute differences of neighbours along ``axis``."""
    size = x.shape[axis]
    return (x.slice([axis], [0], [size - 1]) - x.slice([axis], [1], [size])).abs()
