"""Supervision by relative inverse depth of any other model, up to scale and shift.

Ranftl et al., "Towards Robust Monocular Depth Estimation" (TPAMI 2022), section 5, equations 5 to 7: both maps are
aligned by their median and their mean absolute deviation from it, which are insensitive to single wrong pixels.
"""

from collections.abc import Mapping, Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.loss_term import TermResult, mean_over_scales
from layers.view_synthesis import View

SMALLEST_DEVIATION = 1e-6  # a map that deviates less is constant: it says nothing


class PseudoLabelLoss(nn.Layer):
    """Scale- and shift-invariant distance of the disparity to a pseudo-label.

    Args:
        weight: factor of the loss.
        late_weight: factor from ``late_epoch`` on; None keeps ``weight``.
        late_epoch: epoch, counted from 0.
    """

    def __init__(self, weight: float, late_weight: float | None = None, late_epoch: int | None = None) -> None:
        super().__init__()
        self.weight = weight
        self.late_weight = weight if late_weight is None else late_weight
        self.late_epoch = late_epoch

    def forward(self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor], views: Sequence[View]) -> TermResult:
        """Average over scales.

        Args:
            batch: "map/pseudo_labels" (B, 1, H, W), inverse depth in any unit, constant where there is none; "epoch"
                (B,) in training if the weight changes. Without it, the late weight applies.
            outputs: "disp/S" (B, 1, H / 2**S, W / 2**S) for every scale.
            views: their scales are read.

        Returns:
            The weighted loss and "loss/S" of each scale; before the weight, the loss as "pseudo_labels".
        """
        label = batch["map/pseudo_labels"]
        loss, by_scale = mean_over_scales(
            {view.scale: scale_shift_loss(outputs[f"disp/{view.scale}"], label) for view in views}
        )
        weight = self._weight(batch)
        by_scale = {name: weight * value for name, value in by_scale.items()}
        return TermResult(weight * loss, {**by_scale, "pseudo_labels": loss.detach()}, {})

    def _weight(self, batch: Mapping[str, Tensor]) -> Tensor | float:
        if self.late_epoch is None or "epoch" not in batch:
            return self.late_weight
        # A tensor, not a number: a compiled step would keep that of its first batch.
        late = (batch["epoch"].max() >= self.late_epoch).astype("float32")
        return self.weight + late * (self.late_weight - self.weight)


def scale_shift_loss(disp: Tensor, label: Tensor) -> Tensor:
    """Return half the mean absolute difference of the aligned maps, over the samples whose label is not constant.

    Args:
        disp: (B, 1, h, w).
        label: (B, 1, H, W); if H and W are multiples of h and w, it is averaged to their size.
    """
    factors = [label.shape[2] // disp.shape[2], label.shape[3] // disp.shape[3]]
    if factors != [1, 1]:
        label = F.avg_pool2d(label, factors, stride=factors)
    ours, _ = _aligned(disp)
    theirs, deviation = _aligned(label)
    known = (deviation > SMALLEST_DEVIATION).astype(disp.dtype)  # (B, 1)
    by_sample = (ours - theirs).abs().mean(axis=1, keepdim=True) / 2
    return (by_sample * known).sum() / known.sum().clip(min=1.0)


def _aligned(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B, h w) with median 0 and mean absolute deviation 1, and the deviation before, (B, 1)."""
    flat = values.flatten(start_axis=1)
    centred = flat - paddle.median(flat, axis=1, keepdim=True)
    deviation = centred.abs().mean(axis=1, keepdim=True)
    return centred / deviation.clip(min=SMALLEST_DEVIATION), deviation
