"""Metric depth from the camera's height above the road."""

import numpy as np
import pytest

from common.errors import DataError
from inference.depth_predictor import Prediction
from inference.road_scale import RoadScale

K = np.array([[180.0, 0, 159.5], [0, 180.0, 44.0], [0, 0, 1]])


def street(height):
    """Level road ``height`` scene units below the camera, and houses at 20 units."""
    slope = (np.indices((96, 320))[0] - K[1, 2]) / K[1, 1]
    depth = np.where(slope * 20 > height, height / np.maximum(slope, 1e-9), 20).astype(np.float32)
    return Prediction(1 / depth, depth, False)


WALL = Prediction(np.full((96, 320), 0.2, np.float32), np.full((96, 320), 5, np.float32), False)


@pytest.mark.parametrize("height", [0.3, 1.1])
def test_the_road_gives_the_scale(height):
    prediction = street(height)
    metres = RoadScale(1.65, keep=False)(prediction, K, "a.png")
    assert metres.metric and metres.depth.dtype == np.float32
    np.testing.assert_allclose(metres.depth, prediction.depth * 1.65 / height, rtol=1e-3)
    np.testing.assert_array_equal(metres.scaled_disp, prediction.scaled_disp)


def test_without_a_road_a_video_keeps_its_scale_and_an_image_fails():
    steady, single = RoadScale(1.5, keep=True), RoadScale(1.5, keep=False)
    with pytest.raises(DataError, match=r"frame 0: no road.*--scale"):
        steady(WALL, K, "frame 0")
    steady(street(0.5), K, "frame 1"), single(street(0.5), K, "1.png")
    np.testing.assert_allclose(steady(WALL, K, "frame 2").depth, 15, rtol=1e-3)
    with pytest.raises(DataError):
        single(WALL, K, "2.png")
