"""Resizing compared with Pillow, to the last bit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from common.images import load_image
from datasets import lanczos
from datasets.lanczos import resize_lanczos


def _by_pillow(image, height, width):
    pixels = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    return np.atleast_3d(pixels).transpose(2, 0, 1)


def _noise(height, width, seed=0, mode="RGB"):
    """Create an image of extreme values, so that the filter overshoots in both directions."""
    values = np.random.default_rng(seed).choice([0, 1, 128, 254, 255], (height, width, len(mode))).astype(np.uint8)
    return Image.fromarray(values if mode == "RGB" else values[:, :, 0])


@pytest.fixture(params=["as it is", "in many strips and products"])
def pieces(request, monkeypatch):
    if request.param != "as it is":
        for name in ("STRIP_VALUES", "PRODUCT_LIMIT", "CROP_BYTES"):
            monkeypatch.setattr(lanczos, name, 5000)


@pytest.mark.parametrize(
    "size, new_size",
    [
        ((375, 1242), (192, 640)),
        ((370, 1226), (320, 1024)),
        ((192, 640), (375, 1242)),  # larger
        ((192, 640), (192, 640)),
        ((100, 640), (192, 640)),  # in one direction
        ((192, 700), (192, 640)),
        ((50, 30), (20, 60)),  # smaller and larger
        ((1000, 900), (7, 5)),
        ((1, 1), (3, 17)),
        ((2, 300), (1, 1)),
        ((303, 3), (100, 40)),
        ((300, 3), (100, 40)),
        ((303, 3), (400, 40)),
    ],
    ids=str,
)
def test_pixels_equal_pillows(size, new_size, pieces):
    for mode in ("RGB", "L"):
        image = _noise(*size, mode=mode)
        resized = resize_lanczos(image, *new_size)
        assert resized.dtype == np.uint8 and resized.flags.c_contiguous
        np.testing.assert_array_equal(resized, _by_pillow(image, *new_size), err_msg=mode)


def test_pixels_equal_pillows_for_any_sizes():
    rng = np.random.default_rng(0)
    for seed in range(100):
        height, width, new_height, new_width = rng.integers(1, 200, 4)
        image = _noise(height, width, seed)
        expected = _by_pillow(image, new_height, new_width)
        np.testing.assert_array_equal(resize_lanczos(image, new_height, new_width), expected)


def test_photos_equal_pillows(tree, kitti_sample_colour):
    for root in (tree, kitti_sample_colour):
        image = load_image(next(root.glob("*/*/image_02/data/*.jpg")))
        np.testing.assert_array_equal(resize_lanczos(image, 192, 640), _by_pillow(image, 192, 640))


def test_threads_do_not_share_memory():
    images = [_noise(200, 300 + seed, seed, "L") for seed in range(8)] * 4
    with ThreadPoolExecutor(4) as threads:
        resized = list(threads.map(lambda image: resize_lanczos(image, 96, 160), images))
    for image, pixels in zip(images, resized, strict=True):
        np.testing.assert_array_equal(pixels, _by_pillow(image, 96, 160))


@pytest.mark.parametrize(
    "mode, size, match", [("RGBA", (4, 4), "mode RGBA"), ("RGB", (0, 4), "4x0"), ("L", (4, 0), "0x4")]
)
def test_unsuitable_input_is_refused(mode, size, match):
    with pytest.raises(ValueError, match=match):
        resize_lanczos(Image.new(mode, (8, 8)), *size)
