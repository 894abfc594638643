"""The loss on cases calculated by hand."""

import numpy as np
import paddle
import pytest

from layers.self_supervised_loss import monodepth2_loss

HEIGHT, WIDTH, FOCAL, BASELINE = 32, 64, 60.0, 0.1


def depth_to_disp(depth: float, min_depth: float = 0.1, max_depth: float = 100.0) -> float:
    """Return the sigmoid output for a depth."""
    return (1 / depth - 1 / max_depth) / (1 / min_depth - 1 / max_depth)


def shifted(image: np.ndarray, pixels: int) -> np.ndarray:
    """Return the view of a camera further right by ``pixels`` of disparity: the image moves left."""
    return np.concatenate([image[..., pixels:], np.repeat(image[..., -1:], pixels, axis=-1)], axis=-1)


def make_inputs(sources: dict, depth: float, scales=(0,)):
    """Return batch and outputs for a wall at ``depth``; motions are the identity."""
    random = np.random.default_rng(0)
    target = random.random((1, 3, HEIGHT, WIDTH), dtype="float32")
    K = np.array([[FOCAL, 0, WIDTH / 2, 0], [0, FOCAL, HEIGHT / 2, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "float32")[None]
    stereo_T = np.eye(4, dtype="float32")[None].copy()
    stereo_T[0, 0, 3] = -BASELINE
    batch = {f"color/{f}/0": paddle.to_tensor(make(target)) for f, make in sources.items()}
    batch["color/0/0"] = paddle.to_tensor(target)
    batch["K/0"], batch["inv_K/0"] = paddle.to_tensor(K), paddle.to_tensor(np.linalg.inv(K))
    batch["stereo_T"] = paddle.to_tensor(stereo_T)
    outputs = {"disp/0": paddle.full([1, 1, HEIGHT, WIDTH], depth_to_disp(depth))}
    for f in sources:
        outputs[f"T_target_to_source/{f}"] = paddle.eye(4).unsqueeze(0)
    return batch, outputs


def same(image):
    """A static camera."""
    return image


def right_camera(image):
    """The wall at depth 2 has a disparity of 60 * 0.1 / 2 = 3 pixels."""
    return shifted(image, 3)


def loss_of(sources: dict, depth: float, training: bool = False, **settings) -> dict:
    compute_loss = monodepth2_loss(tuple(sources), (0,), **settings)
    compute_loss.train() if training else compute_loss.eval()
    losses, maps = compute_loss(*make_inputs(sources, depth))
    return {**{name: value.item() for name, value in losses.items()}, "maps": maps}


def test_overlays_do_not_count():
    """The lower half of the sources is noise, which the mask excludes; SSIM windows reach one row across."""
    batch, outputs = make_inputs({"s": right_camera}, 2.0)
    compute_loss = monodepth2_loss(("s",), (0,), automasking=False).eval()
    clean = compute_loss(batch, outputs)[0]["loss"].item()
    noisy = {**batch, "color/s/0": batch["color/s/0"].clone()}
    noisy["color/s/0"][:, :, HEIGHT // 2 :] = paddle.rand([1, 3, HEIGHT // 2, WIDTH])
    overlays = paddle.zeros([1, 1, HEIGHT, WIDTH])
    assert compute_loss({**batch, "map/overlays": overlays}, outputs)[0]["loss"].item() == pytest.approx(
        clean, rel=1e-6
    )
    overlays[:, :, HEIGHT // 2 - 2 :] = 1
    masked = [compute_loss({**views, "map/overlays": overlays}, outputs) for views in (batch, noisy)]
    assert masked[0][0]["loss"].item() == masked[1][0]["loss"].item() < compute_loss(noisy, outputs)[0]["loss"].item()
    assert not masked[1][1]["auto_mask"][:, :, HEIGHT // 2 :].any()
    assert masked[1][0]["auto_mask"].item() == 1  # the share of the pixels that count


def test_the_true_depth_explains_the_stereo_pair():
    losses = {depth: loss_of({"s": right_camera}, depth)["loss"] for depth in (1.5, 2.0, 3.0)}
    # 3 of 64 columns are visible only in the left camera and cannot be explained, nor can pixels whose SSIM window
    # overlaps them.
    assert losses[2.0] < 0.25 * min(losses[1.5], losses[3.0])


def test_the_true_depth_keeps_nearly_all_pixels_and_names_their_source():
    result = loss_of({-1: same, "s": right_camera}, 2.0)
    # The neighbouring frame is identical: unwarped, it explains all pixels, and none is kept.
    assert result["auto_mask"] == 0.0 and result["source/s"] == 0.0
    moving = loss_of({-1: lambda image: 1 - image, "s": right_camera}, 2.0)
    assert moving["auto_mask"] > 0.9 and moving["source/s"] > 0.9
    assert moving["source/s"] + moving["source/-1"] == pytest.approx(moving["auto_mask"])
    assert moving["maps"]["auto_mask"].shape == [1, 1, HEIGHT, WIDTH]


def test_masked_pixels_do_not_count():
    """The source differs from the target in the left half; pixels with a window across the border differ too."""

    def half_wrong(image):
        return np.concatenate([1 - image[..., : WIDTH // 2], image[..., WIDTH // 2 :]], axis=-1)

    compute_loss = monodepth2_loss((1,), (0,), automasking=False)
    batch, outputs = make_inputs({1: half_wrong}, 5.0)
    plain, _ = compute_loss(batch, outputs)
    assert "valid" not in plain and plain["loss"].item() > 0.1
    objects = np.zeros((1, 1, HEIGHT, WIDTH), "float32")
    objects[..., : WIDTH // 2 + 1] = 1
    masked, _ = compute_loss({**batch, "map/mask_dir": paddle.to_tensor(objects)}, outputs)
    assert masked["loss"].item() == pytest.approx(0, abs=1e-6)
    assert masked["valid"].item() == pytest.approx(0.5 - 1 / WIDTH)
    # The mean is over all pixels, so that those that count keep their weight: both halves add up.
    other, _ = compute_loss({**batch, "map/mask_dir": paddle.to_tensor(1 - objects)}, outputs)
    assert other["loss"].item() == pytest.approx(plain["loss"].item())


def test_a_static_camera_has_no_loss_but_smoothness():
    result = loss_of({-1: same, 1: same}, 5.0)
    assert result["loss"] == pytest.approx(0.0, abs=1e-7)  # a wall is smooth


def test_noise_breaks_ties_only_in_training():
    paddle.seed(0)
    shares = [loss_of({-1: same, 1: same}, 5.0, training=True)["auto_mask"] for _ in range(2)]
    # A pixel is kept where both noises exceed the warped error of 0: one in four.
    assert shares[0] != shares[1]
    assert shares == pytest.approx([0.25, 0.25], abs=0.05)
    assert loss_of({-1: same, 1: same}, 5.0)["auto_mask"] == 0.0


def test_separate_stereo_is_the_mean_of_both_losses():
    def moving(image):
        return shifted(image, 1)

    temporal = loss_of({-1: moving, 1: same}, 2.5)
    stereo = loss_of({"s": right_camera}, 2.5)
    both = loss_of({-1: moving, 1: same, "s": right_camera}, 2.5, separate_stereo=True)
    assert both["loss"] == pytest.approx((temporal["loss"] + stereo["loss"]) / 2, rel=1e-5)
    assert both["source/s"] == pytest.approx(stereo["source/s"])


def test_without_auto_masking_every_pixel_counts():
    result = loss_of({-1: same}, 2.0, automasking=False)
    assert result["auto_mask"] == 1.0


def test_average_and_minimum_over_sources():
    """One source explains all pixels, the other none: the minimum is 0, the average half the error of the second."""
    sources = {-1: same, 1: lambda image: 1 - image}
    alone = loss_of({1: sources[1]}, 2.0, automasking=False)["loss"]
    assert loss_of(sources, 2.0, automasking=False)["loss"] == pytest.approx(0.0, abs=1e-6)
    average = loss_of(sources, 2.0, automasking=False, avg_reprojection=True)["loss"]
    assert average == pytest.approx(alone / 2, rel=1e-4)


def test_gradient_moves_depth_towards_the_truth():
    batch, outputs = make_inputs({"s": right_camera}, 2.2)
    disp = outputs["disp/0"]
    disp.stop_gradient = False
    compute_loss = monodepth2_loss(("s",), (0,), automasking=False, disparity_smoothness=0.0)
    losses, _ = compute_loss(batch, outputs)
    losses["loss"].backward()
    assert float(disp.grad.mean()) < 0  # descending raises disparity: nearer, towards 2
