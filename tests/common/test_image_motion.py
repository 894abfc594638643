"""Motion that is known, and the frames in which there is none."""

import cv2
import numpy as np
import pytest

from common.image_motion import STATIC_MOTION, measure_motion, small_grey, static_frames


@pytest.fixture
def pan():
    """Moves a flat texture aside by so many pixels of images 192 wide."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 256, (16, 300, 3), dtype=np.uint8), None, fx=4, fy=4)

    def move(pixels: float) -> np.ndarray:
        return cv2.warpAffine(texture, np.array([[1, 0, -pixels], [0, 1, 0]], dtype=float), (192, 64))

    return move


@pytest.mark.parametrize("share", [0.0, 0.0025, 0.005, 0.02])
def test_motion_is_a_share_of_the_width(pan, share):
    before, after = small_grey(pan(0)), small_grey(pan(192 * share))
    assert measure_motion(before, after) == pytest.approx(share, abs=0.0005)


def test_what_passes_before_a_standing_camera_does_not_count(pan):
    before, after = pan(0), pan(0)
    before[24:48, 20:60] = after[24:48, 30:70] = 255
    assert measure_motion(small_grey(before), small_grey(after)) < STATIC_MOTION


def test_images_are_reduced_but_not_enlarged():
    assert small_grey(np.zeros((375, 1242, 3), np.uint8)).shape == (97, 320)
    assert small_grey(np.zeros((64, 192, 3), np.uint8)).shape == (64, 192)


def test_frames_are_static_where_nothing_moves_before_and_after():
    moves, stands = 0.018, 0.001
    motions = [(0, None), (1, moves), (2, stands), (3, stands), (4, stands), (5, moves), (6, stands), (7, moves)]
    assert static_frames(motions) == {2, 3}
    assert static_frames([(0, None), (1, moves), (2, stands)]) == {2}
    assert static_frames(motions, 0.0005) == set()
