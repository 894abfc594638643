"""Networks and depth range come from ``weights.json`` alone."""

import json

import numpy as np
import paddle
import pytest

from common.errors import OptionsError, WeightsError
from inference.depth_predictor import DepthPredictor
from inference.from_options import predictor_from
from inference.network_weights import input_size
from inference.pose_predictor import PosePredictor
from networks.monodepth import Monodepth
from options import parse_options
from serialization.weights_folder import save_weights
from training.setup import build_model, weights_info

SIZE = "--height 64 --width 96"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights trained with ResNet34, a PoseCNN and a custom depth range."""
    opt = parse_options(
        f"{SIZE} --depth_network resnet34 --pose_model_type posecnn --min_depth 0.5 --max_depth 50".split()
    )
    path = tmp_path_factory.mktemp("weights") / "w"
    paddle.seed(1)
    save_weights(path, build_model(opt).networks(), weights_info(opt, None))
    return path


def edit(folder, tmp_path, **model):
    """Copy the weights folder with other model settings, without a manifest."""
    copy = tmp_path / "w"
    copy.mkdir()
    for path in folder.glob("*.pdparams"):
        (copy / path.name).symlink_to(path)
    content = json.loads((folder / "weights.json").read_text())
    content["model"] |= model
    (copy / "weights.json").write_text(json.dumps(content))
    return copy


def test_networks_size_and_depth_range_come_from_the_weights(folder):
    predictor = DepthPredictor.from_folder(folder)
    assert predictor.size == (64, 96) and predictor.depth_range == (0.5, 50)
    assert sum(p.size for p in predictor.model.encoder.parameters()) > 21e6  # ResNet18 has 11 M
    assert predictor.left_out == ()
    motion = PosePredictor.from_folder(folder)
    assert type(motion.model.pose).__name__ == "PoseCNN" and motion.depth_range == (0.5, 50)


def test_options_override_stored_settings(folder):
    opt = parse_options(f"--load_weights_folder {folder} --max_depth 20 --width 128".split())
    predictor = predictor_from(opt)
    assert predictor.depth_range == (0.5, 20) and predictor.size == (64, 128)
    with pytest.raises(WeightsError, match="does not match the network"):
        predictor_from(parse_options(f"--load_weights_folder {folder} --num_layers 50".split()))
    with pytest.raises(OptionsError, match=r"--min_depth \(60\).*--max_depth \(50\)"):
        DepthPredictor.from_folder(folder, min_depth=60)


def test_depth_uses_the_stored_range(folder):
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    wide = DepthPredictor.from_folder(folder, min_depth=0.1, max_depth=100, engine="paddle")
    stored = DepthPredictor.from_folder(folder, engine="paddle")
    disp = (wide(image).scaled_disp - 0.01) / (10 - 0.01)
    np.testing.assert_allclose(stored(image).scaled_disp, 0.02 + (2 - 0.02) * disp, rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"type": "NoSuchModel"}, "NoSuchModel"),
        ({"depth_network": "resnet19"}, "resnet19"),
        ({"frame_ids": "0 -1 1"}, "frame_ids"),
        ({"stages": 4}, "stages"),
    ],
)
def test_an_unknown_model_or_setting_is_reported(folder, tmp_path, model, words):
    with pytest.raises(WeightsError, match=words):
        DepthPredictor.from_folder(edit(folder, tmp_path, **model))


def test_a_folder_without_a_model_name_is_loaded_as_resnet18(tmp_path):
    save_weights(tmp_path / "w", Monodepth.for_depth().networks(), {"height": 64, "width": 96, "use_stereo": False})
    assert "model" not in json.loads((tmp_path / "w" / "weights.json").read_text())
    assert DepthPredictor.from_folder(tmp_path / "w").depth_range == (0.1, 100.0)


@pytest.mark.parametrize("size", [(100, None), (None, 100), (96, 16)])
def test_sizes_that_are_not_multiples_of_32_are_rejected(size):
    assert input_size(None, 96, None) == (96, 640)
    with pytest.raises(OptionsError, match=r"^--(height|width): got \d+, allowed: multiples of 32, for example \d+ or"):
        input_size(None, *size)
