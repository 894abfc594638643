"""Published weights of encoders load completely, whatever their publisher calls the layers."""

import numpy as np
import paddle
import pytest
from torch_bytes import number, state_dict, tensor, text, write_state_dict, write_zip

from inference.depth_predictor import DepthPredictor
from networks.build import build_depth_network
from serialization.backbone import read_backbone
from serialization.naming import to_pytorch
from serialization.pdparams import write_pdparams
from serialization.published_names import recognised_network, to_own_names

SIZE = (64, 96)


def numpy_state(network):
    return {name: value.numpy() for name, value in network.state_dict().items()}


def randomised(network, seed=0):
    """Give every array of a network other values, so that exchanged ones are noticed."""
    random = np.random.default_rng(seed)
    for name, value in network.state_dict().items():
        value.set_value(
            (
                random.random(value.shape) + 0.5 if "_variance" in name else 0.1 * random.standard_normal(value.shape)
            ).astype("float32")
        )
    network.eval()
    return network


def test_paddles_mobilenet_has_the_same_output(tmp_path):
    """Load Paddle's own network, with random weights, and compare the last feature."""
    theirs = randomised(paddle.vision.models.MobileNetV3Large(num_classes=10, with_pool=False))
    write_pdparams(tmp_path / "mobilenet_v3_large.pdparams", numpy_state(theirs))
    arrays = read_backbone(tmp_path / "mobilenet_v3_large.pdparams", "mobilenet_v3_large")
    ours, _ = build_depth_network("mobilenet_v3_large", (0,))
    assert {name: value.shape for name, value in arrays.items()} == {
        name: tuple(value.shape) for name, value in ours.state_dict().items()
    }
    ours.set_state_dict(arrays)
    ours.eval()
    image = paddle.rand([1, 3, *SIZE])
    with paddle.no_grad():
        normalised = (image - paddle.to_tensor(ours.image_mean).reshape([1, 3, 1, 1])) / paddle.to_tensor(
            ours.image_std
        ).reshape([1, 3, 1, 1])
        expected = theirs.lastconv(theirs.blocks(theirs.conv(normalised))).numpy()
        found = ours(image)[-1].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


# Layers of timm's blocks, of mobilenetv3_large_100 and tf_efficientnet_lite0: own path -> theirs.
TIMM = {
    "mobilenet_v3_large": {
        "stem.conv": "conv_stem",
        "stem.norm": "bn1",
        "blocks.0.depthwise.conv": "blocks.0.0.conv_dw",
        "blocks.0.project.norm": "blocks.0.0.bn2",
        "blocks.2.project.conv": "blocks.1.1.conv_pwl",
        "blocks.3.squeeze.reduce": "blocks.2.0.se.conv_reduce",
        "blocks.9.expand.conv": "blocks.3.3.conv_pw",
        "blocks.11.squeeze.expand": "blocks.4.1.se.conv_expand",
        "blocks.14.depthwise.norm": "blocks.5.2.bn2",
        "head.conv": "blocks.6.0.conv",
        "head.norm": "blocks.6.0.bn1",
    },
    "efficientnet_lite0": {
        "blocks.0.project.conv": "blocks.0.0.conv_pw",
        "blocks.4.expand.norm": "blocks.2.1.bn1",
        "blocks.15.project.norm": "blocks.6.0.bn3",
    },
    "convnext_tiny": {
        "stem.1": "stem.1",
        "stages.2.downsample.0": "stages.2.downsample.0",
        "stages.2.blocks.8.mlp.fc1": "stages.2.blocks.8.mlp.fc1",
    },
}
FIRST = {"convnext_tiny": "stem.0.weight"}


@pytest.mark.parametrize("network", TIMM)
def test_timms_names(network):
    """Map the names; the classifier and the last norm are dropped."""
    theirs = {FIRST.get(network, "conv_stem.weight"): np.zeros(1), "head.fc.weight": np.zeros(1)}
    theirs |= {"classifier.bias": np.zeros(1), "conv_head.weight": np.zeros(1), "head.norm.weight": np.zeros(1)}
    theirs |= {f"{path}.weight": np.full(1, i) for i, path in enumerate(TIMM[network].values())}
    found = to_own_names(network, theirs)
    expected = {f"{path}.weight" for path in TIMM[network]} | {FIRST.get(network, "stem.conv.weight")}
    assert found.keys() == expected
    for i, path in enumerate(TIMM[network]):
        assert found[f"{path}.weight"] == i
    state = build_depth_network(network, (0,))[0].state_dict()
    assert set(found) <= set(state)


def test_torchvisions_layer_scale_is_flattened():
    arrays = {"features.0.0.weight": np.zeros(1), "features.5.8.layer_scale": np.arange(3.0).reshape(3, 1, 1)}
    assert to_own_names("convnext_tiny", arrays)["stages.2.blocks.8.gamma"].tolist() == [0, 1, 2]


def test_own_names_and_unknown_networks_are_unchanged():
    for network in ("mobilenet_v3_large", "efficientnet_lite0", "convnext_tiny", "lite_mono_tiny"):
        state = numpy_state(build_depth_network(network, (0,))[0])
        assert to_own_names(network, state).keys() == state.keys()
    assert to_own_names("patches", {"conv.0.weight": np.zeros(1)}).keys() == {"conv.0.weight"}


@pytest.fixture(scope="module", params=["lite_mono", "lite_mono_small", "lite_mono_tiny", "lite_mono_8m"])
def lite_mono(request, tmp_path_factory):
    """Return a name, its networks, and a folder as released: a size, and what a profiler left in every layer."""
    encoder, decoder = (randomised(network) for network in build_depth_network(request.param, (0, 1, 2)))
    folder = tmp_path_factory.mktemp("released") / "w"
    folder.mkdir()
    for role, network in (("encoder", encoder), ("depth", decoder)):
        arrays = to_pytorch(numpy_state(network))
        layers = {"", *(f"{name.rpartition('.')[0]}." for name in arrays)}
        extras = {f"{layer}{key}": np.zeros(1) for layer in layers for key in ("total_ops", "total_params")}
        size = {"height": number(SIZE[0]), "width": number(SIZE[1])} if role == "encoder" else {}
        write_state_dict(folder / f"{role}.pth", {**arrays, **extras}, **size)
    return request.param, encoder, decoder, folder


def test_released_lite_mono_needs_no_option(lite_mono):
    """The network is recognised by its arrays, the size is in the file, nothing is left out."""
    name, encoder, decoder, folder = lite_mono
    predictor = DepthPredictor.from_folder(folder)
    assert predictor.size == SIZE and predictor.left_out == ()
    assert recognised_network(numpy_state(encoder)) == name
    image = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)
    with paddle.no_grad():
        batch = paddle.to_tensor(image.transpose(2, 0, 1)[None].astype("float32") / 255)
        disp = decoder(encoder(batch))[0].numpy()[0, 0]
    found = (predictor(image).scaled_disp - 0.01) / (10 - 0.01)
    np.testing.assert_allclose(found, disp, atol=1e-5)


def test_lite_mono_survives_a_conversion_to_pytorch(tmp_path):
    """Square matrices included, whose layout their shape does not show."""
    encoder = randomised(build_depth_network("lite_mono_tiny", (0,))[0])
    write_state_dict(tmp_path / "encoder.pth", to_pytorch(numpy_state(encoder)))
    arrays = read_backbone(tmp_path / "encoder.pth", "lite_mono_tiny")
    assert arrays.keys() == numpy_state(encoder).keys()
    for name, value in numpy_state(encoder).items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)


def test_imagenet_encoder_under_model(tmp_path):
    """A state under "model", with a classifier; other entries of the training are ignored."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(6) + b"tQ"
    first = "downsample_layers.0.0.conv.weight"
    inner = state_dict(**{name: tensor(storage) for name in (first, "head.weight", "norm1.weight")})
    content = state_dict(model=inner[2:-1], epoch=number(3))
    write_zip(tmp_path / "lite_mono.pth", content)
    arrays = read_backbone(tmp_path / "lite_mono.pth", "lite_mono")
    assert arrays.keys() == {first} and arrays[first].tolist() == [0, 1, 2, 3, 4, 5]
