"""Trajectory errors against the reference, against evo, and by hand."""

import numpy as np
import pytest
from evo.core.metrics import APE, RPE, PoseRelation, Unit
from evo.core.trajectory import PosePath3D

from evaluation.metrics.pose_metrics import (
    align,
    evaluate_poses,
    relative_errors,
    rms_distance,
    segment_errors,
    snippet_errors,
)
from evaluation.metrics.trajectories import chain_motions, motions_between


def forward(steps) -> np.ndarray:
    """Motions along z, as ``snippet_errors`` chains them."""
    motions = np.tile(np.eye(4), (len(steps), 1, 1))
    motions[:, 2, 3] = steps
    return motions


def straight(count: int, step: float = 1.0) -> np.ndarray:
    """Poses along z."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = step * np.arange(count)
    return poses


def yaw(degrees: float) -> np.ndarray:
    """Rotation about y, (4, 4)."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, 0, sin, 0], [0, 1, 0, 0], [-sin, 0, cos, 0], [0, 0, 0, 1]])


def winding(count: int, seed: int = 0) -> np.ndarray:
    """Poses of a drive with turns and slopes, about 1 m per frame, starting at the identity."""
    random = np.random.default_rng(seed)
    pose, poses = np.eye(4), [np.eye(4)]
    for _ in range(count - 1):
        motion = yaw(random.normal(0.5, 1))
        motion[:3, 3] = random.normal([0, 0.02, 1], 0.05)
        pose = pose @ motion
        poses.append(pose)
    return np.stack(poses)


def test_snippet_errors_match_the_reference(load_reference):
    arrays = load_reference("evaluation.npz")
    errors = snippet_errors(arrays["pose_gt_local"], arrays["pose_pred_local"])
    np.testing.assert_allclose(errors, arrays["pose_ate"], rtol=1e-6)


def test_snippet_errors_ignore_scale():
    np.testing.assert_allclose(snippet_errors(forward([1, 2, 1, 3, 1]), forward([3, 6, 3, 9, 3])), 0, atol=1e-12)


def test_a_stop_at_the_end_by_hand():
    """Truth at 0 1 2 3 4, prediction at 0 1 2 3 3: scale 26/23, squared errors (9 + 36 + 81 + 196) / 23^2."""
    (error,) = snippet_errors(forward([1, 1, 1, 1]), forward([1, 1, 1, 0]))
    assert error == pytest.approx(np.sqrt(9 + 36 + 81 + 196) / 23 / 5)


def test_the_tail_by_hand():
    """Snippets of four, three and two poses: scales 11/9 and 3/2, and a prediction without motion."""
    errors = snippet_errors(forward([1, 1, 1, 1]), forward([1, 1, 1, 0]), with_tail=True)
    assert errors[1:] == pytest.approx([np.sqrt(4 + 16 + 25) / 9 / 4, np.sqrt(0.5) / 3, 1 / 2])


def test_wrong_shapes():
    with pytest.raises(ValueError, match=r"\(3, 4, 4\) and \(4, 4, 4\)"):
        snippet_errors(forward([1, 1, 1]), forward([1, 1, 1, 1]))


@pytest.mark.parametrize("align_scale", [True, False])
def test_ground_truth_has_no_error(align_scale):
    truth = winding(250)
    result = evaluate_poses(truth, motions_between(truth), align_scale=align_scale)
    errors = (result.ate_5, result.ate_5_std, result.ate_sim3, result.ate_se3, result.kitti.t_rel)
    np.testing.assert_allclose(errors, 0, atol=1e-9)
    # The arc cosine of 1 - 1e-16 is 1e-8.
    assert result.kitti.r_rel == pytest.approx(0, abs=1e-5) and result.scale == pytest.approx(1)
    np.testing.assert_allclose(result.poses, truth, atol=1e-9)
    np.testing.assert_allclose(result.aligned, truth[:, :3, 3], atol=1e-9)


def test_scaled_ground_truth():
    """Positions 0 .. 4 against 0 .. 12: after SE(3) alignment, each error is twice its distance to the mean."""
    truth, predicted = straight(5), motions_between(straight(5, step=3.0))
    result = evaluate_poses(truth, predicted, align_scale=True)
    assert result.ate_5 == pytest.approx(0, abs=1e-12) and result.ate_sim3 == pytest.approx(0, abs=1e-12)
    assert result.ate_se3 == pytest.approx(2 * np.sqrt(2))
    assert result.scale == pytest.approx(1 / 3) and result.kitti is None
    given = evaluate_poses(truth, predicted, align_scale=False, scale_factor=1 / 3)
    assert given.ate_se3 == pytest.approx(0, abs=1e-12) and given.scale == pytest.approx(1 / 3)


def test_segments_by_hand():
    """121 frames, 1 m apart: 100 m segments start at frames 0 and 10 and end 101 frames later."""
    errors = segment_errors(straight(121), straight(121, step=3.0))
    assert list(errors) == [100]
    np.testing.assert_allclose(errors[100], [[202, 0], [202, 0]])


def test_lengths_and_their_segments():
    """With frame 801 as the last, 800 m fit only from frame 0, and 100 m from every tenth frame up to 700."""
    errors = segment_errors(straight(802), straight(802))
    assert {length: len(of_length) for length, of_length in errors.items()} == {
        100: 71, 200: 61, 300: 51, 400: 41, 500: 31, 600: 21, 700: 11, 800: 1
    }  # fmt: skip


def test_a_known_rotation_error_per_frame():
    """The prediction turns 0.01 degrees per metre too much: 101 frames on 100 m, 201 on 200 m."""
    truth = straight(211)
    motions = np.linalg.inv(yaw(0.01)) @ motions_between(truth)
    result = evaluate_poses(truth, motions, align_scale=False)
    assert result.by_length[100].r_rel == pytest.approx(1.01)
    assert result.by_length[200].r_rel == pytest.approx(2.01 / 2)
    assert [result.by_length[length].segments for length in (100, 200)] == [11, 1]
    assert result.kitti.r_rel == pytest.approx((11 * 1.01 + 2.01 / 2) / 12)


def test_relative_errors_by_hand():
    """Per frame, 0.3 m too long and 0.01 degrees too far to the right; the frame turns before it moves."""
    truth = straight(20)
    motions = np.linalg.inv(yaw(0.01)) @ motions_between(straight(20, step=1.3))
    result = evaluate_poses(truth, motions, align_scale=False)
    assert result.rpe_translation == pytest.approx(0.3, abs=1e-6) and result.rpe_rotation == pytest.approx(0.01)
    # Half of the frames are right: the root mean square is 1 / sqrt(2) of it.
    motions[::2] = motions_between(truth)[::2]
    motions = np.concatenate([motions, motions_between(truth)[:1]])
    result = evaluate_poses(straight(21), motions, align_scale=False)
    assert result.rpe_translation == pytest.approx(0.3 * np.sqrt(9 / 20), abs=1e-6)
    assert result.rpe_rotation == pytest.approx(0.01 * np.sqrt(9 / 20))


def test_scale_of_a_trajectory_that_is_too_long():
    result = evaluate_poses(straight(9), motions_between(straight(9, step=2.0)), align_scale=False)
    assert result.sim3_scale == pytest.approx(0.5) and result.rpe_translation == pytest.approx(1)
    scaled = evaluate_poses(straight(9), motions_between(straight(9, step=2.0)), align_scale=True)
    assert scaled.sim3_scale == pytest.approx(0.5) and scaled.rpe_translation == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("relation, column", [("translation_part", 0), ("rotation_angle_deg", 1)])
def test_relative_errors_match_evo(relation, column):
    truth, predicted = winding(80), winding(80, seed=1)
    error = RPE(PoseRelation[relation], delta=1, delta_unit=Unit.frames)
    error.process_data((PosePath3D(poses_se3=list(truth)), PosePath3D(poses_se3=list(predicted))))
    np.testing.assert_allclose(relative_errors(truth, predicted)[:, column], error.error, atol=1e-6)


@pytest.mark.parametrize("with_scale", [True, False])
def test_alignment_matches_evo(with_scale):
    truth = winding(80)
    predicted = chain_motions(motions_between(winding(80, seed=1)))
    predicted[:, :3, 3] *= 3
    ours = align(truth[:, :3, 3], predicted[:, :3, 3], with_scale)
    theirs, reference = PosePath3D(poses_se3=list(predicted)), PosePath3D(poses_se3=list(truth))
    R, translation, scale = theirs.align(reference, correct_scale=with_scale)
    np.testing.assert_allclose(ours.R, R, atol=1e-9)
    np.testing.assert_allclose(ours.translation, translation, atol=1e-6)
    assert ours.scale == pytest.approx(scale if with_scale else 1)
    error = APE(PoseRelation.translation_part)
    error.process_data((reference, theirs))
    distance = rms_distance(truth[:, :3, 3], ours(predicted[:, :3, 3]))
    assert distance == pytest.approx(error.get_all_statistics()["rmse"]) and distance > 0.1


def test_a_prediction_without_motion():
    result = evaluate_poses(straight(150), np.tile(np.eye(4), (149, 1, 1)), align_scale=True)
    assert result.ate_sim3 == pytest.approx(np.sqrt((150**2 - 1) / 12))  # all at the truth's mean
    assert result.by_length[100].t_rel == pytest.approx(101)


def test_motions_that_are_not_finite():
    motions = motions_between(straight(10))
    motions[3, 0, 0] = np.nan
    with pytest.raises(ValueError, match="1 predicted motions are not finite, the first from frame 3"):
        evaluate_poses(straight(10), motions, align_scale=True)


def test_as_dict_is_json_compatible():
    truth = straight(121)
    numbers = evaluate_poses(truth, motions_between(truth), align_scale=False).as_dict()
    scores = ["ate_5", "ate_5_std", "ate_sim3", "ate_se3", "sim3_scale", "rpe_translation", "rpe_rotation", "scale"]
    assert list(numbers) == [*scores, "t_rel", "r_rel", "by_length"]
    assert numbers["by_length"]["100"]["segments"] == 2
    short = evaluate_poses(straight(20), motions_between(straight(20)), align_scale=False).as_dict()
    assert short["t_rel"] is None and short["by_length"] == {}
