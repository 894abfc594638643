"""Corruptions: deterministic, ordered by severity, as strong as stated, and alike at all image sizes."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from common.registry import CORRUPTIONS
from datasets.corrupted_frames import CorruptedFrames
from datasets.corruption_strength import UNIT_PIXELS
from datasets.corruptions import (
    SEVERITIES,
    TRAINING_CORRUPTIONS,
    TRAINING_SEVERITIES,
    RandomCorruption,
    corrupt,
    frame_seed,
)
from datasets.lanczos import resize_lanczos
from datasets.transforms import load_frame

WITHOUT_CHANCE = {"brightness", "contrast", "defocus_blur", "zoom_blur", "color_quant", "pixelate", "jpeg_compression"}


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Image of smooth colours and sharp edges, 96x320, which leaves no corruption without effect."""
    rng = np.random.default_rng(5)
    image = cv2.resize(rng.integers(30, 200, (12, 40, 3), dtype=np.uint8), (320, 96), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        left, top = int(rng.integers(310)), int(rng.integers(90))
        image[top : top + 20, left : left + 12] = rng.integers(256, size=3)
    return image


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruption_is_deterministic_and_ordered(name, scene):
    intact, changes, results = scene.copy(), [], {}
    for severity in SEVERITIES:
        np.random.seed(severity)  # the global state has no influence
        results[severity] = corrupt(scene, name, severity, seed=3)
        changes.append(np.abs(results[severity].astype(int) - scene).mean())
        assert results[severity].dtype == np.uint8 and results[severity].shape == scene.shape
    assert (np.diff([0.2, *changes]) > 0).all(), changes
    np.testing.assert_array_equal(scene, intact)
    for severity in (4, 2):  # in another order
        np.testing.assert_array_equal(corrupt(scene, name, severity, seed=3), results[severity])
    other = corrupt(scene, name, 2, seed=4)
    assert np.array_equal(other, results[2]) == (name in WITHOUT_CHANCE)


def grey(value: int = 128, height: int = 375, width: int = 1242) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("name", "severity", "value", "mean", "deviation"),
    [
        ("brightness", 1, 100, 125.5, 0),
        ("contrast", 5, 100, 100, 0),
        ("color_quant", 5, 100, 127.5, 0),  # levels 0, 127.5 and 255
        ("gaussian_noise", 1, 128, 128, 0.08 * 255),
        ("shot_noise", 1, 128, 128, 255 * np.sqrt(128 / 255 / 60)),  # Poisson: the deviation is the root of the count
        ("impulse_noise", 2, 128, 128, 127.5 * np.sqrt(0.05)),
        ("defocus_blur", 5, 128, 128, 0),
        ("motion_blur", 5, 128, 128, 0),
        ("zoom_blur", 5, 128, 128, 0),
    ],
)
def test_strength_by_hand(name, severity, value, mean, deviation):
    """Of a grey image of KITTI's size, where nothing is clipped."""
    result = corrupt(grey(value), name, severity, seed=0).astype(float)
    assert abs(result.mean() - mean) < 0.6
    assert result.std() == pytest.approx(deviation, rel=0.03, abs=0.3)


@pytest.mark.parametrize("name", ["gaussian_noise", "impulse_noise", "shot_noise", "dark"])
def test_noise_of_a_small_image_is_that_of_a_large_one_reduced(name):
    def deviation(image: np.ndarray) -> float:
        return float(image.astype(float).std())

    large = cv2.resize(corrupt(grey(), name, 3, seed=1).astype(np.float32), (311, 94), interpolation=cv2.INTER_AREA)
    small = corrupt(grey(height=94, width=311), name, 3, seed=1)
    assert deviation(small) == pytest.approx(deviation(large), rel=0.15)


def test_blocks_and_blurs_follow_the_size():
    edge = grey(0)
    edge[:, 621:] = 255
    widths = {}
    for factor in (1, 3):
        image = cv2.resize(edge, (1242 // factor, 375 // factor), interpolation=cv2.INTER_AREA)
        row = corrupt(image, "defocus_blur", 5, seed=0)[60, :, 0]
        widths[factor] = int(((row > 3) & (row < 252)).sum())
    assert 35 < widths[1] < 47  # twice the radius of 23 pixels, without the ends
    assert widths[1] / 3 == pytest.approx(widths[3], abs=3)
    noise = np.random.default_rng(0).integers(256, size=(375, 1242, 3), dtype=np.uint8)
    blocks = corrupt(noise, "pixelate", 3, seed=0)
    assert len(np.unique(blocks[:, :, 0])) < 160 and (np.diff(blocks[:, :, 0].astype(int)) == 0).mean() > 0.85


@pytest.mark.parametrize(
    ("image", "name", "severity"),
    [
        (np.zeros((4, 4), np.uint8), "fog", 1),
        (np.zeros((4, 4, 3), np.float32), "fog", 1),
        (np.zeros((4, 4, 3), np.uint8), "mist", 1),
        (np.zeros((4, 4, 3), np.uint8), "fog", 6),
    ],
)
def test_wrong_arguments(image, name, severity):
    with pytest.raises(ValueError, match="expected"):
        corrupt(image, name, severity, seed=0)


def test_tiny_images():
    for name in CORRUPTIONS:
        assert corrupt(np.full((3, 5, 3), 90, np.uint8), name, 5, seed=0).shape == (3, 5, 3)
    assert UNIT_PIXELS == 375 * 1242


def test_training_draws():
    rng = np.random.default_rng(0)
    draws = [RandomCorruption.sample(rng, 0.3) for _ in range(3000)]
    drawn = [draw for draw in draws if draw]
    assert len(drawn) / len(draws) == pytest.approx(0.3, abs=0.03)
    assert {draw.name for draw in drawn} == set(TRAINING_CORRUPTIONS) <= set(CORRUPTIONS)
    assert {draw.severity for draw in drawn} == set(TRAINING_SEVERITIES)
    assert RandomCorruption.sample(rng, 1.0) and not RandomCorruption.sample(rng, 0.0)


def test_frames_of_a_split_are_corrupted_before_they_are_resized(make_dataset, line, tree):
    dataset = make_dataset([line(1), line(2, "r")], frame_ids=[0])
    frames = CorruptedFrames(dataset, ["fog", "pixelate"])
    assert len(frames) == 6 and [str(one) for one in frames.lines[2:4]] == [str(line(1)), str(line(2, "r"))]
    found = {i: frames[i, 0]["color/0/0"] for i in reversed(range(6))}
    for i, path in ((0, "image_02/data/0000000001.jpg"), (3, "image_03/data/0000000002.jpg")):
        file = next(tree.rglob(path))
        np.testing.assert_array_equal(found[i][0], load_frame(file, 32, 64).pixels)
        image, seed = np.asarray(Image.open(file)), zlib.crc32(str(frames.lines[i]).encode())
        assert seed == frame_seed(str(frames.lines[i]))
        for place, name in ((1, "fog"), (2, "pixelate")):
            assert found[i + place].shape == (5, 3, 32, 64)
            by_hand = resize_lanczos(Image.fromarray(corrupt(image, name, 4, seed)), 32, 64)
            np.testing.assert_array_equal(found[i + place][3], by_hand)
    assert frames.sample_bytes >= found[1].nbytes
