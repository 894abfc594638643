"""Bars and overlays that are pasted on a moving scene."""

import cv2
import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from common.image_motion import small_grey
from tools.video_import.overlays import Box, cropped, find_bars, find_overlays, read_mask, sample_frames
from tools.video_import.sources import Source, SourceFrame

SIZE = (120, 240)


def draw_bonnet(image, number):
    cv2.ellipse(image, (120, 130), (150, 35), 0, 0, 360, 40, -1)
    image[112:] = 40


def draw_time(image, number):
    cv2.putText(image, f"2024-05-01 12:00:{number:02d}", (10, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 2)


def draw_bars(image, number):
    image[:18] = image[-18:] = 16


def draw_compressed_bars(image, number):
    image[:18] = image[-18:] = 16 + 4 * (number % 2)
    image[15:18] = image[-18:-15] = 12 + 14 * (number % 2)  # disturbed by the bright image next to them


class Scene(Source):
    """A texture that moves by four pixels per frame behind what ``draw`` draws; static if it does not move."""

    size, path = SIZE, "the scene"

    def __init__(self, draw=lambda image, number: None, step=4, count=40):
        texture = np.random.default_rng(0).integers(0, 256, (SIZE[0] // 6, 100), dtype=np.uint8)
        self.texture = cv2.resize(texture, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
        self.draw, self.step, self.times = draw, step, np.arange(count) / 10

    def read(self, indices, grey_width=None):
        for index in indices:
            image = np.ascontiguousarray(self.texture[:, index * self.step :][:, : SIZE[1]])
            self.draw(image, index)
            yield SourceFrame(index, image)


@pytest.mark.parametrize(
    ("draw", "inside", "outside"),
    [
        (draw_bonnet, [(110, 10), (105, 120), (118, 230)], [(60, 120), (80, 20)]),
        (draw_time, [(15, 14), (15, 80)], [(60, 14), (15, 225)]),
    ],
)
def test_overlays_are_found(draw, inside, outside):
    mask = find_overlays(sample_frames(Scene(draw)))
    assert all(mask[pixel] for pixel in inside) and not any(mask[pixel] for pixel in outside)
    image = np.zeros(SIZE, np.uint8)
    draw(image, 0)
    assert 0.8 < mask.mean() / (image > 0).mean() < (1.3 if draw is draw_bonnet else 3)


@pytest.mark.parametrize("scene", [Scene(), Scene(draw_time, step=0)], ids=["nothing fixed", "static camera"])
def test_scenes_without_overlays_have_no_mask(scene):
    assert find_overlays(sample_frames(scene)) is None


@pytest.mark.parametrize("draw", [draw_bars, draw_compressed_bars])
def test_bars_are_cropped_with_the_camera(draw):
    from datasets.cameras import Camera

    frames = sample_frames(Scene(draw))
    box = find_bars(frames, (240, 480))  # the full images have twice the size
    assert box == Box(38, 0, 164, 480)  # 36 rows, and 2 that mix bar and image
    camera = cropped(Camera.from_view(90, (240, 480), ""), box)
    assert camera.size == (164, 480)
    np.testing.assert_allclose(camera.K, [[240, 0, 239.5], [0, 240, 119.5 - 38], [0, 0, 1]])
    assert find_bars(sample_frames(Scene()), SIZE) is None


def test_mask_of_the_user(tmp_path):
    path = tmp_path / "mask.png"
    pixels = np.full(SIZE, 255, np.uint8)
    pixels[100:] = 0
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(read_mask(path, SIZE), pixels == 0)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros(SIZE), "black everywhere"),
        (np.full(SIZE, 255), "not black anywhere"),
        (np.zeros((50, 60)), "60x50, but the frames are 240x120"),
        (None, "cannot be read as an image"),
    ],
)
def test_unusable_masks_are_errors(tmp_path, pixels, words):
    path = tmp_path / "mask.png"
    if pixels is None:
        path.write_text("no image")
    else:
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    with pytest.raises(DataError, match=words):
        read_mask(path, SIZE)


def test_the_motorway_has_no_overlay(dashcam):
    """Sky, horizon, and the line at the side of the lane hardly change, but move with the car."""
    from tools.video_import.sources import open_source

    source = open_source(dashcam / "motorway.mp4")
    frames = [small_grey(frame.pixels, 320) for frame in source.read(range(0, 221, 10), 640)]
    assert find_overlays(frames) is None and find_bars(frames, source.size) is None
