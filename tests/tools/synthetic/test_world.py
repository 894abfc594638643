"""Written worlds are reproducible, and KITTI's readers read them correctly."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from datasets.build import build_dataset
from datasets.checks import check_split
from datasets.kitti_calibration import lidar_to_depth, rectified_intrinsics
from datasets.splits import find_split, read_split_lines
from tools.synthetic.kitti_tree import STEREO_BASELINE
from tools.synthetic.world import DATE, World, generate


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="session")
def dataset(world_dir):
    """Return a function: dataset name -> dataset of a part of the world, with neighbours and stereo."""

    def make(name="kitti", part="val", **kwargs):
        lines = read_split_lines(find_split("synthetic", str(world_dir)), part)
        options = {"height": 96, "width": 320, "frame_ids": (0, -1, 1, "s"), "scales": (0,), "train": False}
        return build_dataset(name, str(world_dir), lines, **{**options, **kwargs})

    return make


def test_output_depends_on_the_seed_and_not_on_the_workers(small_world, world_dir, tmp_path):
    generate(small_world, tmp_path / "again", num_workers=2)
    assert _digests(tmp_path / "again") == _digests(world_dir)
    other = World(height=96, width=320, frames=9, seed=4)
    generate(other, tmp_path / "other", num_workers=0)
    name = f"{small_world.drive_folder(0)}/image_02/data/0000000000.jpg"
    assert _digests(tmp_path / "other")[name] != _digests(world_dir)[name]


def test_parts_share_no_street_and_all_images_exist(world_dir, dataset, tmp_path):
    drives = []
    for part in ("train", "val", "test"):
        data = dataset(part=part)
        drives.append({line.folder for line in data.lines})
        assert len(data.lines) == (2 if part == "train" else 1)  # a drive has three frames; training uses both cameras
        assert not check_split(data, part, tmp_path).dropped
    assert all(len(folders) == 1 for folders in drives) and len(set.union(*drives)) == 3


def test_sample_has_the_calibration_and_pixels_of_the_world(small_world, dataset):
    data = dataset()
    sample, line = data[0], data.lines[0]
    renderer = small_world.renderer(1)
    np.testing.assert_allclose(sample["K/0"][:3, :3], renderer.camera.K, rtol=1e-6)
    pose = renderer.street.poses[line.frame]
    views = {0: renderer.render(line.frame, pose)}
    pose = pose.copy()
    pose[:3, 3] += STEREO_BASELINE * pose[:3, 0]
    views["s"] = renderer.render(line.frame, pose)
    for f, view in views.items():
        difference = abs(sample[f"color/{f}/0"].astype(float) - view.color.transpose(2, 0, 1))
        assert difference.mean() < 2  # JPEG
    # The baseline of 0.54 m is 0.1 scene units; points are further left in the right image.
    assert sample["stereo_T"][0, 3] * data.STEREO_SCALE_FACTOR == pytest.approx(-STEREO_BASELINE)


def test_flip_mirrors_image_and_intrinsics(small_world, dataset):
    """The ray of a mirrored pixel is mirrored: only the sign of x / z changes."""
    flipped = []
    for seed in range(8):
        data = dataset(part="train", train=True, frame_ids=(0, "s"), seed=seed)
        plain = dataset(part="train", frame_ids=(0, "s"))
        sample, reference = data[0], plain[0]
        mirrored = abs(sample["color/0/0"][:, :, ::-1].astype(int) - reference["color/0/0"]).mean() < 1e-6
        flipped.append(mirrored)
        x = np.arange(320)
        rays = (x - sample["K/0"][0, 2]) / sample["K/0"][0, 0]
        expected = (x - reference["K/0"][0, 2]) / reference["K/0"][0, 0]
        np.testing.assert_allclose(rays, -expected[::-1] if mirrored else expected, atol=1e-6)
        assert sample["stereo_T"][0, 3] == (-1 if mirrored else 1) * reference["stereo_T"][0, 3]
    assert set(flipped) == {True, False}


@pytest.mark.parametrize("camera", [2, 3])
def test_dense_ground_truth_is_the_exact_depth(small_world, world_dir, dataset, camera):
    data = dataset("kitti_depth")
    line = data.lines[0]._replace(side="lr"[camera - 2])
    renderer = small_world.renderer(1)
    pose = renderer.street.poses[line.frame].copy()
    pose[:3, 3] += (camera - 2) * STEREO_BASELINE * pose[:3, 0]
    view = renderer.render(line.frame, pose)
    assert 0.5 < (view.depth > 0).mean() < 0.99
    np.testing.assert_allclose(data.ground_truth(line), view.depth, atol=0.5 / 256 + 1e-6)
    path = world_dir / line.folder / "instances" / f"image_0{camera}" / f"{line.frame:010d}.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), view.instances)
    np.testing.assert_array_equal(view.instances == 0, view.depth == 0)


def test_lidar_is_the_exact_depth_one_pixel_up_and_left(small_world, world_dir, dataset):
    data = dataset(gt_depth="camera")
    line = data.lines[0]
    renderer = small_world.renderer(1)
    exact = renderer.render(line.frame, renderer.street.poses[line.frame]).depth
    truth = data.ground_truth(line)
    rows, columns = np.nonzero(truth)
    assert len(rows) > 5000
    np.testing.assert_allclose(truth[rows, columns], exact[rows + 1, columns + 1], atol=0.01)
    # The legacy axis, of the published tables, is the lidar's: 0.27 m behind the camera.
    legacy = dataset(gt_depth="legacy").ground_truth(line)
    np.testing.assert_allclose((legacy - truth)[rows, columns], 0.27, atol=0.01)


def test_lidar_projects_into_the_right_camera(small_world, world_dir, dataset):
    line = dataset().lines[0]
    scan = world_dir / line.folder / "velodyne_points" / "data" / f"{line.frame:010d}.bin"
    truth = lidar_to_depth(scan, world_dir / DATE, 3, "camera")
    renderer = small_world.renderer(1)
    pose = renderer.street.poses[line.frame].copy()
    pose[:3, 3] += STEREO_BASELINE * pose[:3, 0]
    exact = renderer.render(line.frame, pose).depth
    rows, columns = np.nonzero(truth)
    error = abs(truth[rows, columns] / np.maximum(exact[rows + 1, columns + 1], 1e-3) - 1)
    assert np.median(error) < 0.01


def test_poses_and_oxts_match_the_motion_of_the_car(small_world, world_dir):
    street = small_world.street(0)
    folder = world_dir / small_world.drive_folder(0)
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4)
    np.testing.assert_allclose(poses, street.poses[:, :3], atol=1e-9)
    fields = np.array([np.loadtxt(path) for path in sorted((folder / "oxts" / "data").iterdir())])
    assert fields.shape == (3, 30)
    np.testing.assert_allclose(fields[:, 8], street.speeds, rtol=1e-6)
    # As KITTI's development kit converts latitude and longitude to positions.
    scale = np.cos(np.radians(49.0)) * 6378137.0
    east = scale * np.radians(fields[:, 1])
    north = scale * np.log(np.tan(np.radians(90 + fields[:, 0]) / 2))
    steps = np.hypot(np.diff(east), np.diff(north))
    np.testing.assert_allclose(steps, street.speeds[:-1] * 0.1, rtol=0.05)
    heading = np.arctan2(street.poses[:, 1, 2], street.poses[:, 0, 2])
    np.testing.assert_allclose(fields[:, 5], heading, atol=1e-6)


def test_calibration_matches_the_image_size(world_dir):
    K, size = rectified_intrinsics(world_dir / DATE, 2)
    assert size == (96, 320) and K[0, 0] == pytest.approx(0.58 * 320)


def test_existing_folders_are_not_overwritten(small_world, world_dir, tmp_path):
    assert not generate(small_world, world_dir, num_workers=0)  # already complete
    with pytest.raises(DataError, match="another world"):
        generate(World(height=96, width=320, frames=10, seed=3), world_dir, num_workers=0)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="other than a world"):
        generate(small_world, tmp_path, num_workers=0)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"height": 8}, {"width": 63}, {"frames": 8}, {"seed": -1}])
def test_parameters_out_of_range_are_errors(wrong):
    with pytest.raises(DataError, match=f"{next(iter(wrong))}: got .*, expected at least"):
        World(**{"height": 96, "width": 320, "frames": 9, "seed": 3, **wrong})


def test_longer_world_has_more_streets(tmp_path):
    world = World(height=32, width=64, frames=203, seed=0)
    assert sum(world.drive_lengths) == 203 and len(world.drive_lengths) == len(world.parts) == 8
    assert world.parts == ["train"] * 6 + ["val", "test"]
