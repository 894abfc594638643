"""Road plane in depth maps with known camera height: constructed, and from the synthetic world."""

import numpy as np
import pytest

from evaluation.metrics.road_plane import find_road
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import Street
from tools.synthetic.textures import build_atlas

K = np.array([[180.0, 0, 159.5], [0, 180.0, 44.0], [0, 0, 1]])
SIZE = (96, 320)


def plane_depth(height, pitch=0.0, roll=0.0, far=80.0):
    """Depth of a plane below a camera pitched down and rolled, in degrees; ``far`` above the horizon."""
    pitch, roll = np.radians([pitch, roll])
    normal = np.array([np.sin(roll), np.cos(roll) * np.cos(pitch), np.cos(roll) * np.sin(pitch)])
    rows, columns = np.indices(SIZE)
    x, y = (columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]
    slope = normal[0] * x + normal[1] * y + normal[2]
    return np.where(slope * far > height, height / np.maximum(slope, 1e-9), far), normal


@pytest.mark.parametrize(("height", "pitch", "roll"), [(1.65, 0, 0), (1.2, 8, 0), (2.5, -3, 4), (0.3, 15, -6)])
def test_height_and_tilt_of_a_plane(height, pitch, roll):
    depth, normal = plane_depth(height, pitch, roll)
    road = find_road(depth, K)
    assert road.height == pytest.approx(height, rel=1e-3) and road.support > 0.99
    np.testing.assert_allclose(road.normal, normal, atol=1e-3)


def test_noise_and_a_car_ahead():
    rng = np.random.default_rng(1)
    depth, normal = plane_depth(1.65, pitch=2)
    depth = depth * rng.normal(1, 0.02, SIZE)
    depth[30:75, 120:200] = 7.0  # a car: 40 % of the middle of the lower rows
    depth[rng.random(SIZE) < 0.1] = 0  # unknown
    road = find_road(depth, K)
    assert road.height == pytest.approx(1.65, rel=0.02)
    assert np.degrees(np.arccos(road.normal @ normal)) < 1
    scaled = find_road(depth / 5.4, K)  # in scene units
    assert scaled.height == pytest.approx(road.height / 5.4, rel=1e-6)


def test_no_road():
    columns = np.indices(SIZE)[1]
    assert find_road(np.full(SIZE, 6.0), K) is None  # a wall ahead
    side = 3.0 / np.maximum((columns - K[0, 2]) / K[0, 0], 0.02)
    assert find_road(side, K) is None
    assert find_road(np.zeros(SIZE), K) is None
    assert find_road(np.random.default_rng(0).uniform(1, 80, SIZE), K) is None


@pytest.mark.parametrize("seed", range(4))
def test_synthetic_world(seed):
    street, camera = Street((11, seed), 3), PinholeCamera.like_kitti(*SIZE)
    depth = StreetRenderer(street, build_atlas(0), camera).render(1, street.poses[1]).depth
    assert find_road(depth, camera.K).height == pytest.approx(street.poses[1][2, 3], rel=0.05)
