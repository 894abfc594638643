"""What makes a prediction metric by the camera's known height above the road."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from common.errors import DataError
from evaluation.metrics.road_plane import find_road

if TYPE_CHECKING:  # it imports Paddle, which nobody needs to be told of a mistyped option
    from inference.depth_predictor import Prediction


class RoadScale:
    """Scales predictions so that the camera is ``camera_height`` metres above the road that is found in them.

    Each picture has a scale of its own, since the networks' varies from picture to picture.

    Args:
        camera_height: metres.
        keep: of a video: where no road is found, take the scale of the frame before.
    """

    def __init__(self, camera_height: float, keep: bool) -> None:
        self._camera_height, self._keep = camera_height, keep
        self._last: float | None = None  # metres in a scene unit

    def __call__(self, prediction: "Prediction", K: np.ndarray, name: str) -> "Prediction":
        """The prediction with depth in metres.

        Args:
            prediction: of (H, W); its depth may have any unit.
            K: (3, 3), pixels of the prediction.
            name: of the picture, for the error.

        Raises:
            DataError: no road is found, and no scale kept.
        """
        road = find_road(1 / prediction.scaled_disp, K)
        if road is not None:
            self._last = self._camera_height / road.height
        elif self._last is None or not self._keep:
            raise DataError(f"In {name} no road is found, which --camera_height needs: --scale gives it a fixed scale.")
        return replace(prediction, depth=np.float32(self._last) / prediction.scaled_disp, metric=True)
