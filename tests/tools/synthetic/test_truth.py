"""The world's exact depth, motion and intrinsics agree with the method's geometry and loss."""

import numpy as np
import paddle
import pytest

from layers.geometry import rotation_from_axis_angle
from layers.self_supervised_loss import monodepth2_loss
from layers.view_synthesis import ViewSynthesis
from tools.synthetic.shapes import CLASSES, INSTANCES_PER_CLASS

SEEDS = (0, 1, 2, 3)


def _loss(scene, sources=(-1, 1, "s"), **kwargs):
    compute = monodepth2_loss(sources, tie_breaking_noise=0, **kwargs)
    compute.eval()
    return lambda *args, **changes: compute(scene.batch(), scene.outputs(*args, **changes))


@pytest.mark.parametrize("size", [(96, 320), (375, 1242)])
@pytest.mark.parametrize("seed", SEEDS)
def test_sources_warped_by_ground_truth_match_the_target(make_scene, seed, size):
    scene = make_scene(seed, *size)
    batch = scene.batch()
    depth = paddle.to_tensor((scene.depth / scene.UNIT).astype(np.float32))[None, None]
    transforms = {f: paddle.to_tensor(scene.units(T)) for f, T in scene.transforms.items()}
    synthesis = ViewSynthesis(
        {f: batch[f"color/{f}/0"] for f in transforms}, batch["K/0"], batch["inv_K/0"], transforms
    )
    frame = batch["color/0/0"].numpy()[0]
    for f in transforms:
        visible = scene.visible(f)
        moving = scene.views[0].instances // INSTANCES_PER_CLASS == CLASSES["moving car"]
        visible &= ~moving if f != "s" else True
        assert visible.mean() > 0.5
        error = abs(synthesis.warp(f, depth).numpy()[0] - frame).mean(axis=0)[visible]
        unwarped = abs(batch[f"color/{f}/0"].numpy()[0] - frame).mean(axis=0)[visible]
        assert error.mean() < 0.02 and np.percentile(error, 95) < 0.06
        assert error.mean() < 0.5 * unwarped.mean()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("sources", "separate_stereo"),
    [((-1, 1), False), (("s",), False), ((-1, 1, "s"), False), ((-1, 1, "s"), True)],
)
def test_loss_is_lowest_at_the_true_depth(make_scene, seed, sources, separate_stereo):
    compute = _loss(make_scene(seed), sources, separate_stereo=separate_stereo)
    at_truth = compute(1.0)[0]["loss"].item()
    for factor in (0.8, 1.25):
        assert at_truth < compute(factor)[0]["loss"].item()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1, 1])
def test_loss_is_lowest_at_the_true_motion(make_scene, seed, axis, sign):
    compute = _loss(make_scene(seed), sources=(-1, 1))
    at_truth = compute()[0]["loss"].item()
    turned, moved = np.eye(4), np.eye(4)
    axis_angle = np.zeros((1, 3), np.float32)
    axis_angle[0, axis] = sign * np.radians(1)
    turned[:3, :3] = rotation_from_axis_angle(paddle.to_tensor(axis_angle)).numpy()[0]
    moved[axis, 3] = sign * 0.1
    for change in (turned, moved):
        assert at_truth < compute(change=change)[0]["loss"].item()


def test_auto_masking_excludes_a_car_at_the_camera_s_speed(make_scene):
    for seed in SEEDS:
        scene = make_scene(seed, leading_car=True)
        _, maps = _loss(scene, sources=(-1, 1))()
        kept = maps["auto_mask"].numpy()[0, 0] > 0.5
        instances = scene.views[0].instances
        leader = instances == CLASSES["moving car"] * INSTANCES_PER_CLASS + 9
        street = np.isin(instances // INSTANCES_PER_CLASS, [CLASSES["road"], CLASSES["house"], CLASSES["parked car"]])
        assert leader.sum() > 200
        assert kept[leader].mean() < 0.3
        assert kept[street].mean() > 0.8
