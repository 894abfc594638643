"""Networks against numbers of the original implementation, and against the keys of released checkpoints."""

import json

import numpy as np
import paddle
import pytest

from networks.monodepth import Monodepth
from networks.pose_cnn import PoseCNN
from networks.pose_decoder import PoseDecoder
from networks.resnet_encoder import ResnetEncoder, stack_first_convolution


def as_tensor(images: np.ndarray) -> paddle.Tensor:
    return paddle.to_tensor(images.transpose(0, 3, 1, 2).astype("float32") / 255)


def assert_agrees(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare to a relative 1e-4; small entries carry the absolute rounding error of the largest ones."""
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def arrays(load_reference):
    return load_reference("networks_geometry.npz")


@pytest.mark.parametrize("num_layers", [18, 50])
def test_encoder_and_decoder(arrays, fill_by_rule, num_layers):
    networks = Monodepth(depth_network=f"resnet{num_layers}", frame_ids=(0,)).networks()
    for role, network in networks.items():
        fill_by_rule(network, f"{role}{num_layers}")
        network.eval()
    with paddle.no_grad():
        features = networks["encoder"](as_tensor(arrays["image_0"]))
        disps = networks["depth"](features)
    for i, feature in enumerate(features):
        assert_agrees(feature.mean(axis=[2, 3]).numpy(), arrays[f"r{num_layers}_feature{i}_mean"])
    for scale, disp in disps.items():
        # The weights of ``fill_by_rule`` saturate nearly the whole map. Elsewhere the sigmoid's inputs are differences
        # of numbers in the hundreds: there the reference's float32 differs by up to 6e-4 from the same network in
        # float64, and rounding depends on the CPU. Hence a tight bound for the map, and a loose one for single pixels.
        expected = arrays[f"r{num_layers}_disp{scale}"]
        errors = np.abs(disp.numpy() - expected)
        assert np.linalg.norm(errors) <= 1e-4 * np.linalg.norm(expected), scale
        assert np.quantile(errors, 0.99) <= 1e-3 and errors.max() <= 1e-2, scale


def test_pose_networks(arrays, fill_by_rule):
    pair = paddle.concat([as_tensor(arrays["image_m1"]), as_tensor(arrays["image_0"])], axis=1)
    encoder = ResnetEncoder(18, num_input_images=2)
    decoder = PoseDecoder(encoder.num_ch_enc, num_input_features=1, num_motions=2)
    posecnn = PoseCNN(2)
    for network, module in ((encoder, "pose_encoder"), (decoder, "pose"), (posecnn, "posecnn")):
        fill_by_rule(network, module)
        network.eval()
    with paddle.no_grad():
        motions = {"pose": decoder([encoder(pair)[-1]]), "posecnn": posecnn(pair)}
    for name, (axis_angle, translation) in motions.items():
        for value, key in ((axis_angle, "axisangle"), (translation, "translation")):
            assert_agrees(value.numpy(), arrays[f"{name}_{key}"].squeeze(2))


def test_state_dicts_have_the_keys_of_released_checkpoints(reference_dir):
    layout = json.loads((reference_dir / "released_checkpoint_layout.json").read_text())
    networks = Monodepth().networks()
    assert networks.keys() == layout.keys()
    for role, network in networks.items():
        ours = {key: list(value.shape) for key, value in network.state_dict().items()}
        released = {key: shape for key, shape in layout[role].items() if ".fc." not in key}
        assert ours == released


@pytest.mark.parametrize("num_layers", [34, 101, 152])
def test_deeper_encoders_have_the_declared_channels_and_sizes(num_layers):
    encoder = ResnetEncoder(num_layers)
    encoder.eval()
    with paddle.no_grad():
        features = encoder(paddle.zeros([1, 3, 32, 64]))
    assert [f.shape[1] for f in features] == list(encoder.num_ch_enc)
    assert [tuple(f.shape[2:]) for f in features] == [(16, 32), (8, 16), (4, 8), (2, 4), (1, 2)]


def test_initial_values_are_those_of_the_reference():
    paddle.seed(0)
    networks = Monodepth().networks()
    # Decoder: uniform in +-1 / sqrt(fan_in), standard deviation 1 / sqrt(3 fan_in).
    convolution = networks["depth"].decoder[0].conv.conv
    bound = 1 / np.sqrt(512 * 9)
    assert float(convolution.weight.abs().max()) <= bound
    assert float(convolution.weight.std()) == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert 0 < float(convolution.bias.abs().max()) <= bound
    # Encoder: normal with variance 2 / fan_out.
    first = networks["pose_encoder"].encoder.conv1.weight
    assert float(first.std()) == pytest.approx(np.sqrt(2 / (64 * 49)), rel=0.03)
    inner = networks["encoder"].encoder.layer4[0].conv1.weight
    assert float(inner.std()) == pytest.approx(np.sqrt(2 / (512 * 9)), rel=0.01)


def test_stacked_first_convolution_has_the_same_response_to_repeated_images():
    single, double = ResnetEncoder(18), ResnetEncoder(18, num_input_images=2)
    weight = single.encoder.conv1.weight
    double.encoder.conv1.weight.set_value(stack_first_convolution(weight, 2))
    image = paddle.rand([1, 3, 32, 32])
    once = single.encoder.conv1(image)
    twice = double.encoder.conv1(paddle.concat([image, image], axis=1))
    np.testing.assert_allclose(once.numpy(), twice.numpy(), rtol=1e-4, atol=1e-4)
