"""The depth loss calculated by hand, and as the only term of the total loss."""

import numpy as np
import paddle
import pytest

from layers.depth_supervision import DepthSupervisedLoss, gradient_error, scale_invariant_error
from layers.self_supervised_loss import monodepth2_loss
from layers.velocity_loss import METRES_PER_UNIT


def tensor(values) -> paddle.Tensor:
    return paddle.to_tensor(np.array(values, "float32"))


def image(*rows) -> paddle.Tensor:
    return tensor(rows)[None, None]


@pytest.mark.parametrize(
    ("difference", "known", "expected"),
    [
        ([0.0, 0.0], [1, 1], 0.0),
        ([0.3, 0.5], [1, 1], np.sqrt((0.09 + 0.25) / 2 - 0.85 * 0.4**2)),
        ([0.4, 0.4], [1, 1], 0.4 * np.sqrt(0.15)),  # one factor on all depths is forgiven but for 15 %
        ([0.3, 9.0], [1, 0], 0.3 * np.sqrt(0.15)),
        ([5.0, 9.0], [0, 0], 0.0),
    ],
)
def test_error_of_log_depth(difference, known, expected):
    error = scale_invariant_error(image(difference), image(known).astype("float32"))
    assert error.item() == pytest.approx(expected, abs=2e-3)  # sqrt(1e-6)


def test_gradients_count_between_known_neighbours_at_four_resolutions():
    difference, known = image([0.0, 2.0, 9.0], [1.0, 1.0, 1.0]), image([1.0, 1.0, 0.0], [1.0, 1.0, 1.0])
    # Across 2 + 0 + 0, down 1 + 1 (0 is unknown), of 5 pixels; then pixels 0 and 2, of which one is known.
    assert gradient_error(difference, known).item() == pytest.approx((2 + 2) / 5)
    ramp = tensor(np.tile(np.arange(16), (16, 1)))[None, None]
    steps = sum(2**s * (16 // 2**s) * (16 // 2**s - 1) / (16 // 2**s) ** 2 for s in range(4))
    assert gradient_error(ramp, paddle.ones_like(ramp)).item() == pytest.approx(steps)


@pytest.fixture
def exact():
    """Depths of 6 to 90 m, and the disparities of the range 0.1 to 100 that mean them."""
    depth = np.random.default_rng(0).uniform(6, 90, (2, 1, 64, 96)).astype("float32")
    disp = (METRES_PER_UNIT / depth - 0.01) / (10 - 0.01)
    return {"map/depth": paddle.to_tensor(depth)}, {"disp/0": paddle.to_tensor(disp.astype("float32"))}


def test_exact_depth_has_no_loss_and_a_wrong_one_a_finite_gradient(exact):
    batch, outputs = exact
    batch["color/0/0"] = paddle.zeros([2, 3, 64, 96])
    compute_loss = monodepth2_loss(
        (), (0,), disparity_smoothness=0.0, more_terms={"depth": (2.0, DepthSupervisedLoss())}
    )
    assert set(compute_loss.terms) == {"smoothness", "depth"}
    losses, _ = compute_loss(batch, outputs)
    assert losses["loss"].item() == pytest.approx(0, abs=5e-3)
    outputs["disp/0"] = (outputs["disp/0"] * 0.5).detach()
    outputs["disp/0"].stop_gradient = False
    losses, _ = compute_loss(batch, outputs)
    losses["loss"].backward()
    assert losses["loss"].item() == pytest.approx(2 * losses["supervised_depth"].item()) and losses["loss"].item() > 0.1
    assert np.isfinite(outputs["disp/0"].grad.numpy()).all() and outputs["disp/0"].grad.abs().max().item() > 0


@pytest.mark.parametrize("v1_multiscale", [False, True])
def test_sky_and_anything_beyond_100_m_count_as_100_m(exact, v1_multiscale):
    batch, outputs = exact
    outputs["disp/1"] = outputs["disp/0"][:, :, ::2, ::2]
    batch |= {"color/0/0": paddle.zeros([2, 3, 64, 96]), "color/0/1": paddle.zeros([2, 3, 32, 48])}
    compute_loss = monodepth2_loss(
        (), (0, 1), v1_multiscale=v1_multiscale, more_terms={"depth": (1.0, DepthSupervisedLoss())}
    )
    losses = []
    for metres in (100.0, 255.0, 50.0):
        batch["map/depth"] = paddle.full([2, 1, 64, 96], metres)
        losses.append(compute_loss(batch, outputs)[0]["supervised_depth"].item())
    assert losses[0] == losses[1] != losses[2]
