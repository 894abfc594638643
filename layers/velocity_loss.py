"""Metric scale from the known speed: the predicted motion is to be as long as the way that was driven.

Guizilini et al., "3D Packing for Self-Supervised Monocular Depth Estimation", CVPR 2020, the velocity supervision loss.
"""

from collections.abc import Hashable, Mapping

import paddle
from paddle import Tensor

from layers.self_supervised_loss import SelfSupervisedLoss

# Of a scene unit, as where stereo pairs set the scale: depths then lie well within the range that disparity spans, and
# the pose network's first motions are not far off.
METRES_PER_UNIT = 5.4


class MetricLoss(SelfSupervisedLoss):
    """The self-supervised loss and, times ``velocity_weight``, how far the motions' lengths are from the known ones.

    Args:
        velocity_weight: of a metre.
        See ``SelfSupervisedLoss`` for the others.
    """

    def __init__(self, *args, velocity_weight: float, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.velocity_weight = velocity_weight

    def forward(self, batch: Mapping, outputs: Mapping) -> tuple[dict[str, Tensor], dict[Hashable, Tensor]]:
        """As `SelfSupervisedLoss.forward`; of the batch also ("travel", f) (B,) in metres, NaN where it is not known.

        Among the scalars are "velocity", metres, and its part in "loss".
        """
        losses, maps = super().forward(batch, outputs)
        velocity = velocity_loss(
            {f: outputs["cam_T_cam", 0, f] for f in self.source_frames},
            {f: batch["travel", f] for f in self.source_frames},
        )
        return {**losses, "loss": losses["loss"] + self.velocity_weight * velocity, "velocity": velocity}, maps


def velocity_loss(transforms: Mapping[Hashable, Tensor], travel: Mapping[Hashable, Tensor]) -> Tensor:
    """Mean difference between the lengths of predicted and known motions: a scalar, metres; 0 where none is known.

    Args:
        transforms: source -> T_target_to_source (B, 4, 4), scene units.
        travel: source -> (B,) metres, NaN where it is not known.
    """
    lengths = paddle.stack([T[:, :3, 3].norm(axis=1) for T in transforms.values()])  # (sources, B)
    known = paddle.stack([travel[f] for f in transforms])
    missing = known.isnan()
    difference = (METRES_PER_UNIT * lengths - paddle.where(missing, paddle.zeros_like(known), known)).abs()
    kept = 1.0 - missing.astype(difference.dtype)
    return (difference * kept).sum() / kept.sum().clip(min=1.0)
