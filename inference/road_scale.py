"""Convert predictions to metres from the known height of the camera above the road."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from common.errors import DataError
from evaluation.metrics.road_plane import find_road

if TYPE_CHECKING:  # imports Paddle, which a mistyped option must not wait for
    from inference.depth_predictor import Prediction


class RoadScale:
    """Scales predictions so that the camera is ``camera_height`` metres above the road plane found in them.

    Each image has its own scale, because the scale of the networks varies between images.

    Args:
        camera_height: Height of the camera above the road, metres.
        keep: For videos: use the scale of the previous frame if no road is found.

    Attributes:
        last: Scale of the last prediction, metres per scene unit; None before the first.
    """

    def __init__(self, camera_height: float, keep: bool) -> None:
        self._camera_height, self._keep = camera_height, keep
        self.last: float | None = None

    def __call__(self, prediction: "Prediction", K: np.ndarray, name: str) -> "Prediction":
        """Return the prediction with depth in metres.

        Args:
            prediction: Prediction (H, W), depth in any unit.
            K: (3, 3) intrinsics, pixels of the prediction.
            name: Name of the image, for the error.

        Raises:
            DataError: No road is found, and there is no previous scale.
        """
        road = find_road(1 / prediction.scaled_disp, K)
        if road is not None:
            self.last = self._camera_height / road.height
        elif self.last is None or not self._keep:
            raise DataError(f"{name}: no road found, which --camera_height needs. Pass --scale for a fixed scale.")
        return replace(prediction, depth=np.float32(self.last) / prediction.scaled_disp, metric=True)
