"""Initial weights by options: from scratch, pretrained encoders, folders of weights."""

import numpy as np
import paddle
import pytest

from common.errors import WeightsError
from options import parse_options
from serialization.pdparams import write_pdparams
from serialization.weights_folder import save_weights
from training.initial_weights import initialise_weights
from training.setup import build_model


def options(line: str = ""):
    return parse_options(line.split())


def test_scratch_loads_nothing():
    assert initialise_weights(build_model(options("--weights_init scratch")), options("--weights_init scratch")) == []


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("--frame_ids 0 --use_stereo", 0.05),
        ("--frame_ids 0 -1 1", 0.5),
        ("--frame_ids 0 --use_stereo --depth_network lite_mono_tiny", 0.05),
        ("--frame_ids 0 --use_stereo --initial_disparity 0.3 --depth_network convnext_tiny", 0.3),
    ],
)
def test_new_depth_decoders_start_at_the_initial_disparity(words, value):
    paddle.seed(3)
    opt = options(f"--weights_init scratch {words}")
    model = build_model(opt)
    initialise_weights(model, opt)
    model.eval()
    with paddle.no_grad():
        disps = model.disparities({"color_aug/0/0": paddle.rand([1, 3, 64, 96])})
    for scale in opt.scales:
        assert 0.6 * value < float(disps[f"disp/{scale}"].mean()) < 1.6 * value


def test_loaded_depth_decoders_keep_their_disparity(tmp_path):
    opt = options("--frame_ids 0 --use_stereo --weights_init scratch")
    saved = build_model(opt)
    save_weights(tmp_path / "w", saved.networks(), {"height": 64, "width": 96, "use_stereo": True})
    opt = options(f"--frame_ids 0 --use_stereo --weights_init scratch --load_weights_folder {tmp_path / 'w'}")
    model = build_model(opt)
    initialise_weights(model, opt)
    for ours, theirs in zip(model.depth.heads, saved.depth.heads, strict=True):
        np.testing.assert_array_equal(ours.bias.numpy(), theirs.bias.numpy())


@pytest.fixture
def backbone_file(tmp_path):
    """A file with a ResNet18 of ones, with Paddle's parameter names and a classifier."""
    resnet = build_model(options()).encoder.encoder
    arrays = {name: np.ones(value.shape, "float32") for name, value in resnet.state_dict().items()}
    arrays["fc.weight"] = np.ones((512, 1000), "float32")
    write_pdparams(tmp_path / "ones.pdparams", arrays)
    return tmp_path / "ones.pdparams"


def test_backbone_is_loaded_into_both_encoders_and_divided_among_stacked_images(backbone_file):
    opt = options(f"--weights_init {backbone_file}")
    model = build_model(opt)
    table = initialise_weights(model, opt)
    assert [line.split()[0] for line in table[:-1]] == ["network", "encoder", "pose_encoder"]
    assert all("100 of 100" in line and line.endswith(f"0  {backbone_file}") for line in table[1:-1])
    assert table[-1] == "not loaded, random: depth, pose"
    np.testing.assert_array_equal(model.encoder.encoder.conv1.weight.numpy(), 1.0)
    np.testing.assert_array_equal(model.pose_encoder.encoder.conv1.weight.numpy(), 0.5)
    np.testing.assert_array_equal(model.pose_encoder.encoder.layer4[0].conv1.weight.numpy(), 1.0)


@pytest.mark.parametrize("network", ["efficientnet_lite0", "mobilenet_v3_large", "convnext_tiny"])
def test_any_encoder_sees_one_image_or_a_pair(tmp_path, network):
    """A pair of equal images gives the features of the image, after the first convolution was divided."""
    paddle.seed(2)
    opt = options(f"--depth_network {network} --weights_init {tmp_path}")
    model = build_model(opt)
    backbone = {name: value.numpy() for name, value in model.encoder.state_dict().items()}
    write_pdparams(tmp_path / f"{network}.pdparams", backbone)
    fresh = build_model(opt)
    initialise_weights(fresh, opt)
    image = paddle.rand([1, 3, 32, 64])
    for each in (model, fresh):
        each.eval()
    with paddle.no_grad():
        expected = model.encoder(image)[-1].numpy()
        found = fresh.encoder(image)[-1].numpy(), fresh.pose_encoder(paddle.concat([image, image], axis=1))[-1].numpy()
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_allclose(found[1], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_two_different_encoders_need_a_folder(tmp_path, backbone_file):
    opt = options(f"--depth_network lite_mono_tiny --weights_init {backbone_file}")
    with pytest.raises(WeightsError, match=r"file of one network.*lite_mono_tiny and resnet18.*lite_mono_tiny\.pth"):
        initialise_weights(build_model(opt), opt)


def test_only_models_to_load_are_loaded(tmp_path, backbone_file):
    opt = options("--weights_init scratch")
    paddle.seed(1)
    saved = build_model(opt)
    save_weights(tmp_path / "w", saved.networks(), {"height": 64, "width": 96, "use_stereo": False})

    opt = options(
        f"--weights_init {backbone_file} --load_weights_folder {tmp_path / 'w'} --models_to_load encoder pose"
    )
    model = build_model(opt)
    table = initialise_weights(model, opt)
    files = {line.split()[0]: line.split()[-1] for line in table[1:4]}
    assert files["encoder"].endswith("w/encoder.pdparams") and files["pose_encoder"] == str(backbone_file)
    assert "pose" in files and table[4:] == ["not loaded, random: depth"]
    for role, equal in (("encoder", True), ("pose", True), ("depth", False)):
        ours, theirs = (next(iter(getattr(m, role).parameters())).numpy() for m in (model, saved))
        assert np.array_equal(ours, theirs) is equal, role
    # Encoders that are not in models_to_load start from the backbone.
    np.testing.assert_array_equal(model.pose_encoder.encoder.conv1.weight.numpy(), 0.5)


def test_a_missing_network_is_reported(tmp_path):
    opt = options("--frame_ids 0 --use_stereo --weights_init scratch")
    networks = build_model(opt).networks()
    save_weights(tmp_path / "w", networks, {"height": 64, "width": 96, "use_stereo": True})
    opt = options(f"--load_weights_folder {tmp_path / 'w'}")
    with pytest.raises(WeightsError, match=r"pose_encoder\.pdparams.*--models_to_load"):
        initialise_weights(build_model(opt), opt)
