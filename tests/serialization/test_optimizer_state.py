"""Test the transfer of an optimizer's state to another process, independent of layers built there before."""

import numpy as np
import paddle
import pytest
from paddle import nn

from common.errors import WeightsError
from serialization.optimizer_state import optimizer_arrays, restore_optimizer, schedule_state


def build():
    """Build a model and an optimizer that has not stepped yet."""
    paddle.seed(0)
    model = nn.Sequential(nn.Conv2D(2, 3, 1), nn.BatchNorm2D(3), nn.Conv2D(3, 1, 1))
    schedule = paddle.optimizer.lr.StepDecay(0.1, step_size=2)
    return model, paddle.optimizer.Adam(schedule, parameters=model.parameters())


def train(model, optimizer, steps):
    for i in steps:
        loss = (model(paddle.full([1, 2, 3, 3], 1.0 + i)) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        optimizer._learning_rate.step()


def weights(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def test_moments_equal_adam_computed_by_hand():
    model, optimizer = build()
    (model[2].bias.sum() * 2 + model(paddle.ones([1, 2, 3, 3])).sum() * 0).backward()
    optimizer.step()
    arrays = optimizer_arrays(optimizer, model)
    # One step with g = 2: (1 - beta1) g, (1 - beta2) g^2; beta1^2 and beta2^2 because Paddle stores the next power.
    np.testing.assert_allclose(arrays["2.bias/moment1_0"], [0.2], rtol=1e-6)
    np.testing.assert_allclose(arrays["2.bias/moment2_0"], [0.004], rtol=1e-4)
    np.testing.assert_allclose(arrays["2.bias/beta1_pow_acc_0"], [0.81], rtol=1e-6)
    assert {name.split("/")[0] for name in arrays} == {f"{i}.{n}" for i in range(3) for n in ("weight", "bias")}


def test_resumed_training_equals_uninterrupted_training():
    model, optimizer = build()
    train(model, optimizer, range(5))
    first, optimizer_1 = build()
    train(first, optimizer_1, range(3))
    nn.Conv2D(1, 1, 1)  # increments Paddle's layer count
    second, optimizer_2 = build()
    second.set_state_dict(first.state_dict())
    restore_optimizer(
        optimizer_2, second, optimizer_arrays(optimizer_1, first), schedule_state(optimizer_1), "some.pdopt"
    )
    train(second, optimizer_2, range(3, 5))
    for name, value in weights(model).items():
        np.testing.assert_array_equal(weights(second)[name], value, err_msg=name)
    assert optimizer_2.get_lr() == optimizer.get_lr() == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.update({"9.weight/moment1_0": np.zeros(1)}), "no parameter '9.weight'"),
        (lambda a: a.update({"0.weight/moment1_0": np.zeros((2, 2))}), r"\(2, 2\), its parameter \(3, 2, 1, 1\)"),
        (lambda a: a.pop("0.weight/moment2_0"), "lacks moment2_0 of 0.weight"),
        (lambda a: a.update({"0.bias/moment1_0": np.full(3, np.nan)}), "0.bias/moment1_0: 3 of 3 numbers are NaN"),
    ],
)
def test_error_names_state_that_does_not_match(change, words):
    model, optimizer = build()
    train(model, optimizer, range(1))
    arrays = optimizer_arrays(optimizer, model)
    change(arrays)
    other, other_optimizer = build()
    with pytest.raises(WeightsError, match=rf"some\.pdopt.*{words}"):
        restore_optimizer(other_optimizer, other, arrays, schedule_state(optimizer), "some.pdopt")
