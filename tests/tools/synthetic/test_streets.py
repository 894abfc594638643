"""The varied world: reproducible, exact, readable as KITTI; and the plain world's bytes, which it must not change."""

from dataclasses import replace

import numpy as np
import pytest

from datasets.build import build_dataset
from datasets.checks import check_split
from datasets.splits import find_split, read_split_lines
from tools.synthetic.raster import Solids
from tools.synthetic.shapes import Shapes
from tools.synthetic.streets.builder import Builder
from tools.synthetic.streets.effects import Optics, photograph
from tools.synthetic.streets.materials import MATERIALS
from tools.synthetic.streets.scene import Scene
from tools.synthetic.streets.shadows import Shadows
from tools.synthetic.streets.vehicles import KINDS, add_vehicle, vehicle_size
from tools.synthetic.streets.world import CAMERAS, StreetsWorld
from tools.synthetic.world import World, generate

WORLD = StreetsWorld(height=64, width=96, frames=12, seed=3)
# Mean green of 16x16 pixels of a frame of the plain world, from before the varied one was added.
PLAIN_GREEN = [
    [214, 199, 196, 212, 97, 104],
    [92, 96, 140, 129, 71, 49],
    [96, 94, 98, 84, 112, 124],
    [108, 108, 105, 100, 110, 107],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("streets") / "world"
    assert generate(WORLD, out, num_workers=0)
    return out


def test_the_plain_world_is_unchanged():
    world = World(height=64, width=96, frames=9, seed=0)
    renderer = world.renderer(0)
    color = renderer.render(1, renderer.street.poses[1]).color
    np.testing.assert_array_equal(color[..., 1].reshape(4, 16, 6, 16).mean(axis=(1, 3)).round(), PLAIN_GREEN)
    assert world.manifest == {"version": 1, "height": 64, "width": 96, "frames": 9, "seed": 0}


def test_frames_are_reproducible_and_sorted_into_parts(folder, tmp_path):
    WORLD.write_frame(tmp_path, WORLD.renderer(1), 1, 2)
    images = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(images) == 2  # the image and its depth
    assert all((tmp_path / name).read_bytes() == (folder / name).read_bytes() for name in images)
    scenes = []
    for part in ("train", "val", "test"):
        lines = read_split_lines(find_split("synthetic", str(folder)), part)
        data = build_dataset(
            "kitti_depth", str(folder), lines, height=64, width=96, frame_ids=(0,), scales=(0,), train=False
        )
        assert not check_split(data, part).dropped and len(data) == 4
        scenes.append({line.folder for line in lines})
        np.testing.assert_allclose(data[0]["K/0"][:3, :3], WORLD.cameras[len(scenes) - 1].K, rtol=1e-5)
    assert len(set.union(*scenes)) == 3
    assert len({camera.K[0, 0] for camera in WORLD.cameras}) == CAMERAS - CAMERAS // 4 + 1


def test_depth_is_that_of_the_ground_under_the_camera():
    """A pixel whose ray meets the ground first sees it at the distance of the plane z = 0."""
    renderer = WORLD.renderer(0)
    pose, K = renderer.scene.poses[0], renderer.camera.K
    view = renderer.render(0, pose)
    y, x = np.mgrid[:64, :96]
    rays = np.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1], np.ones_like(x, float)], axis=2) @ pose[:3, :3].T
    down = rays[..., 2] < -1e-3
    plane = np.where(down, pose[2, 3] / np.where(down, -rays[..., 2], 1), np.inf)
    known = view.depth > 0
    assert (view.depth[known] <= plane[known] * 1.001 + 1e-3).all()  # nothing is below the ground
    assert np.mean(np.isclose(view.depth, plane, rtol=1e-3)) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_vehicles_fill_their_size_and_face_outwards(kind):
    rng, shapes = np.random.default_rng(1), Shapes(materials=MATERIALS)
    size = vehicle_size(rng, kind)
    add_vehicle(shapes, rng, kind, size, (0.0, 0.0), 0.0)
    corners = np.array(shapes.quads).reshape(-1, 3)
    # Mirrors reach 0.16 m further on both sides.
    assert np.ptp(corners, axis=0) == pytest.approx(size, rel=0.2) and corners[:, 2].min() > -0.12
    # Seen from the right, the silhouette is closed: some face with a normal to the right is in front everywhere.
    solids = Solids(shapes)
    middle = solids.quads.mean(axis=1)
    big = abs(np.cross(solids.quads[:, 1] - solids.quads[:, 0], solids.quads[:, 2] - solids.quads[:, 0])).sum(1) > 1
    outside = abs(middle[:, 1]) > size[1] * 0.45
    assert (np.sign(middle[:, 1]) == np.sign(solids.normals[:, 1]))[big & outside].all()


def test_cameras_are_outside_of_all_vehicles():
    for seed in range(12):
        scene = Scene((5, seed), 4)
        for x, y in scene.poses[:, :2, 3]:
            assert not any(a < x < c and b < y < d for a, b, c, d in scene._occupied)


def test_shadows_fall_away_from_the_sun_and_not_on_the_lit_side():
    shapes = Shapes(materials=MATERIALS)
    Builder(shapes, (20.0, 0.0), 0.0).box((-1, 1), (-1, 1), (0, 2), "wall0")
    shadows = Shadows(Solids(shapes), np.array([np.sqrt(0.5), 0, np.sqrt(0.5)]))  # 45 degrees, from ahead
    points = np.array([[18.0, 0, 0], [23.0, 0, 0], [21.05, 0, 1.0], [18.9, 0, 0.5], [16.0, 0, 0]])
    np.testing.assert_array_equal(shadows.lit(points), [0, 1, 1, 0, 1])


def test_haze_hides_what_is_far():
    renderer = WORLD.renderer(0)
    view = renderer.render(0, renderer.scene.poses[0])
    optics = Optics(np.random.default_rng(0))
    vars(optics).update(noise=0.0, blur=0.0, bloom=0.0, sharpen=0.0, vignette=0.0, is_grey=False, haze_color=np.ones(3))
    vars(optics).update(gain=1.0, haze=10.0)
    assert photograph(np.random.default_rng(0), optics, replace(view, depth=view.depth + 1)).std() < 40
    optics.is_grey = True
    assert np.ptp(photograph(np.random.default_rng(0), optics, view).astype(int), axis=2).max() <= 1
