"""Conversions between poses and motions, and text formats read by evo."""

import numpy as np
import pytest
from evo.tools.file_interface import read_kitti_poses_file, read_tum_trajectory_file
from scipy.spatial.transform import Rotation

from evaluation.metrics.trajectories import chain_motions, kitti_format, motions_along, motions_between, tum_format


@pytest.fixture(scope="module")
def poses() -> np.ndarray:
    """Arbitrary poses; the second rotates by 180 degrees, the third by almost nothing."""
    random = np.random.default_rng(5)
    poses = np.tile(np.eye(4), (12, 1, 1))
    poses[1:, :3, 3] = random.normal(0, 10, (11, 3))
    poses[1:, :3, :3] = Rotation.random(11, random_state=5).as_matrix()
    poses[1, :3, :3] = np.diag([1, -1, -1])
    poses[2, :3, :3] = Rotation.from_rotvec([1e-5, 0, 0]).as_matrix()
    return poses


def test_motions_map_points_to_the_next_frame(poses):
    """Compare a world point in both frames."""
    point = np.array([1.0, 2, 3, 1])
    seen = np.linalg.inv(poses) @ point
    np.testing.assert_allclose((motions_between(poses) @ seen[:-1, :, None])[..., 0], seen[1:], atol=1e-9)


def test_motions_chain_to_poses(poses):
    np.testing.assert_allclose(chain_motions(motions_between(poses)), poses, atol=1e-9)


@pytest.mark.parametrize("frame_ids", [(1,), (-1,), (-1, 1), (1, -1, -2), (-2, -1, 1, 2), (-1, 1, 2, 3)])
def test_motions_at_the_ends_come_from_the_nearest_target(poses, frame_ids):
    targets = range(max(0, -min(frame_ids)), len(poses) - max(0, *frame_ids, 0))
    to_neighbours = {f: np.stack([np.linalg.inv(poses[t + f]) @ poses[t] for t in targets]) for f in frame_ids}
    np.testing.assert_allclose(motions_along(to_neighbours), motions_between(poses), atol=1e-9)


def test_the_nearest_target_is_used():
    """Each target gives a different motion to the next frame, 10 times its number, and none backwards."""
    forward, backward = (np.tile(np.eye(4), (4, 1, 1)) for _ in range(2))
    forward[:, 0, 3] = 10 * np.arange(1, 5)  # targets 1 to 4
    np.testing.assert_array_equal(motions_along({-1: backward, 1: forward})[:, 0, 3], [0, 10, 20, 30, 40])


def test_evo_reads_both_formats(poses, tmp_path):
    (tmp_path / "kitti.txt").write_text(kitti_format(poses))
    np.testing.assert_allclose(read_kitti_poses_file(tmp_path / "kitti.txt").poses_se3, poses, atol=1e-7)
    (tmp_path / "tum.txt").write_text(tum_format(poses, np.arange(12) * 0.1))
    trajectory = read_tum_trajectory_file(tmp_path / "tum.txt")
    np.testing.assert_allclose(trajectory.poses_se3, poses, atol=1e-7)
    np.testing.assert_allclose(trajectory.timestamps, np.arange(12) * 0.1)
