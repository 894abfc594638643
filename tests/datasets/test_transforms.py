"""Image transforms compared with Pillow, intrinsics computed by hand."""

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from common.errors import DataError
from common.images import load_image
from datasets.lanczos import resize_lanczos
from datasets.transforms import (
    ColourJitter,
    ExtraMap,
    Window,
    crop_intrinsics,
    fit_map,
    image_to_array,
    load_frame,
    mirror,
    mirror_intrinsics,
    scale_intrinsics,
)

K = np.array([[100, 0, 60], [0, 90, 30], [0, 0, 1.0]])
NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


def _jitter(image, **strengths):
    """Apply only the given operations, in their order; return (H, W, 3)."""
    jitter = ColourJitter(**{**NEUTRAL, **strengths}, order=tuple(strengths))
    return jitter(image_to_array(image)).transpose(1, 2, 0).astype(int)


def _jitter_by_pillow(jitter, image):
    """Apply the same draw with Pillow, as the original implementation does."""
    for name in jitter.order:
        if name == "hue":
            hue, saturation, value = image.convert("HSV").split()
            turned = (np.asarray(hue).astype(int) + int(jitter.hue * 255)) % 256
            image = Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert("RGB")
        else:
            kinds = {"brightness": "Brightness", "contrast": "Contrast", "saturation": "Color"}
            image = getattr(ImageEnhance, kinds[name])(image).enhance(getattr(jitter, name))
    return np.asarray(image).transpose(2, 0, 1).astype(int)


def _plain(*colours):
    """Create an image with one pixel column per colour."""
    return Image.fromarray(np.tile(np.array(colours, dtype=np.uint8), (4, 1, 1)))


def _dot(x, y, height, width):
    """Create an image of a blurred bright dot centred at (x, y)."""
    rows, columns = np.mgrid[:height, :width]
    dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
    return Image.fromarray(np.repeat(dot[:, :, None], 3, axis=2).round().astype(np.uint8))


def _centre(array):
    weights = array[0].astype(float)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return (weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()


def test_grey_files_have_one_channel_and_others_three(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(image_to_array(load_image(tmp_path / "grey.png")), grey[None])
    for mode in ("RGB", "RGBA", "LA", "P", "1", "CMYK"):
        path = tmp_path / ("image.tiff" if mode == "CMYK" else "image.png")
        Image.fromarray(grey).convert(mode).save(path)
        with Image.open(path) as stored:
            expected = np.asarray(stored.convert("RGB")).transpose(2, 0, 1)
        np.testing.assert_array_equal(image_to_array(load_image(path)), expected, err_msg=mode)


@pytest.mark.parametrize("sample", ["kitti_sample", "kitti_sample_colour"])
@pytest.mark.parametrize("size", [(192, 640), (320, 1024)])
def test_real_frames_equal_pillows_lanczos(request, sample, size):
    """Grey files too, of which only one channel is resized: they have no chroma that could differ."""
    paths = sorted(request.getfixturevalue(sample).glob("*/*/image_02/data/*.jpg"))
    for path in paths[:: len(paths) // 4]:
        with Image.open(path) as image:
            original_size = image.height, image.width
            expected = np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS))
        frame = load_frame(path, *size)
        assert frame.original_size == original_size and len(frame.pixels) == {"L": 1, "RGB": 3}[load_image(path).mode]
        np.testing.assert_array_equal(np.broadcast_to(frame.pixels, (3, *size)), expected.transpose(2, 0, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_mirror_flips_left_to_right(channels):
    pixels = np.arange(channels * 4 * 6, dtype=np.uint8).reshape(channels, 4, 6)
    pixels.flags.writeable = False  # like cached frames
    np.testing.assert_array_equal(mirror(pixels), pixels[:, :, ::-1])


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_truncated_images_are_reported(tmp_path, write_image, extension):
    path = tmp_path / f"image{extension}"
    write_image(path, 0)
    data = path.read_bytes()
    for length in (0, 10, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=f"image{extension} cannot be read"):
            load_image(path)
    with pytest.raises(DataError, match=r"none\.png not found"):
        load_image(tmp_path / "none.png")


def test_scaled_intrinsics_by_hand():
    # (60 + 0.5) * 0.5 - 0.5 = 29.75; (30 + 0.5) * 0.25 - 0.5 = 7.125
    expected = [[50, 0, 29.75], [0, 22.5, 7.125], [0, 0, 1]]
    np.testing.assert_allclose(scale_intrinsics(K, (64, 128), (16, 64)), expected)
    np.testing.assert_array_equal(K[0], [100, 0, 60])


def test_mirrored_intrinsics_by_hand():
    np.testing.assert_allclose(mirror_intrinsics(K, 128), [[100, 0, 67], [0, 90, 30], [0, 0, 1]])


def test_intrinsics_project_to_the_resized_and_mirrored_image():
    X, Y, Z = -0.7, 0.2, 10.0
    x, y, _ = K @ [X / Z, Y / Z, 1]
    array = resize_lanczos(_dot(x, y, 64, 128), 32, 48)
    scaled = scale_intrinsics(K, (64, 128), (32, 48))
    np.testing.assert_allclose(_centre(array), (scaled @ [X / Z, Y / Z, 1])[:2], atol=0.02)
    mirrored = mirror_intrinsics(scaled, 48)
    np.testing.assert_allclose(_centre(array[:, :, ::-1]), (mirrored @ [-X / Z, Y / Z, 1])[:2], atol=0.02)


def test_cropped_intrinsics_by_hand():
    # x: the left quarter is cut off, 0.5 of the width remains: (60 + 0.5 - 32) / 0.5 - 0.5 = 56.5
    # y: 0.25 of the height remains, from 0.5 on: (30 + 0.5 - 32) / 0.25 - 0.5 = -6.5
    cropped = crop_intrinsics(K, Window(0.25, 0.5, 0.5, 0.25), (64, 128))
    np.testing.assert_allclose(cropped, [[200, 0, 56.5], [0, 360, -6.5], [0, 0, 1]])


@pytest.mark.parametrize("window", [Window(0.21, 0.13, 0.6, 0.7), Window(0.1, 0.02, 0.83, 0.92)], ids=str)
def test_intrinsics_project_to_the_cropped_and_mirrored_image(tmp_path, window):
    X, Y, Z = -0.7, 0.2, 10.0
    x, y, _ = K @ [X / Z, Y / Z, 1]
    _dot(x, y, 64, 128).save(tmp_path / "dot.png")
    frame = load_frame(tmp_path / "dot.png", 48, 96, window)
    assert frame.original_size == (64, 128) and frame.pixels.shape == (3, 48, 96)
    scaled = scale_intrinsics(K, (64, 128), (48, 96))
    expected = (crop_intrinsics(scaled, window, (48, 96)) @ [X / Z, Y / Z, 1])[:2]
    np.testing.assert_allclose(_centre(frame.pixels), expected, atol=0.1)  # the dot's tail is cut off
    mirrored = crop_intrinsics(mirror_intrinsics(scaled, 96), window.mirrored(), (48, 96))
    np.testing.assert_allclose((mirrored @ [-X / Z, Y / Z, 1])[:2], [95 - expected[0], expected[1]])


def test_windows_cover_the_given_areas_and_shapes_and_stay_inside():
    rng = np.random.default_rng(0)
    windows = [Window.sample(rng, 0.4, 1.5) for _ in range(2000)]
    areas = np.array([w.width * w.height for w in windows])
    factors = np.array([w.width / w.height for w in windows])
    assert 0.39 < areas.min() < 0.42 and areas.max() > 0.97
    assert 1 / 1.51 < factors.min() < 1 / 1.45 and 1.45 < factors.max() < 1.51
    assert all(w.left >= 0 and w.top >= 0 and w.left + w.width <= 1 and w.top + w.height <= 1 for w in windows)
    assert min(w.left for w in windows) < 0.01 and max(w.left + w.width for w in windows) > 0.99
    assert {Window.sample(rng, 1.0, 1.0) for _ in range(5)} == {Window(0.0, 0.0, 1.0, 1.0)}


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_maps_are_cropped_like_their_image(interpolation):
    y, x = np.mgrid[:30, :80].astype(np.float32)
    values = ExtraMap(np.stack([x, 3 * y]), interpolation)
    whole = fit_map(values, 12, 40, window=Window(0, 0, 1, 1))
    np.testing.assert_allclose(whole, fit_map(values, 12, 40), atol=1e-4)
    window = Window(0.25, 0.4, 0.5, 0.5)
    cropped, mirrored = fit_map(values, 12, 40, False, window), fit_map(values, 12, 40, True, window)
    assert cropped.dtype == np.float32 and cropped.shape == (2, 12, 40)
    columns = 20 + (np.arange(40) + 0.5) * 40 / 40  # pixel borders: 20 to 60 of 80
    rows = 12 + (np.arange(12) + 0.5) * 15 / 12
    if interpolation == "nearest":
        columns, rows = np.floor(columns), np.floor(rows)
    else:
        columns, rows = columns - 0.5, rows - 0.5
    np.testing.assert_allclose(cropped[0], np.tile(columns, (12, 1)), atol=1e-4)
    np.testing.assert_allclose(cropped[1], np.tile(3 * rows[:, None], (1, 40)), atol=1e-4)
    np.testing.assert_array_equal(mirrored, cropped[:, :, ::-1])


def test_brightness_contrast_and_saturation_by_hand():
    image = _plain((100, 50, 20), (200, 250, 0))
    np.testing.assert_array_equal(_jitter(image, brightness=1.2)[0], [[120, 60, 24], [240, 255, 0]])
    # Grey is 0.299 R + 0.587 G + 0.114 B: 61.53 and 206.55, stored as 62 and 207; their mean is 134.5.
    np.testing.assert_allclose(_jitter(image, saturation=0.0)[0], [[62] * 3, [207] * 3], atol=1)
    np.testing.assert_allclose(_jitter(image, saturation=0.5)[0, 0], [81, 56, 41], atol=1)
    np.testing.assert_array_equal(_jitter(image, contrast=0.0), np.full((4, 2, 3), 135))


def test_hue_rotates_the_colour_circle():
    colours = [(200, 40, 30), (20, 90, 180), (70, 160, 60)]
    for shift in (-0.1, 0.05, 0.1):
        for colour, turned in zip(colours, _jitter(_plain(*colours), hue=shift)[0], strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*(np.array(colour) / 255))
            expected = np.array(colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)) * 255
            np.testing.assert_allclose(turned, expected, atol=5)


def test_order_of_operations_is_respected():
    image = _plain((250, 50, 20), (90, 250, 0))
    bright_first = _jitter(image, brightness=1.2, saturation=0.8)
    bright = Image.fromarray(_jitter(image, brightness=1.2).astype(np.uint8))
    np.testing.assert_array_equal(bright_first, _jitter(bright, saturation=0.8))
    assert (bright_first != _jitter(image, saturation=0.8, brightness=1.2)).any()


def test_jitter_of_grey_images_equals_pillow(kitti_sample):
    rng = np.random.default_rng(0)
    paths = sorted(kitti_sample.glob("*/*/image_02/data/*.jpg"))[:3]
    for path in [*paths, *paths, *paths]:
        jitter, grey = ColourJitter.sample(rng), load_image(path)
        assert grey.mode == "L"
        expected = _jitter_by_pillow(jitter, grey.convert("RGB"))
        np.testing.assert_array_equal(np.broadcast_to(jitter(image_to_array(grey)), expected.shape), expected)


@pytest.mark.parametrize(
    ("strengths", "most", "mean"),
    [
        ({"brightness": 1.2}, 0, 0),
        ({"contrast": 0.8}, 0, 0),
        ({"saturation": 0.8}, 1, 0.25),
        ({"saturation": 1.2}, 1, 0.25),
        ({"hue": -0.1}, 16, 0.3),  # both quantise hues to about 256 steps, in different ways
        ({"hue": 0.1}, 16, 0.3),
        ({"hue": 0.1, "saturation": 1.2, "contrast": 1.2, "brightness": 0.8}, 20, 0.6),
        ({"brightness": 1.2, "contrast": 0.8, "saturation": 0.8, "hue": -0.1}, 20, 0.6),
    ],
    ids=str,
)
def test_jitter_of_colour_images_is_close_to_pillow(kitti_sample_colour, strengths, most, mean):
    """Limits are in grey levels, on real images."""
    jitter = ColourJitter(**{**NEUTRAL, **strengths}, order=tuple(strengths))
    for path in sorted(kitti_sample_colour.glob("*/*/image_02/data/*.jpg"))[::10]:
        image = load_image(path).resize((640, 192), Image.Resampling.LANCZOS)
        expected = _jitter_by_pillow(jitter, image)
        difference = abs(jitter(image_to_array(image)) - expected)
        assert difference.max() <= most and difference.mean() <= mean
        assert difference.mean() < 0.25 * abs(expected - image_to_array(image)).mean()  # effect of the jitter


def test_draws_cover_all_ranges_and_orders():
    rng = np.random.default_rng(0)
    draws = [ColourJitter.sample(rng) for _ in range(500)]
    for name, low, high in (("brightness", 0.8, 1.2), ("contrast", 0.8, 1.2), ("saturation", 0.8, 1.2)):
        values = [getattr(draw, name) for draw in draws]
        assert low <= min(values) < low + 0.01 and high - 0.01 < max(values) <= high
    hues = [draw.hue for draw in draws]
    assert -0.1 <= min(hues) < -0.095 and 0.095 < max(hues) <= 0.1
    assert len({draw.order for draw in draws}) == 24
