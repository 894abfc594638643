"""Metric scale from known speed: the predicted translation should be as long as the distance driven.

Guizilini et al., "3D Packing for Self-Supervised Monocular Depth Estimation", CVPR 2020, the velocity supervision loss.
"""

from collections.abc import Mapping, Sequence

import paddle
from paddle import Tensor, nn

from layers.loss_term import TermResult
from layers.view_synthesis import FrameId, View

# As for stereo training, where the baseline sets the scale: depths are then well within the default depth range, and
# the first motions of the pose network have the right order of magnitude.
METRES_PER_UNIT = 5.4


class VelocitySupervisedLoss(nn.Layer):
    """Difference between the lengths of predicted and known motions.

    Args:
        source_frames: the temporal sources.
    """

    def __init__(self, source_frames: Sequence[FrameId]) -> None:
        super().__init__()
        self.source_frames = tuple(source_frames)

    def forward(self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor], views: Sequence[View]) -> TermResult:
        """Compare "T_target_to_source/F" (B, 4, 4) with "displacement/F" (B,), metres, NaN where unknown.

        Returns:
            The loss in metres, also as the scalar "velocity".
        """
        velocity = velocity_loss(
            {f: outputs[f"T_target_to_source/{f}"] for f in self.source_frames},
            {f: batch[f"displacement/{f}"] for f in self.source_frames},
        )
        return TermResult(velocity, {"velocity": velocity}, {})


def velocity_loss(transforms: Mapping[FrameId, Tensor], displacement: Mapping[FrameId, Tensor]) -> Tensor:
    """Return the mean difference between the lengths of predicted and known motions, metres; 0 where none is known.

    Args:
        transforms: source -> T_target_to_source (B, 4, 4), scene units.
        displacement: source -> (B,) metres, NaN where unknown.
    """
    lengths = paddle.stack([T[:, :3, 3].norm(axis=1) for T in transforms.values()])  # (sources, B)
    known = paddle.stack([displacement[f] for f in transforms])
    missing = known.isnan()
    difference = (METRES_PER_UNIT * lengths - paddle.where(missing, paddle.zeros_like(known), known)).abs()
    kept = 1.0 - missing.astype(difference.dtype)
    return (difference * kept).sum() / kept.sum().clip(min=1.0)
