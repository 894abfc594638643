"""Learned intrinsics: initial values, consistency over scales, gradients from the loss."""

import numpy as np
import paddle
import pytest

from layers.self_supervised_loss import monodepth2_loss
from networks.intrinsics_decoder import IntrinsicsDecoder, intrinsics_outputs
from networks.monodepth import Monodepth

SIZE = (64, 96)


def images(*frames):
    random = np.random.default_rng(0)
    return {f"color_aug/{f}/0": paddle.to_tensor(random.random((1, 3, *SIZE), dtype="float32")) for f in frames}


def test_initial_principal_point_is_the_centre_and_focal_length_0_69_of_the_longer_side():
    features = [paddle.randn([2, 5, 2, 3])]
    log_2 = np.log(2)  # softplus of 0
    for height, width in (SIZE, SIZE[::-1]):
        expected = [[96 * log_2, 96 * log_2, (width - 1) / 2, (height - 1) / 2]] * 2
        np.testing.assert_allclose(IntrinsicsDecoder(5)(features, height, width).numpy(), expected, rtol=1e-6)


def test_focal_length_is_positive_and_outputs_are_scaled():
    decoder = IntrinsicsDecoder(5)
    features = [paddle.zeros([1, 5, 2, 3])]
    decoder.net.bias.set_value(np.array([-50.0, 0.0, 0.0], "float32"))
    assert 0 < decoder(features, 64, 96).numpy()[0, 0] < 0.01
    decoder.net.bias.set_value(np.array([1 / 0.3, 20.0, -20.0], "float32"))
    # softplus(1) = 1.3133; the principal point moves by a tenth of the image size.
    expected = (96 * 1.3133, 96 * 1.3133, 47.5 + 9.6, 31.5 - 6.4)
    assert decoder(features, 64, 96).numpy()[0] == pytest.approx(expected, rel=1e-4)


def test_pixel_aspect_ratio_is_kept():
    """Images of 96x64 with fy / fx of 2 and 0.5; at 0.5, the longer side is the height, 128 pixel widths."""
    aspect = paddle.to_tensor([2.0, 0.5])
    found = IntrinsicsDecoder(5)([paddle.zeros([2, 5, 2, 3])], 64, 96, aspect).numpy()[:, :2]
    log_2 = np.log(2)
    np.testing.assert_allclose(found, [[96 * log_2, 192 * log_2], [128 * log_2, 64 * log_2]], rtol=1e-6)


def test_the_model_uses_only_the_aspect_ratio_of_the_dataset_intrinsics():
    model = Monodepth(scales=(0,), learn_intrinsics=True)
    K = np.diag([30.0, 45.0, 1.0, 1.0]).astype("float32")[np.newaxis]
    outputs = model({**images(0, -1, 1), "K/0": paddle.to_tensor(K)})
    np.testing.assert_allclose(outputs["K/0"].numpy()[0, :2, :3], [[66.542, 0, 47.5], [0, 99.813, 31.5]], rtol=1e-4)


def test_all_scales_describe_the_same_camera():
    outputs = intrinsics_outputs(paddle.to_tensor([[60.0, 50.0, 47.5, 30.0]]), (0, 2))
    np.testing.assert_allclose(
        outputs["K/2"].numpy()[0], [[15, 0, 11.5, 0], [0, 12.5, 7.125, 0], [0, 0, 1, 0], [0, 0, 0, 1]], rtol=1e-6
    )
    for scale in (0, 2):
        product = outputs[f"K/{scale}"].numpy() @ outputs[f"inv_K/{scale}"].numpy()
        np.testing.assert_allclose(product[0], np.eye(4), atol=1e-5)


@pytest.mark.parametrize(
    ("pose_model_type", "pose_model_input"),
    [("separate_resnet", "pairs"), ("separate_resnet", "all"), ("shared", "pairs")],
)
def test_the_loss_uses_predicted_intrinsics_and_gives_them_gradients(pose_model_type, pose_model_input):
    paddle.seed(0)
    model = Monodepth(
        scales=(0,), pose_model_type=pose_model_type, pose_model_input=pose_model_input, learn_intrinsics=True
    )
    frames = images(0, -1, 1)
    outputs = model(frames)
    batch = {key.replace("color_aug", "color"): image for key, image in frames.items()}  # no K: it is predicted
    losses, _ = monodepth2_loss((-1, 1), (0,))(batch, outputs)
    losses["loss"].backward()
    gradient = model.intrinsics.net.bias.grad.numpy()
    assert np.isfinite(gradient).all() and (gradient != 0).all()


def test_without_the_option_there_is_no_network_and_no_output():
    model = Monodepth(scales=(0,), pose_model_type="posecnn")
    assert "intrinsics" not in model.networks()
    assert not any(key.startswith(("K/", "inv_K/")) for key in model(images(0, -1, 1)))


def test_the_loss_corrects_a_wrong_focal_length():
    """A known rotation determines the focal length by the shift of the image in pixels (Gordon et al.)."""
    angle, focal, width = 0.05, 80.0, 96
    random = np.random.default_rng(1)
    waves = [(random.uniform(0.05, 0.4), random.uniform(0, 6), random.random()) for _ in range(12)]

    def scene(x):  # brightness by the tangent of the horizontal angle; constant vertically
        return 0.5 + 0.05 * sum(a * np.sin(focal * k * x + p) for k, p, a in waves)

    tangents = (np.arange(width) - (width - 1) / 2) / focal
    turned = np.tan(np.arctan(tangents) + angle)
    frames = {0: scene(tangents), 1: scene(turned)}
    batch = {
        f"color/{f}/0": paddle.to_tensor(np.broadcast_to(row, (1, 3, 8, width)).astype("float32").copy())
        for f, row in frames.items()
    }
    T = np.eye(4, dtype="float32")
    T[0, [0, 2]], T[2, [0, 2]] = (np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))
    decoder = IntrinsicsDecoder(1)
    decoder.net.weight.stop_gradient = True
    compute_loss = monodepth2_loss((1,), (0,), disparity_smoothness=0.0, automasking=False)
    optimizer = paddle.optimizer.Adam(0.2, parameters=[decoder.net.bias])
    for _ in range(30):
        K = intrinsics_outputs(decoder([paddle.zeros([1, 1, 1, 1])], 8, width), (0,))
        outputs = {
            "disp/0": paddle.full([1, 1, 8, width], 0.1),
            "T_target_to_source/1": paddle.to_tensor(T[None]),
            **K,
        }
        compute_loss(batch, outputs)[0]["loss"].backward()
        optimizer.step()
        optimizer.clear_grad()
    assert K["K/0"][0, 0, 0].item() == pytest.approx(focal, rel=0.05)  # initially 66.5
