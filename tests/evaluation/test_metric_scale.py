"""Metric scale of a flat road by hand, and of the synthetic world's exact depth times an unknown factor."""

import numpy as np
import pytest

from evaluation.metric_scale import scale_from_distance, scale_from_height
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import CAMERA_HEIGHT, Street
from tools.synthetic.textures import build_atlas

UNIT = 2.7  # metres per scene unit, unknown to the code under test
K = np.array([[100.0, 0, 64], [0, 100, 20], [0, 0, 1]])


def test_flat_road_by_hand():
    below = (np.arange(64) - 20.0) / 100  # the ray's slope: a road 1.5 m below is met at 1.5 / slope
    depth = np.where(below > 0, 1.5 / np.where(below > 0, below, 1), 0) / UNIT
    depth = np.repeat(depth[:, np.newaxis], 128, axis=1)
    assert scale_from_height(depth, K, 1.5) == pytest.approx(UNIT, rel=1e-6)


def test_no_scale_without_a_road():
    assert scale_from_height(np.full((64, 128), 3.0), K, 1.5) is None  # a wall


@pytest.mark.parametrize("seed", range(4))
def test_rendered_depth_within_five_percent(seed):
    camera = PinholeCamera.like_kitti(96, 320)
    street = Street((11, seed), 3)
    depth = StreetRenderer(street, build_atlas(0), camera).render(1, street.poses[1]).depth
    assert scale_from_height(depth / UNIT, camera.K, CAMERA_HEIGHT) == pytest.approx(UNIT, rel=0.05)


def test_distance_is_measured_along_the_ray():
    depth = np.full((64, 128), 4.0)
    depth[30, 70] = 1000  # an outlier next to the measured pixel
    # At (100, 20) the ray is (0.36, 0, 1): 4 units along the axis are 4 * 1.0628 away.
    assert scale_from_distance(depth, K, (100, 20), 4 * np.hypot(0.36, 1) * UNIT) == pytest.approx(UNIT)
    assert scale_from_distance(depth, K, (71, 30), 4 * np.sqrt(1 + 0.07**2 + 0.1**2)) == pytest.approx(1.0)
    assert scale_from_distance(depth, K, (0, 0), 4 * np.sqrt(1 + 0.64**2 + 0.2**2)) == pytest.approx(1.0)
