"""PNGs hold the encoded pixels, as other decoders read them."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from common.png import encode_png

NOISE = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


@pytest.mark.parametrize(
    "image",
    [NOISE, NOISE[:1, :1], NOISE[:, 1:2], NOISE[:, ::2], np.full((300, 400, 3), 200, np.uint8)],
    ids=["noise", "one pixel", "one column", "not contiguous", "constant"],
)
def test_other_decoders_read_the_pixels(image):
    content = encode_png(image)
    with Image.open(io.BytesIO(content)) as found:
        found.load()
        assert (found.format, found.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(found), image)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded[..., ::-1], image)


def test_photos_are_compressed():
    """A gradient with noise of two bits, in less than half of its 8 bits."""
    columns = np.arange(200, dtype=np.uint8)[None, :, None]
    image = columns + np.random.default_rng(0).integers(0, 4, (100, 200, 3), np.uint8)
    assert len(encode_png(image)) < image.size / 2
