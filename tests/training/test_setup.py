"""Model, loss and initial weights built from options."""

import numpy as np
import paddle
import pytest

from common.errors import WeightsError
from options import parse_options
from serialization.pdparams import write_pdparams
from serialization.weights_folder import save_weights
from training.setup import build_loss, build_model, initialise_weights, with_weights_size


def options(line: str = ""):
    return parse_options(line.split())


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("", "source_frames", (-1, 1)),
        ("--use_stereo", "source_frames", (-1, 1, "s")),
        ("--frame_ids 0 --use_stereo", "source_frames", ("s",)),
        ("--frame_ids 0 -2 -1 1 2", "source_frames", (-2, -1, 1, 2)),
        ("--scales 0 2", "scales", (0, 2)),
        ("--min_depth 1 --max_depth 50", "depth_range", (1.0, 50.0)),
        ("--disparity_smoothness 0.01", "smoothness", 0.01),
        ("--no_ssim", "use_ssim", False),
        ("--disable_automasking", "automasking", False),
        ("--avg_reprojection", "avg_reprojection", True),
        ("--v1_multiscale", "v1_multiscale", True),
        ("--disable_automasking --predictive_mask", "predictive_mask", True),
        ("--pose_model_type posecnn", "scale_translation", True),
        ("--pose_model_type shared", "scale_translation", False),
        ("--use_stereo --separate_stereo", "groups", ((-1, 1), ("s",))),
        ("--use_stereo", "groups", ((-1, 1, "s"),)),
    ],
)
def test_loss_follows_the_options(line, attribute, value):
    compute_loss = build_loss(options(line))
    if attribute == "smoothness":
        assert compute_loss.weights["smoothness"] == value
    elif hasattr(compute_loss.synthesise_views, attribute):
        assert getattr(compute_loss.synthesise_views, attribute) == value
    else:
        assert getattr(compute_loss.terms["reprojection"], attribute) == value


def test_a_term_of_weight_0_is_left_out():
    assert "velocity" not in build_loss(options("")).terms
    assert build_loss(options("--velocity_weight 0.05")).weights["velocity"] == 0.05
    assert build_loss(options("--supervise_depth 0.5")).weights["depth"] == 0.5


COMBINATIONS = [
    "--frame_ids 0 -2 -1 1 2",
    "--frame_ids 0 -2 -1 1 2 --pose_model_input all --use_stereo",
    "--frame_ids 0 -1 1 2 --pose_model_type shared --pose_model_input all",
    "--pose_model_type shared --use_stereo",
    "--pose_model_type posecnn --use_stereo",
    "--pose_model_type posecnn --pose_model_input all",
    "--frame_ids 0 1",
    "--frame_ids 0 --use_stereo",
    "--disable_automasking --predictive_mask --use_stereo",
    "--use_stereo --separate_stereo --avg_reprojection",
    "--v1_multiscale --scales 0 1 --use_stereo",
]


@pytest.mark.parametrize("line", COMBINATIONS)
def test_every_combination_has_gradients(line):
    """Forward and backward pass give finite gradients to every network."""
    opt = options(line)
    paddle.seed(0)
    model, compute_loss = build_model(opt), build_loss(opt)
    model.train()
    batch = random_batch(opt)
    outputs = model(batch)
    losses, maps = compute_loss(batch, outputs)
    losses["loss"].backward()
    for role, network in model.networks().items():
        norms = [float(p.grad.norm()) for p in network.parameters() if p.grad is not None]
        assert norms and np.isfinite(norms).all() and max(norms) > 0, role
    assert set(maps) == {"auto_mask", *(f"warped/{f}" for f in opt.source_frames)}
    for f in opt.frame_ids[1:]:
        assert outputs[f"T_target_to_source/{f}"].shape == [2, 4, 4]


def random_batch(opt) -> dict:
    random = np.random.default_rng(0)
    stereo_T = np.eye(4, dtype="float32")
    stereo_T[0, 3] = -0.1
    batch = {"stereo_T": paddle.to_tensor(np.stack([stereo_T] * 2))}
    for f in opt.all_frames:
        image = paddle.to_tensor(random.random((2, 3, 64, 96), dtype="float32"))
        batch[f"color_aug/{f}/0"] = image
        for scale in range(4):
            batch[f"color/{f}/{scale}"] = image
            image = paddle.nn.functional.avg_pool2d(image, 2)
    for scale in range(4):
        w, h = 96 / 2**scale, 64 / 2**scale
        K = np.array([[w, 0, w / 2, 0], [0, w, h / 2, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "float32")
        batch[f"K/{scale}"] = paddle.to_tensor(np.stack([K] * 2))
        batch[f"inv_K/{scale}"] = paddle.to_tensor(np.stack([np.linalg.inv(K)] * 2))
    return batch


def test_scratch_loads_nothing():
    assert initialise_weights(build_model(options("--weights_init scratch")), options("--weights_init scratch")) == []


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


@pytest.mark.parametrize(
    ("given", "size"),
    [("", (64, 96)), ("--width 128", (64, 128)), ("--height 128 --width 64", (128, 64))],
)
def test_weights_set_the_size_unless_it_is_given(tmp_path, given, size):
    networks = build_model(options("--weights_init scratch --frame_ids 0 --use_stereo")).networks()
    save_weights(tmp_path / "w", networks, {"height": 64, "width": 96, "use_stereo": True})
    opt = with_weights_size(options(f"--load_weights_folder {tmp_path / 'w'} {given}"))
    assert (opt.height, opt.width) == size


def test_weights_without_a_size_keep_the_default(tmp_path):
    (tmp_path / "w").mkdir()
    opt = with_weights_size(options(f"--load_weights_folder {tmp_path / 'w'}"))
    assert (opt.height, opt.width) == (192, 640)


def test_a_missing_network_is_reported(tmp_path):
    opt = options("--frame_ids 0 --use_stereo --weights_init scratch")
    networks = build_model(opt).networks()
    save_weights(tmp_path / "w", networks, {"height": 64, "width": 96, "use_stereo": True})
    opt = options(f"--load_weights_folder {tmp_path / 'w'}")
    with pytest.raises(WeightsError, match=r"pose_encoder\.pdparams.*--models_to_load"):
        initialise_weights(build_model(opt), opt)
