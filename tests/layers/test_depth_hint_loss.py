"""The loss of depth hints against plain NumPy, finite differences, and by hand."""

from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from layers.depth_hint_loss import DepthHintLoss, log_l1_loss
from layers.photometric import TargetStatistics, photometric_error
from layers.self_supervised_loss import monodepth2_loss

HEIGHT, WIDTH, FOCAL, BASELINE, METRES = 32, 64, 60.0, 0.1, 5.4
TRUE = 2.0  # scene units: a disparity of 60 * 0.1 / 2 = 3 pixels


def wall(hint_metres: np.ndarray, depth: float):
    """Return batch and outputs of a wall at ``TRUE`` seen by a stereo pair, with ``depth`` predicted."""
    target = np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH), dtype="float32")
    right = np.concatenate([target[..., 3:], np.repeat(target[..., -1:], 3, axis=-1)], axis=-1)
    K = np.array([[FOCAL, 0, WIDTH / 2, 0], [0, FOCAL, HEIGHT / 2, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "float32")[None]
    stereo_T = np.eye(4, dtype="float32")[None].copy()
    stereo_T[0, 0, 3] = -BASELINE
    batch = {"color/0/0": target, "color/s/0": right, "K/0": K, "inv_K/0": np.linalg.inv(K), "stereo_T": stereo_T}
    batch["map/depth_hints"] = hint_metres.reshape(1, 1, HEIGHT, WIDTH).astype("float32")
    disp = np.full((1, 1, HEIGHT, WIDTH), (1 / depth - 0.01) / (10 - 0.01), "float32")
    return {key: paddle.to_tensor(value) for key, value in batch.items()}, {"disp/0": paddle.to_tensor(disp)}


def hint_term(hint_metres: np.ndarray, depth: float):
    batch, outputs = wall(hint_metres, depth)
    views = monodepth2_loss(("s",), (0,)).synthesise_views(batch, outputs)
    return DepthHintLoss(METRES)(batch, outputs, views)


def test_loss_equals_numpy():
    random = np.random.default_rng(1)
    depth, hint = random.uniform(0.5, 30, (2, 3, 1, 4, 5)).astype("float32")
    mask = (random.random((3, 1, 4, 5)) < 0.4).astype("float32")
    expected = np.log(1 + abs(depth - hint))[mask == 1].mean()
    got = log_l1_loss(*map(paddle.to_tensor, (depth, hint, mask)))
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_equals_finite_differences():
    random = np.random.default_rng(2)
    depth, hint = random.uniform(1, 9, (2, 1, 1, 2, 3))
    mask = paddle.to_tensor(np.array([[[[1, 0, 1], [1, 1, 0]]]], "float64"))
    variable = paddle.to_tensor(depth, stop_gradient=False)
    log_l1_loss(variable, paddle.to_tensor(hint), mask).backward()
    for index in np.ndindex(depth.shape):
        values = []
        for step in (1e-6, -1e-6):
            moved = depth.copy()
            moved[index] += step
            values.append(log_l1_loss(paddle.to_tensor(moved), paddle.to_tensor(hint), mask).item())
        assert variable.grad.numpy()[index] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("hint", "depth", "follows"),
    [(TRUE, 3.0, True), (3.0, TRUE, False), (0.0, 3.0, False), (TRUE, TRUE, False)],
    ids=["better", "worse", "unknown", "equal"],
)
def test_only_a_better_hint_is_followed(hint, depth, follows):
    result = hint_term(np.full((HEIGHT, WIDTH), hint * METRES), depth)
    share = result.scalars["hint_share"].item()
    assert (share > 0.8) if follows else (share == 0 or (hint == TRUE and share < 0.5))
    if follows:
        assert result.loss.item() == pytest.approx(np.log(2.0), rel=1e-4)  # one unit too far
    elif hint != TRUE:
        assert result.loss.item() == 0.0


def test_hints_apply_pixel_by_pixel():
    """Only the left half has hints: with the errors from the views, each pixel decides for itself."""
    metres = np.zeros((HEIGHT, WIDTH))
    metres[:, : WIDTH // 2] = TRUE * METRES
    batch, outputs = wall(metres, 3.0)
    (view,) = monodepth2_loss(("s",), (0,)).synthesise_views(batch, outputs)
    result = DepthHintLoss(METRES)(batch, outputs, [view])
    target = TargetStatistics(batch["color/0/0"])
    known = metres > 0
    depth = paddle.to_tensor(np.where(known, TRUE, 1e3).astype("float32")[None, None])
    by_hint = photometric_error(view.frames.synthesis.warp("s", depth), target).numpy()[0, 0]
    by_prediction = photometric_error(view.warped["s"], target).numpy()[0, 0]
    assert result.scalars["hint_share"].item() == pytest.approx((known & (by_hint < by_prediction)).mean())


def test_gradient_pulls_depth_to_the_hint_and_leaves_the_other_pixels():
    metres = np.zeros((HEIGHT, WIDTH))
    metres[8:, 8:] = TRUE * METRES
    batch, outputs = wall(metres, 3.0)
    outputs["disp/0"].stop_gradient = False
    views = monodepth2_loss(("s",), (0,)).synthesise_views(batch, outputs)
    DepthHintLoss(METRES)(batch, outputs, views).loss.backward()
    gradient = outputs["disp/0"].grad.numpy()[0, 0]
    assert (gradient[8:, 8:] <= 0).all() and (gradient[8:, 8:] < 0).mean() > 0.8  # descending raises disparity
    assert (gradient[:8] == 0).all() and (gradient[:, :8] == 0).all()


def test_smaller_comparisons_take_the_nearest_hint():
    metres = paddle.to_tensor(np.arange(32, dtype="float32").reshape(1, 1, 4, 8) + 1)
    image = paddle.ones([1, 3, 2, 4])

    synthesis = SimpleNamespace(warp=lambda source, depth: image)
    frames = SimpleNamespace(target=TargetStatistics(image), synthesis=synthesis)
    hint, error = DepthHintLoss(1.0)._hint_and_error(metres, frames)
    assert hint.shape == [1, 1, 2, 4] and set(hint.numpy().ravel()) <= set(range(1, 33))
    assert error.numpy().max() == pytest.approx(0, abs=1e-6)
