"""Proxy supervision by depth hints (Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019, section 3.2).

Stereo matching gives a depth for most pixels. Where it explains the other camera's image better than the prediction
does, the prediction is in a local minimum of the photometric error, and is pulled towards the hint.
"""

from collections.abc import Mapping, Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.loss_term import TermResult, mean_over_scales
from layers.photometric import photometric_error
from layers.view_synthesis import Frames, View

UNKNOWN_DEPTH = 1e3  # scene units, where there is no hint: the source is compared without shifting it


class DepthHintLoss(nn.Layer):
    """Log-L1 distance of depth to the hint, over pixels where the hint's reprojection error is the lower one.

    Both errors are those of the stereo source: a temporal source fits at any scale, and would hide a wrong one.

    Args:
        metres_per_unit: metres per scene unit; hints are in metres.
        use_ssim: as for ``ReprojectionLoss``.
    """

    def __init__(self, metres_per_unit: float, *, use_ssim: bool = True) -> None:
        super().__init__()
        self.metres_per_unit = metres_per_unit
        self.use_ssim = use_ssim

    def forward(self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor], views: Sequence[View]) -> TermResult:
        """Average over scales.

        Args:
            batch: "map/depth_hints" (B, 1, H, W), metres, 0 where unknown.
            outputs: not read.
            views: of every scale, with the stereo source "s".

        Returns:
            The loss and "loss/S" of each scale; the loss again as "depth_hints", and, of the first scale, the share of
            pixels that follow the hint as "hint_share".
        """
        hints: dict[int, tuple[Tensor, Tensor]] = {}
        losses: dict[int, Tensor] = {}
        for view in views:
            size = view.frames.scale
            if size not in hints:
                hints[size] = self._hint_and_error(batch["map/depth_hints"], view.frames)
            hint, error = hints[size]
            follows = self._follows(view, hint, error)
            losses[view.scale] = log_l1_loss(view.depth, hint, follows)
            if view is views[0]:
                share = follows.mean()
        loss, by_scale = mean_over_scales(losses)
        return TermResult(loss, {**by_scale, "depth_hints": loss.detach(), "hint_share": share}, {})

    @paddle.no_grad()
    def _hint_and_error(self, metres: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
        """Return the hint in scene units, 0 where unknown, and its reprojection error, each (B, 1, H, W)."""
        if tuple(metres.shape[2:]) != frames.target.size:
            metres = F.interpolate(metres, size=list(frames.target.size), mode="nearest")
        hint = metres / self.metres_per_unit
        depth = paddle.where(hint > 0, hint, paddle.full_like(hint, UNKNOWN_DEPTH))
        return hint, photometric_error(frames.synthesis.warp("s", depth), frames.target, self.use_ssim)

    @paddle.no_grad()
    def _follows(self, view: View, hint: Tensor, error: Tensor) -> Tensor:
        """Return a mask (B, 1, H, W), 1 where the hint is known and explains the stereo source better."""
        predicted = photometric_error(view.warped["s"], view.frames.target, self.use_ssim)
        return ((hint > 0) & (error < predicted)).astype(hint.dtype)


def log_l1_loss(depth: Tensor, hint: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of log(1 + |depth - hint|) over the pixels of a mask (B, 1, H, W); 0 if it is empty."""
    return ((1.0 + (depth - hint).abs()).log() * mask).sum() / mask.sum().clip(min=1.0)
