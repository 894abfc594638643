"""A run that learns intrinsics and metric scale: its logs, its weights, and training from these weights."""

import json
from pathlib import Path

import numpy as np
import paddle
import pytest

from common.errors import DataError
from inference.depth_predictor import DepthPredictor
from options import Options
from serialization.weights_folder import read_weights_info, save_weights
from tools.reporting.frame_panels import run_frames
from tools.reporting.run_folder import read_run
from tools.synthetic.world import World, generate
from trainer import Trainer
from training.initial_weights import initialise_weights
from training.setup import build_data, build_model
from training.validation import describe_intrinsics

SIZE = {"height": 64, "width": 96}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Three drives of three frames; the split "synthetic" has two training lines."""
    folder = tmp_path_factory.mktemp("worlds") / "world"
    generate(World(**SIZE, frames=9, seed=3), folder, num_workers=0)
    return folder


@pytest.fixture(scope="module")
def options(world, tmp_path_factory):
    def make(**changes) -> Options:
        settings = {
            **{"data_path": str(world), "split": "synthetic", "dataset": "kitti_depth", **SIZE, "batch_size": 2},
            **{"log_dir": str(tmp_path_factory.mktemp("logs")), "num_workers": 0, "weights_init": "scratch"},
            **{"device": "cpu", "max_steps": 1, "compile": "off", "keep_checkpoints": 1},
            **{"pose_model_type": "shared", "learn_intrinsics": True, "velocity_weight": 0.05, **changes},
        }
        return Options(**settings, explicitly_set=frozenset(settings))

    return make


@pytest.fixture(scope="module")
def trained(options) -> Trainer:
    trainer = Trainer.from_options(options())
    trainer.train()
    return trainer


def test_intrinsics_and_scale_are_stored_with_the_weights(trained):
    weights = trained.weights.folder / "weights_best"
    assert (weights / "intrinsics.pdparams").is_file()
    info = read_weights_info(weights)
    assert info.metres_per_unit == 5.4
    # One step of Adam at a learning rate of 1e-4 changes little.
    assert info.intrinsics == pytest.approx((96 * np.log(2), 96 * np.log(2), 47.5, 31.5), rel=0.05)
    assert DepthPredictor.from_folder(weights).scale == 5.4


def test_both_are_logged(trained):
    lines = [json.loads(line) for line in (trained.opt.run_dir / "scalars.jsonl").read_text().splitlines()]
    assert lines[0]["velocity"] > 0
    validation = next(line for line in lines if line["part"] == "val")
    names = [f"intrinsics/{name}" for name in ("fx", "fy", "cx", "cy")]
    assert tuple(validation[name] for name in names) == trained.intrinsics


def test_the_report_uses_the_learned_intrinsics(trained):
    run = read_run(trained.opt.run_dir)
    frames, _ = run_frames(run.options, None, 1)
    assert frames[0].warped.keys() == {-1, 1}
    fx, _, cx, _ = trained.intrinsics
    assert (frames[0].K[0, 0], frames[0].K[0, 2]) == pytest.approx((fx, cx), rel=0.02)  # the dataset's fx is 55.68


def test_training_from_these_weights_loads_the_learned_intrinsics(trained, options):
    weights = str(trained.weights.folder / "weights_best")
    model = build_model(options())
    initialise_weights(model, options(load_weights_folder=weights))
    np.testing.assert_array_equal(model.intrinsics.net.bias.numpy(), trained.model.intrinsics.net.bias.numpy())


def test_weights_without_intrinsics_can_be_loaded(options, tmp_path):
    paddle.seed(1)
    released = build_model(options(learn_intrinsics=False))
    save_weights(tmp_path / "w", released.networks(), {**SIZE, "use_stereo": False})
    model = build_model(options())
    lines = initialise_weights(model, options(load_weights_folder=str(tmp_path / "w")))
    assert lines[-1] == "not loaded, random: intrinsics"
    np.testing.assert_array_equal(model.pose.net[0].weight.numpy(), released.pose.net[0].weight.numpy())


def test_displacement_agrees_with_the_true_poses(world, options):
    dataset = build_data(options(), "train").dataset
    for i, line in enumerate(dataset.lines):
        positions = dataset.poses(line.folder)[:, :3, 3]
        for frame in (-1, 1):
            true = np.linalg.norm(positions[line.frame + frame] - positions[line.frame])
            displacement = dataset[i][f"displacement/{frame}"]
            assert displacement.dtype == np.float32 and displacement == pytest.approx(true, rel=0.03)


def test_a_split_without_speeds_is_rejected(world, options, monkeypatch):
    monkeypatch.setattr("datasets.kitti_dataset.read_speed", lambda path: None)
    with pytest.raises(DataError, match=r"--velocity_weight .*oxts"):
        build_data(options(), "train")
    sample = build_data(options(), "val").dataset[0]
    assert np.isnan(sample["displacement/1"])


def test_description_of_learned_intrinsics():
    # 2 atan(48 / 48) horizontally, 2 atan(32 / 55.4256) vertically, between the outer edges of the image.
    text = describe_intrinsics((48, 32 * np.sqrt(3), 47.5, 31.5), 64, 96)
    assert "fx 48.0, fy 55.4, cx 47.5, cy 31.5 pixels" in text
    assert "horizontal FOV 90.0" in text and "vertical FOV 60.0" in text
