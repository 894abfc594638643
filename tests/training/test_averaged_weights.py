"""The moving average of the weights: values by hand, exchange with the model, restore."""

import numpy as np
import paddle
import pytest
from paddle import nn

from common.errors import WeightsError
from training.averaged_weights import AveragedWeights


@pytest.fixture
def model():
    paddle.seed(0)
    return nn.Sequential(nn.Conv2D(2, 3, 1), nn.BatchNorm2D(3))


def fill(model, value: float) -> None:
    for tensor in model.state_dict().values():
        tensor.set_value(paddle.full_like(tensor, value))


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        # Decays 2/11, 3/12, 4/13 of the warm-up; of these the last is capped in the second case.
        (0.999, [0.0, 9 / 11, (9 / 11) / 4 + 2 * 3 / 4, ((9 / 11) / 4 + 2 * 3 / 4) * 4 / 13 + 3 * 9 / 13]),
        (0.25, [0.0, 9 / 11, (9 / 11) / 4 + 2 * 3 / 4, ((9 / 11) / 4 + 2 * 3 / 4) / 4 + 3 * 3 / 4]),
    ],
)
def test_parameters_and_statistics_are_averaged(model, decay, expected):
    average = AveragedWeights(model, decay)
    for step, value in enumerate(expected):
        fill(model, float(step))
        average.update(step)
        arrays = average.arrays()
        assert arrays.keys() == model.state_dict().keys() and "1._mean" in arrays
        for array in arrays.values():
            np.testing.assert_allclose(array, value, rtol=1e-6)
    assert all((weight == 3).all() for weight in model.state_dict().values())


def test_the_average_is_in_the_model_only_within_the_block(model):
    average = AveragedWeights(model, 0.5)
    for step in range(2):
        fill(model, float(step))
        average.update(step)
    before = average.arrays()
    with pytest.raises(ZeroDivisionError), average.in_model():
        for name, weight in model.state_dict().items():
            np.testing.assert_array_equal(weight.numpy(), before[name])
        raise ZeroDivisionError
    assert all((weight == 1).all() for weight in model.state_dict().values())
    for name, array in average.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_restored_average_continues_exactly(model):
    averages = [AveragedWeights(model, 0.9)]
    averages[0].update(0)
    averages.append(AveragedWeights(model, 0.9))
    averages[1].restore(averages[0].arrays(), "ema.pdopt")
    fill(model, 0.3)
    for average in averages:
        average.update(1)
    first, second = (average.arrays() for average in averages)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("1._mean"), "ema.pdopt' differs from the run's networks in 1._mean"),
        (lambda arrays: arrays.update(x=np.zeros(1, "float32")), "in x"),
        (lambda arrays: arrays.update({"0.bias": np.zeros(4, "float32")}), "in 0.bias"),
        (lambda arrays: arrays.update({"0.bias": np.full(3, np.nan, "float32")}), "ema.pdopt: 0.bias: 3 of 3"),
    ],
)
def test_an_average_of_other_networks_is_refused(model, change, words):
    average = AveragedWeights(model, 0.9)
    average.update(0)
    arrays = average.arrays()
    change(arrays)
    with pytest.raises(WeightsError, match=words):
        average.restore(arrays, "ema.pdopt")
