"""16-bit depth maps, compared with OpenCV's decoder."""

import cv2
import numpy as np
import pytest

from datasets.depth_maps import FAST, SMALL, encode_depth_png, read_depth_map

DEPTH = np.array([[0, 1e-6, 1.5], [2, 255.996, 1000]], np.float32)


@pytest.mark.parametrize("compress_level", [FAST, SMALL])
@pytest.mark.parametrize(
    ("steps", "expected"), [(256, [[0, 1, 384], [512, 65535, 65535]]), (1000, [[0, 1, 1500], [2000, 65535, 65535]])]
)
def test_encoding_keeps_unknown_pixels_unknown(steps, expected, compress_level):
    content = encode_depth_png(DEPTH, steps, compress_level)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.dtype == np.uint16 and decoded.tolist() == expected


def test_round_trip_of_every_step(tmp_path):
    depth = (np.arange(65536, dtype=np.float32) / 256).reshape(256, 256)
    path = tmp_path / "depth.png"
    path.write_bytes(encode_depth_png(depth))
    np.testing.assert_array_equal(read_depth_map(path), depth)
    assert read_depth_map(tmp_path / "absent.png") is None
