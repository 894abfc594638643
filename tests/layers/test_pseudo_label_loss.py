"""The loss of pseudo-labels against plain NumPy, finite differences, and its invariances."""

import numpy as np
import paddle
import pytest

from layers.pseudo_label_loss import PseudoLabelLoss, scale_shift_loss
from layers.view_synthesis import View


def reference(disp, label):
    """Ranftl et al., equations 5 to 7, per sample."""
    losses = []
    for d, t in zip(disp, label, strict=True):
        d, t = ((x - np.median(x)) / np.mean(abs(x - np.median(x))) for x in (d, t))
        losses.append(abs(d - t).mean() / 2)
    return np.mean(losses)


def maps(seed=0, shape=(2, 1, 4, 6), dtype="float64"):
    return np.random.default_rng(seed).random((2, *shape)).astype(dtype)


def loss_of(disp, label):
    return scale_shift_loss(paddle.to_tensor(disp), paddle.to_tensor(label)).item()


@pytest.mark.parametrize("shape", [(2, 1, 4, 6), (1, 1, 3, 5)], ids=["even", "odd"])
def test_loss_equals_numpy(shape):
    assert loss_of(*maps(shape=shape)) == pytest.approx(reference(*maps(shape=shape)), rel=1e-9)


def test_larger_labels_are_averaged():
    disp, label = maps()[0], maps(1, (2, 1, 8, 12))[0]
    small = label.reshape(2, 1, 4, 2, 6, 2).mean(axis=(3, 5))
    assert loss_of(disp, label) == pytest.approx(reference(disp, small), rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 1, 2, 4), (2, 1, 3, 3)], ids=["even", "odd"])
def test_gradient_equals_finite_differences(shape):
    disp, label = maps(3, shape)
    variable = paddle.to_tensor(disp, stop_gradient=False)
    scale_shift_loss(variable, paddle.to_tensor(label)).backward()
    for index in np.ndindex(disp.shape):
        moved = [disp.copy(), disp.copy()]
        moved[0][index] += 1e-7
        moved[1][index] -= 1e-7
        difference = (reference(moved[0], label) - reference(moved[1], label)) / 2e-7
        assert variable.grad.numpy()[index] == pytest.approx(difference, abs=1e-5)


def test_scale_and_shift_of_either_map_change_nothing_but_the_sign_does():
    disp, label = maps()
    value = loss_of(disp, label)
    for changed in ((7.0 * disp - 3, label), (disp, 0.01 * label + 40), (5 * disp + 1, 900 * label - 2)):
        assert loss_of(*changed) == pytest.approx(value, rel=1e-6)
    assert loss_of(3 * label + 1, label) == pytest.approx(0, abs=1e-9) and loss_of(-label, label) > 0.5


def test_constant_labels_give_no_loss_and_finite_gradients():
    disp, label = maps(dtype="float32")
    label[1] = 0
    assert loss_of(disp, label) == pytest.approx(reference(disp[:1], label[:1]), rel=1e-5)
    variable = paddle.to_tensor(disp, stop_gradient=False)
    scale_shift_loss(variable, paddle.zeros_like(variable)).backward()
    np.testing.assert_array_equal(variable.grad.numpy(), 0)
    assert np.isfinite(loss_of(np.zeros_like(disp), label))


@pytest.mark.parametrize(
    ("settings", "epoch", "weight"),
    [
        ((0.5,), None, 0.5),
        ((0.5, 0.1, 2), 1, 0.5),
        ((0.5, 0.1, 2), 2, 0.1),
        ((0.5, 0.1, 2), None, 0.1),
        ((0.0, 0.3, 1), 0, 0.0),
        ((0.0, 0.3, 1), 5, 0.3),
    ],
)
def test_weight_changes_at_the_given_epoch(settings, epoch, weight):
    disp, label = (paddle.to_tensor(x) for x in maps(dtype="float32"))
    batch = {"map/pseudo_labels": label}
    if epoch is not None:
        batch["epoch"] = paddle.full([2], float(epoch))
    result = PseudoLabelLoss(*settings)(batch, {"disp/0": disp}, [View(0, None, {}, None)])
    plain = scale_shift_loss(disp, label).item()
    assert float(result.loss) == pytest.approx(weight * plain, rel=1e-5)
    assert result.scalars["pseudo_labels"].item() == pytest.approx(plain)
    assert float(result.scalars["loss/0"]) == pytest.approx(weight * plain, rel=1e-5)
