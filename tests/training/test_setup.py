"""Model, loss and input size built from options."""

import numpy as np
import paddle
import pytest

from options import parse_options
from serialization.weights_folder import save_weights
from training.setup import build_loss, build_model, with_weights_size


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
