"""Test loading arrays by name: matching, missing and unexpected names, different shapes."""

import numpy as np
import paddle
import pytest
from paddle import nn

from common.errors import WeightsError
from serialization.matching import MatchReport, load_into, match_table


class Network(nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 3)
        self.norm = nn.BatchNorm2D(4)


def arrays_of(network):
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


@pytest.fixture
def values():
    random = np.random.default_rng(0)
    return {name: random.random(array.shape).astype("float32") for name, array in arrays_of(Network()).items()}


def test_everything_matches(values):
    network = Network()
    report = load_into(network, values, "w.pdparams")
    for name, array in arrays_of(network).items():
        np.testing.assert_array_equal(array, values[name])
    assert set(report.matched) == set(values) and report.missing == report.unexpected == ()


def test_values_are_cast_and_stay_trainable(values):
    network = Network()
    load_into(network, {name: array.astype(">f8") for name, array in values.items()}, "w")
    assert network.conv.weight.dtype == paddle.float32 and not network.conv.weight.stop_gradient
    np.testing.assert_array_equal(network.conv.weight.numpy(), values["conv.weight"])


def test_missing_and_unexpected_names_are_reported(values):
    network = Network()
    before = network.conv.bias.numpy().copy()
    partial = {name: array for name, array in values.items() if name != "conv.bias"}
    report = load_into(network, {**partial, "other.weight": np.ones(3)}, "w.pdparams")
    assert report.missing == ("conv.bias",) and report.unexpected == ("other.weight",)
    np.testing.assert_array_equal(network.conv.bias.numpy(), before)


def test_table_counts_matches_and_lists_other_names():
    reports = {
        "encoder": MatchReport("w/encoder.pdparams", tuple("abcdefghij"), ("k.weight", "k.bias"), ("x.weight",)),
        "pose_encoder": MatchReport("resnet18.pth", ("a",), (), ()),
    }
    assert match_table(reports).splitlines() == [
        "network         loaded  missing  unexpected  file",
        "encoder       10 of 12        2           1  w/encoder.pdparams",
        "pose_encoder    1 of 1        0           0  resnet18.pth",
        "missing in the file, not changed: encoder: k.weight",
        "missing in the file, not changed: encoder: k.bias",
        "unexpected, not in the network: encoder: x.weight",
    ]


def test_classifier_is_ignored_only_if_the_network_has_none(values):
    classifier = {"encoder.fc.weight": np.ones((2, 3)), "fc.bias": np.ones(3)}
    assert load_into(Network(), {**values, **classifier}, "w").unexpected == ()
    network = Network()
    network.fc = nn.Linear(4, 3)
    assert load_into(network, {**values, "fc.bias": np.full(3, 2.0)}, "w").missing == ("fc.weight",)
    np.testing.assert_array_equal(network.fc.bias.numpy(), [2, 2, 2])


def test_wrong_shapes_are_reported_and_nothing_is_loaded(values):
    network = Network()
    before = arrays_of(network)
    values["norm.weight"] = np.ones(5)
    with pytest.raises(WeightsError, match=r"norm\.weight: \(5,\) in the file, \(4,\) in the network"):
        load_into(network, values, "w.pdparams")
    for name, array in arrays_of(network).items():
        np.testing.assert_array_equal(array, before[name])


def test_incompatible_types_are_rejected(values):
    values["norm.bias"] = np.ones(4, np.complex64)
    with pytest.raises(WeightsError, match=r"norm\.bias has type complex64; .* float32"):
        load_into(Network(), values, "w.pdparams")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite_are_rejected_and_nothing_is_loaded(values, value):
    """1e300 becomes infinite in float32."""
    network = Network()
    before = arrays_of(network)
    values["norm._variance"] = np.array([1, value, 1, 1])
    with pytest.raises(WeightsError, match=r"w\.pdparams: norm\._variance: 1 of 4 numbers are NaN or infinite"):
        load_into(network, values, "w.pdparams")
    for name, array in arrays_of(network).items():
        np.testing.assert_array_equal(array, before[name])
    values["norm._variance"] = np.ones(4)
    assert load_into(network, {**values, "unused": np.array(value)}, "w.pdparams").unexpected == ("unused",)


def test_no_matching_name_is_an_error():
    with pytest.raises(WeightsError, match=r"other.*conv\.weight"):
        load_into(Network(), {"other": np.ones(3)}, "w.pdparams")
    with pytest.raises(WeightsError, match="nothing"):
        load_into(Network(), {}, "w.pdparams")
