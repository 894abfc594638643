"""Stochastic depth: rates of the blocks, what is dropped, and when."""

import numpy as np
import paddle
import pytest
from paddle import nn

from layers.drop_path import DropPath, set_drop_path


@pytest.mark.parametrize("shape", [(4000, 2), (4000, 3, 1, 2)])
def test_whole_samples_are_dropped_at_the_rate_and_the_mean_is_kept(shape):
    paddle.seed(0)
    dropped = DropPath(0.3)(paddle.ones(shape)).numpy().reshape(shape[0], -1)
    assert set(np.unique(dropped.round(5))) == {0.0, np.float32(1 / 0.7).round(5)}
    assert (dropped == dropped[:, :1]).all()
    # Four standard deviations of a share of 4000 samples.
    assert np.mean(dropped[:, 0] == 0) == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / 4000))


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_no_random_number_is_drawn_where_nothing_is_dropped(rate, training):
    layer = DropPath(rate)
    layer.training = training
    paddle.seed(0)
    expected = paddle.rand([4])
    paddle.seed(0)
    branch = paddle.ones([4, 2])
    assert layer(branch) is branch
    np.testing.assert_array_equal(paddle.rand([4]).numpy(), expected.numpy())


def test_the_same_seed_drops_the_same_samples():
    masks = []
    for seed in (1, 1, 2):
        paddle.seed(seed)
        masks.append(DropPath(0.5)(paddle.ones([64, 1])).numpy())
    assert np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize(
    ("blocks", "rates"), [(1, [0.0]), (3, [0.0, 0.1, 0.2]), (5, [0.0, 0.05, 0.1, 0.15, 0.2]), (0, [])]
)
def test_rates_rise_linearly_to_the_last_block(blocks, rates):
    network = nn.Sequential(nn.Linear(1, 1), *(nn.Sequential(nn.ReLU(), DropPath()) for _ in range(blocks)))
    assert set_drop_path(network, 0.2) == blocks
    assert [block[1].rate for block in list(network)[1:]] == pytest.approx(rates)


def test_gradients_of_dropped_samples_are_0():
    paddle.seed(3)
    branch = paddle.ones([16, 2])
    branch.stop_gradient = False
    output = DropPath(0.5)(branch)
    output.sum().backward()
    np.testing.assert_allclose(branch.grad.numpy(), output.numpy())
    assert 0 < np.count_nonzero(output.numpy()[:, 0]) < 16
