"""Optimizer and learning-rate schedule: numbers by hand."""

import math

import numpy as np
import pytest
from paddle import nn

from common import registry
from common.errors import OptionsError
from layers.drop_path import DropPath
from networks.depth_decoder import DepthDecoder
from networks.resnet_encoder import ResnetEncoder
from options import Options
from training.optimizer import build_optimizer, build_schedule, set_position
from training.setup import build_model, model_settings

STEPS = 4  # of an epoch


def rates(opt: Options, processes: int = 1) -> list[float]:
    """Return the learning rate of every step, and the one after the last."""
    schedule = build_schedule(opt, processes, STEPS)
    found = []
    for step in range(opt.num_epochs * STEPS + 1):
        set_position(schedule, opt, *divmod(step, STEPS), STEPS)
        found.append(schedule())
    return found


def cosine(low: float, high: float, share: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scheduler_step_size": 2}, [0.8] * 8 + [0.08] * 5),
        # The warm-up is not part of the first scheduler_step_size epochs.
        ({"scheduler_step_size": 1, "warmup_epochs": 0.5}, [0.8 / 3, 1.6 / 3] + [0.8] * 4 + [0.08] * 4 + [0.008] * 3),
        ({"lr_schedule": "cosine"}, [cosine(0, 0.8, n / 12) for n in range(13)]),
        (
            {"lr_schedule": "cosine", "min_learning_rate": 0.2, "warmup_epochs": 1.0},
            [0.16, 0.32, 0.48, 0.64] + [cosine(0.2, 0.8, n / 8) for n in range(9)],
        ),
        # At least one step.
        ({"warmup_epochs": 0.01}, [0.4] + [0.8] * 12),
    ],
)
def test_learning_rates(changes, expected):
    opt = Options(learning_rate=0.8, num_epochs=3, **changes)
    np.testing.assert_allclose(rates(opt), expected, rtol=1e-12, atol=1e-15)
    scaled = opt.replace(scale_lr=True)
    np.testing.assert_allclose(rates(scaled, processes=3), 3 * np.array(expected), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("changes", [{}, {"lr_schedule": "cosine"}, {"lr_schedule": "cosine", "warmup_epochs": 0.5}])
def test_the_rate_does_not_depend_on_the_rates_before(changes):
    """A resumed run, whose schedule jumps to its position, has bit-identical rates."""
    opt = Options(num_epochs=3, scheduler_step_size=1, min_learning_rate=1e-6 if changes else 0.0, **changes)
    for step, expected in enumerate(rates(opt)):
        schedule = build_schedule(opt, 1, STEPS)
        set_position(schedule, opt, *divmod(step, STEPS), STEPS)
        assert schedule() == expected


class TwoNetworks(nn.Layer):
    """A depth network of a matrix and a vector, a pose network of a matrix, each of ones."""

    def __init__(self):
        super().__init__()
        one = nn.initializer.Constant(1.0)
        self.encoder = nn.Linear(2, 3, weight_attr=one, bias_attr=one)
        self.pose = nn.Linear(2, 3, weight_attr=one, bias_attr=False)

    def networks(self):
        return {"encoder": self.encoder, "pose": self.pose}

    def after_a_step(self, opt: Options) -> dict[str, float]:
        """Return each parameter's value after a step on gradients of 3 and, of pose, 4."""
        optimizer, _ = build_optimizer(opt, self)
        (3 * sum(p.sum() for p in self.encoder.parameters()) + 4 * self.pose.weight.sum()).backward()
        optimizer.step()
        self.moments = {k: v.numpy() for k, v in optimizer.state_dict().items() if "moment1" in k}
        assert all(np.ptp(p.numpy()) == 0 for p in self.parameters())
        return {name: float(p.flatten()[0]) for name, p in self.named_parameters()}


@pytest.mark.parametrize(
    ("changes", "weight", "bias", "pose"),
    [
        # Adam's first step is the learning rate, whatever the gradient.
        ({}, 0.1, 0.1, 0.1),
        ({"pose_learning_rate": 0.02}, 0.1, 0.1, 0.02),
        ({"pose_learning_rate": 0.3, "optimizer": "adamw", "weight_decay": 0.0}, 0.1, 0.1, 0.3),
        # Decay subtracts learning rate * decay * weight, and not from vectors.
        ({"optimizer": "adamw", "weight_decay": 0.5}, 0.1 + 0.1 * 0.5, 0.1, 0.1 + 0.1 * 0.5),
        ({"optimizer": "adamw"}, 0.1 + 0.1 * 0.01, 0.1, 0.1 + 0.1 * 0.01),
        (
            {"pose_learning_rate": 0.2, "optimizer": "adamw", "weight_decay": 0.5},
            0.1 + 0.1 * 0.5,
            0.1,
            0.2 + 0.2 * 0.5,
        ),
    ],
)
def test_first_step(changes, weight, bias, pose):
    got = TwoNetworks().after_a_step(Options(learning_rate=0.1, **changes))
    moved = {"encoder.weight": 1 - weight, "encoder.bias": 1 - bias, "pose.weight": 1 - pose}
    assert got == pytest.approx(moved, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_the_norm_of_all_gradients_is_clipped_whatever_their_rates(optimizer):
    model = TwoNetworks()
    opt = Options(optimizer=optimizer, pose_learning_rate=1e-3, clip_grad_norm=1.0)
    model.after_a_step(opt)
    norm = math.sqrt(9 * (2 * 3 + 3) + 16 * 2 * 3)
    # (1 - beta1) g
    expected = {(2, 3, 3.0), (3, 1, 3.0), (2, 3, 4.0)}
    got = {(*np.atleast_2d(m.T).T.shape, round(float(m.flat[0]) * 10 * norm, 3)) for m in model.moments.values()}
    assert got == expected


def build_dropping_network(name, scales):
    """A ResNet18 with two paths that training can drop."""
    encoder = ResnetEncoder(18)
    encoder.paths = nn.LayerList([DropPath(), DropPath()])
    return encoder, DepthDecoder(encoder.num_ch_enc, scales, strides=encoder.strides)


def test_drop_path_sets_the_rates_of_the_networks_that_have_it(monkeypatch):
    monkeypatch.setitem(registry.DEPTH_NETWORKS, "dropping", build_dropping_network)
    model = build_model(Options(depth_network="dropping", drop_path=0.4))
    assert [path.rate for path in model.encoder.paths] == [0.0, 0.4]
    assert [path.rate for path in build_model(Options(depth_network="dropping")).encoder.paths] == [0.0, 0.0]
    with pytest.raises(OptionsError, match=r"--drop_path 0\.4: resnet18 has no stochastic depth"):
        build_model(Options(drop_path=0.4))


def test_drop_path_does_not_change_the_stored_model(monkeypatch):
    monkeypatch.setitem(registry.DEPTH_NETWORKS, "dropping", build_dropping_network)
    settings = [model_settings(Options(depth_network="dropping", drop_path=rate)) for rate in (0.0, 0.4)]
    assert settings[0] == settings[1]
