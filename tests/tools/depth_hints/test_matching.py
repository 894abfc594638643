"""Stereo matching on rendered pairs with known depth; its error equals the one of training."""

import cv2
import numpy as np
import paddle
import pytest

from layers.photometric import TargetStatistics
from layers.photometric import photometric_error as photometric_error_of_training
from tools.depth_hints.matching import fused_disparity, match, matcher_settings, photometric_error, warp
from tools.synthetic.kitti_tree import STEREO_BASELINE
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import Street
from tools.synthetic.textures import build_atlas

HEIGHT, WIDTH = 128, 416


@pytest.fixture(scope="module")
def pair():
    """The images of a rendered pair, and the true disparity of the left one (0 in the sky)."""
    camera, street = PinholeCamera.like_kitti(HEIGHT, WIDTH), Street((7, 0), 3)
    renderer = StreetRenderer(street, build_atlas(0), camera)
    pose = street.poses[1]
    other = pose.copy()
    other[:3, 3] += STEREO_BASELINE * pose[:3, 0]
    left, right = renderer.render(1, pose), renderer.render(1, other)
    truth = np.where(left.depth > 0, camera.K[0, 0] * STEREO_BASELINE / np.maximum(left.depth, 1e-3), 0)
    return left.color, right.color, truth


def test_12_settings_on_kitti_and_fewer_on_small_images():
    expected = [(block, number) for number in (64, 96, 128, 160) for block in (1, 2, 3)]
    for width in (1242, 1226):
        assert matcher_settings(width) == expected
    assert matcher_settings(416) == [(block, number) for number in (16, 32, 48) for block in (1, 2, 3)]


def test_fused_disparity_is_the_true_one(pair):
    left, right, truth = pair
    disparity = fused_disparity(left, right)
    known = (disparity > 0) & (truth > 0)
    assert known.mean() > 0.6 * (truth > 0).mean()
    error = abs(disparity - truth)[known]
    assert np.median(error) < 0.35 and (error < 1).mean() > 0.85


def test_fusing_covers_more_and_explains_better_than_one_setting(pair):
    left, right, _ = pair
    fused, single = fused_disparity(left, right), match(left, right, 3, 32)
    assert (fused > 0).mean() > (single > 0).mean()
    target, source = (image.astype(np.float32) / 255 for image in (left, right))
    both = (fused > 0) & (single > 0)
    errors = [photometric_error(warp(source, disparity), target)[both].mean() for disparity in (fused, single)]
    assert errors[0] < errors[1]


def test_mirrored_pair_gives_the_mirrored_right_image(pair):
    """Seen in a mirror, the right camera is the left one."""
    left, right, _ = pair
    disparity = fused_disparity(right[:, ::-1].copy(), left[:, ::-1].copy())[:, ::-1]
    warped = cv2.remap(left, *_shifted(disparity, 1), cv2.INTER_LINEAR)
    known = disparity > 0
    unshifted = abs(left.astype(float) - right).mean(axis=2)[known].mean()
    assert abs(warped.astype(float) - right).mean(axis=2)[known].mean() < 0.5 * unshifted


def _shifted(disparity, sign):
    rows, columns = np.indices(disparity.shape, dtype=np.float32)
    return (columns + sign * disparity).astype(np.float32), rows


@pytest.mark.parametrize("channels", [1, 3])
def test_error_equals_that_of_training(channels):
    images = np.random.default_rng(0).random((2, channels, 12, 17), dtype=np.float32)
    ours = photometric_error(*(image.transpose(1, 2, 0).squeeze() for image in images))
    prediction, target = (paddle.to_tensor(image[None]) for image in images)
    theirs = photometric_error_of_training(prediction, TargetStatistics(target)).numpy()[0, 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
