"""Written files, read back with other libraries."""

import io

import cv2
import numpy as np
import pytest
from plyfile import PlyData

from inference.depth_predictor import Prediction
from inference.writers import WRITERS, PredictedImage

DEPTH = np.array([[1.5, 2.0, 70.0], [0.00001, 3.0004, 300.0]], np.float32)
K = np.array([[2.0, 0, 1.0], [0, 4.0, 0.5], [0, 0, 1]])


@pytest.fixture
def written():
    """Kind -> written bytes of DEPTH, metric or not."""
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)

    def written(kind, metric=True):
        stream = io.BytesIO()
        WRITERS[kind].write(stream, PredictedImage(image, Prediction(1 / DEPTH, DEPTH, metric), K))
        return stream.getvalue()

    return written


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("depth_png", [[384, 512, 17920], [1, 768, 65535]]), ("depth_mm", [[1500, 2000, 65535], [1, 3000, 65535]])],
)
def test_16_bit_pngs(written, kind, expected):
    depth = cv2.imdecode(np.frombuffer(written(kind), np.uint8), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    np.testing.assert_array_equal(depth, expected)


def test_point_clouds(written):
    ply = PlyData.read(io.BytesIO(written("ply")))
    assert "metres" in ply.comments[0] and not ply.text
    points = ply["vertex"].data
    assert points.dtype.names == ("x", "y", "z", "red", "green", "blue") and len(points) == 6
    # By hand: x = (column - 1) / 2 * depth, y = (row - 0.5) / 4 * depth.
    np.testing.assert_allclose(points["x"], [-0.75, 0, 35, -0.000005, 0, 150], rtol=1e-6)
    np.testing.assert_allclose(points["y"], [-0.1875, -0.25, -8.75, 0.00000125, 0.37505, 37.5], rtol=1e-6)
    np.testing.assert_allclose(points["z"], DEPTH.ravel(), rtol=1e-6)
    assert points["red"].tolist() == [0, 3, 6, 9, 12, 15] and points["blue"].tolist() == [2, 5, 8, 11, 14, 17]
    assert "scene units" in PlyData.read(io.BytesIO(written("ply", metric=False))).comments[0]
