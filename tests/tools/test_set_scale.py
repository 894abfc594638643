"""Test the metric scale of weights: estimation, storage, use and errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from common.errors import DataError, OptionsError
from inference.depth_predictor import DepthPredictor, Prediction
from inference.network_weights import DEFAULT_SIZE
from networks.monodepth import Monodepth
from serialization.manifest import check_manifest
from serialization.weights_folder import read_weights_info, save_weights
from tools import set_scale

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 64, 128
# Predicted scene: a road 1.5 scene units below the camera, and a wall behind it.
FOCAL, HORIZON, WALL = 100.0, 20.0, 40.0


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    paddle.seed(0)
    folder = tmp_path_factory.mktemp("weights") / "w"
    save_weights(folder, Monodepth.for_depth().networks(), {"height": HEIGHT, "width": WIDTH, "use_stereo": False})
    return folder


@pytest.fixture
def weights(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "weights"))


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def road(monkeypatch):
    """Replace every prediction by the road."""
    slope = (np.arange(HEIGHT) - HORIZON) / FOCAL
    depth = np.minimum(1.5 / np.maximum(slope, 1e-3), WALL).astype(np.float32)
    depth = np.repeat(depth[:, np.newaxis], WIDTH, axis=1)
    monkeypatch.setattr(DepthPredictor, "__call__", lambda self, image: Prediction(1 / depth, depth, True))


@pytest.fixture
def set_it(monkeypatch, weights):
    def set_it_(*words):
        monkeypatch.setattr(sys, "argv", ["set_scale.py", "--load_weights_folder", str(weights), *map(str, words)])
        set_scale.main()

    return set_it_


@pytest.fixture
def camera(tmp_path) -> Path:
    """Write the camera's intrinsics file."""
    path = tmp_path / "camera.txt"
    path.write_text(f"{FOCAL} {FOCAL} 64 {HORIZON}")
    return path


def test_scale_from_height_is_stored_and_used(set_it, weights, image, camera, road, capsys):
    set_it(image, "--camera_height", 3.0, "--intrinsics", camera)
    printed = capsys.readouterr().out
    assert "A scene unit is 2 m, from the road in 1 of 1 images" in printed and "disagree" not in printed
    info = read_weights_info(weights)
    assert info.metres_per_unit == pytest.approx(2.0, rel=1e-3)
    assert (info.height, info.width, info.use_stereo) == (HEIGHT, WIDTH, False)
    assert check_manifest(weights)  # the manifest matches all files
    assert DepthPredictor.from_folder(weights).scale == info.metres_per_unit
    assert DepthPredictor.from_folder(weights, scale=3.0).scale == 3.0


def test_scale_from_a_distance_and_the_learned_camera(set_it, weights, image, road):
    content = json.loads((weights / "weights.json").read_text())
    (weights / "manifest.json").unlink()
    (weights / "weights.json").write_text(json.dumps({**content, "intrinsics": [FOCAL, FOCAL, 64, HORIZON]}))
    set_it(image, "--distance", 2.5 * WALL * np.sqrt(1 + 0.36**2), "--at", 100, 20)  # the ray is (0.36, 0, 1)
    assert read_weights_info(weights).metres_per_unit == pytest.approx(2.5)
    assert not (weights / "manifest.json").exists()


@pytest.mark.parametrize(
    ("stored", "named"), [({"metres_per_unit": 5.25}, "5.25 m per scene unit"), ({"use_stereo": True}, "stereo pairs")]
)
def test_scale_is_replaced_only_on_request(set_it, weights, image, camera, road, capsys, stored, named):
    path = weights / "weights.json"
    (weights / "manifest.json").unlink()
    path.write_text(json.dumps({**json.loads(path.read_text()), **stored}))
    words, before = (image, "--camera_height", 3.0, "--intrinsics", camera), path.read_bytes()
    with pytest.raises(OptionsError, match=f"already has a scale: .*{named}.*--overwrite"):
        set_it(*words)
    assert path.read_bytes() == before
    set_it(*words, "--overwrite")
    printed = capsys.readouterr().out
    assert "Replacing the stored scale" in printed and named in printed
    assert read_weights_info(weights).metres_per_unit == pytest.approx(2.0, rel=1e-3)


def test_released_weights_without_info(set_it, weights, image, road):
    (weights / "manifest.json").unlink()
    (weights / "weights.json").unlink()
    ray = np.sqrt(1 + 0.005**2 + 0.085**2)  # pixel offset from the image centre / focal length of 100 pixels
    set_it(image, "--distance", 2 * 7.5 * ray, "--at", 64, 40, "--fov", 2 * np.degrees(np.arctan(0.64)))
    info = read_weights_info(weights)
    assert (info.height, info.width) == DEFAULT_SIZE
    assert info.metres_per_unit == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "--camera_height METRES, or --distance"),
        (("--camera_height", 1, "--distance", 2, "--at", 3, 4), "--camera_height METRES, or --distance"),
        (("--distance", 2), "--at X Y"),
        (("--camera_height", 1, "--at", 3, 4), "--at X Y"),
        (("--camera_height", 1), "--fov"),
        (("--camera_height", 1, "--fov", 60, "--intrinsics", "kitti"), "--fov and --intrinsics"),
        (("--camera_height", 1, "--fov", 180), "below 180"),
        (("--camera_height", -1), "above 0"),
        (("--distance", 2, "--at", WIDTH, 4, "--fov", 60), "--at: got"),
        (("--camara_height", 1), "camara_height"),
    ],
)
def test_option_errors(set_it, image, road, words, named):
    with pytest.raises(OptionsError, match=named):
        set_it(image, *words)


@pytest.mark.parametrize("scales", [[1.0, 1.1, 1.7], [1.0, None, None]])  # one outlier; a road in one of three images
def test_note_on_disagreeing_images(set_it, image, camera, road, monkeypatch, capsys, scales):
    images = [Path(shutil.copy(image, image.with_name(f"{i}.png"))) for i in range(3)]
    left = iter(scales)
    monkeypatch.setattr(set_scale, "scale_from_height", lambda *_: next(left))
    set_it(*images, "--camera_height", 3.0, "--intrinsics", camera)
    assert "estimates disagree" in capsys.readouterr().out


def test_missing_road_is_an_error_and_stores_nothing(set_it, weights, image, camera, monkeypatch):
    wall = np.full((HEIGHT, WIDTH), 3, np.float32)
    monkeypatch.setattr(DepthPredictor, "__call__", lambda self, image: Prediction(1 / wall, wall, True))
    before = (weights / "weights.json").read_bytes()
    with pytest.raises(DataError, match="no road found"):
        set_it(image, "--camera_height", 1.5, "--intrinsics", camera)
    assert (weights / "weights.json").read_bytes() == before


def test_missing_image_ends_without_a_traceback(weights, tmp_path):
    command = [sys.executable, "tools/set_scale.py", "--load_weights_folder", str(weights), str(tmp_path / "none.png")]
    done = subprocess.run([*command, "--camera_height", "1"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "none.png" in done.stderr
