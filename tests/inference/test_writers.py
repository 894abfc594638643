"""Written files, read back with other libraries."""

import io
import json
import struct

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
        WRITERS[kind].write(stream, PredictedImage(image, Prediction(1 / DEPTH, DEPTH, metric, DEPTH / 2), K))
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


@pytest.mark.parametrize(("metric", "unit"), [(True, "metres"), (False, "scene units")])
def test_binary_gltf(written, metric, unit):
    """Parsed by hand from the specification of glTF 2.0."""
    content = written("glb", metric)
    magic, version, length, json_length, json_kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, length, json_kind) == (b"glTF", 2, len(content), b"JSON") and json_length % 4 == 0
    document = json.loads(content[20 : 20 + json_length])
    binary_length, binary_kind = struct.unpack_from("<I4s", content, 20 + json_length)
    assert binary_kind == b"BIN\0" and binary_length == document["buffers"][0]["byteLength"] == 6 * (12 + 8)
    binary = content[28 + json_length :]
    primitive = document["meshes"][0]["primitives"][0]
    assert primitive["mode"] == 0 and document["meshes"][0]["extras"]["unit"] == unit
    arrays = {}
    for name, kind, width in (("POSITION", "<f4", 3), ("COLOR_0", "<u2", 4)):
        accessor = document["accessors"][primitive["attributes"][name]]
        view = document["bufferViews"][accessor["bufferView"]]
        arrays[name] = np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
    x, y, z = arrays["POSITION"].T
    np.testing.assert_allclose(x, [-0.75, 0, 35, -0.000005, 0, 150], rtol=1e-6)
    np.testing.assert_allclose(y, [0.1875, 0.25, 8.75, -0.00000125, -0.37505, -37.5], rtol=1e-6)
    np.testing.assert_allclose(z, -DEPTH.ravel(), rtol=1e-6)
    assert document["accessors"][0]["min"] == arrays["POSITION"].min(axis=0).tolist()
    # sRGB 3 / 255 is in the linear part: divided by 12.92; the fourth component is opaque.
    assert arrays["COLOR_0"][1, 0] == round(3 / 255 / 12.92 * 65535) and (arrays["COLOR_0"][:, 3] == 65535).all()


def test_uncertainty(written):
    """As an array, and as a picture: the image, then dark where it is certain and bright where it is not."""
    np.testing.assert_array_equal(np.load(io.BytesIO(written("uncertainty_npy"))), DEPTH / 2)
    picture = cv2.imdecode(np.frombuffer(written("uncertainty"), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(picture[:, :3].ravel(), np.arange(18))
    brightness = picture[:, 3:].sum(axis=2)
    assert brightness[1, 0] == brightness.min() and brightness[1, 2] == brightness.max() and picture.shape == (2, 6, 3)
