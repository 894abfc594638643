"""Image motion of known shifts, and static frames."""

import cv2
import numpy as np
import pytest

from common.image_motion import STATIC_MOTION, measure_motion, small_grey, static_frames


@pytest.fixture
def pan():
    """Return a function that shifts a flat texture by a number of pixels; images are 192 pixels wide."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 256, (16, 300, 3), dtype=np.uint8), None, fx=4, fy=4)

    def move(pixels: float) -> np.ndarray:
        return cv2.warpAffine(texture, np.array([[1, 0, -pixels], [0, 1, 0]], dtype=float), (192, 64))

    return move


@pytest.mark.parametrize("share", [0.0, 0.0025, 0.005, 0.02])
def test_motion_is_a_fraction_of_the_width(pan, share):
    before, after = small_grey(pan(0)), small_grey(pan(192 * share))
    assert measure_motion(before, after) == pytest.approx(share, abs=0.0005)


def test_moving_object_before_a_static_camera_is_ignored(pan):
    before, after = pan(0), pan(0)
    before[24:48, 20:60] = after[24:48, 30:70] = 255
    assert measure_motion(small_grey(before), small_grey(after)) < STATIC_MOTION


def test_images_are_downscaled_but_not_upscaled():
    assert small_grey(np.zeros((375, 1242, 3), np.uint8)).shape == (97, 320)
    assert small_grey(np.zeros((64, 192, 3), np.uint8)).shape == (64, 192)


def test_frames_are_static_without_motion_before_and_after():
    moves, stands = 0.018, 0.001
    motions = [(0, None), (1, moves), (2, stands), (3, stands), (4, stands), (5, moves), (6, stands), (7, moves)]
    assert static_frames(motions) == {2, 3}
    assert static_frames([(0, None), (1, moves), (2, stands)]) == {2}
    assert static_frames(motions, 0.0005) == set()
