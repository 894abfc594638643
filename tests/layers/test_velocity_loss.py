"""The velocity loss calculated by hand, and as a term of the total loss."""

import math

import numpy as np
import paddle
import pytest

from layers.self_supervised_loss import monodepth2_loss
from layers.velocity_loss import METRES_PER_UNIT, VelocitySupervisedLoss, velocity_loss


def motion(*translations) -> paddle.Tensor:
    T = np.tile(np.eye(4, dtype="float32"), (len(translations), 1, 1))
    T[:, :3, 3] = translations
    return paddle.to_tensor(T)


def metres(*values) -> paddle.Tensor:
    return paddle.to_tensor(np.array(values, "float32"))


def test_loss_is_the_mean_difference_of_known_lengths_in_metres():
    transforms = {-1: motion([0.3, 0, 0.4], [0, 0, 1]), 1: motion([0, 0, -0.2], [0, 0.1, 0])}  # 0.5, 1, 0.2, 0.1 units
    displacement = {-1: metres(2.0, math.nan), 1: metres(1.0, 0.6)}
    expected = (abs(0.5 * 5.4 - 2.0) + abs(0.2 * 5.4 - 1.0) + abs(0.1 * 5.4 - 0.6)) / 3
    assert METRES_PER_UNIT == 5.4
    assert velocity_loss(transforms, displacement).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_speeds_give_no_loss_and_finite_gradients():
    T = motion([0.3, 0, 0.4])
    T.stop_gradient = False
    loss = velocity_loss({1: T}, {1: metres(math.nan)})
    loss.backward()
    assert loss.item() == 0
    np.testing.assert_array_equal(T.grad.numpy(), 0)


def test_gradient_shortens_a_translation_that_is_too_long():
    T = motion([0.3, 0, 0.4])
    T.stop_gradient = False
    velocity_loss({1: T}, {1: metres(1.0)}).backward()  # predicted: 2.7 m
    np.testing.assert_allclose(T.grad.numpy()[0, :3, 3], 5.4 * np.array([0.6, 0, 0.8]), rtol=1e-5)


def test_the_weighted_term_is_added_to_the_total_loss():
    random = np.random.default_rng(0)
    K = np.eye(4, dtype="float32")
    K[:2, :3] = [[60, 0, 48], [0, 60, 32]]
    batch = {"K/0": paddle.to_tensor(K[None]), "inv_K/0": paddle.to_tensor(np.linalg.inv(K)[None])}
    for f in (0, 1):
        batch[f"color/{f}/0"] = paddle.to_tensor(random.random((1, 3, 64, 96), dtype="float32"))
    batch["displacement/1"] = metres(1.7)
    disp = paddle.to_tensor(random.random((1, 1, 64, 96), dtype="float32"))
    outputs = {"disp/0": disp, "T_target_to_source/1": motion([0, 0, 0.5])}
    plain, _ = monodepth2_loss((1,), (0,), tie_breaking_noise=0.0)(batch, outputs)
    metric, _ = monodepth2_loss(
        (1,), (0,), tie_breaking_noise=0.0, more_terms={"velocity": (0.05, VelocitySupervisedLoss((1,)))}
    )(batch, outputs)
    assert metric["velocity"].item() == pytest.approx(1.0, rel=1e-5)  # 0.5 units are 2.7 m
    assert metric["loss"].item() == pytest.approx(plain["loss"].item() + 0.05, rel=1e-5)
