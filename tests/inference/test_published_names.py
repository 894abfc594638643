"""Every command that takes a weights folder takes the name of published weights."""

import sys

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import evaluate_pose
from inference import DepthPredictor, PosePredictor
from options import Options
from serialization import weights_download
from serialization.weights_folder import read_weights_info, save_weights
from tools import convert_weights, export_model, set_scale
from tools.demo.demo_options import parse_page_options
from tools.demo.weights_menu import Predictors
from training.setup import build_model, with_weights_size

NAME = "mono_640x192"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that the name stands for, of small random weights; the current folder is another one."""
    folder = tmp_path / "weights" / NAME
    save_weights(folder, build_model(Options()).networks(), {"height": 64, "width": 96, "use_stereo": False})
    monkeypatch.setattr(weights_download, "get_published", lambda name, weights_dir: {NAME: folder}[name])
    monkeypatch.chdir(tmp_path)
    return folder


def test_python(folder):
    assert DepthPredictor.from_folder(NAME).size == (64, 96)
    assert PosePredictor.from_folder(NAME).info.width == 96


def test_training(folder):
    opt = with_weights_size(Options(load_weights_folder=NAME))
    assert (opt.height, opt.width, opt.load_weights_folder) == (64, 96, str(folder))


@pytest.mark.parametrize("command", [evaluate_depth, evaluate_pose])
def test_results_of_an_evaluation_are_written_next_to_the_weights(folder, monkeypatch, command):
    def check(path):
        assert path == folder
        raise EOFError

    monkeypatch.setattr(command, "check_writable", check)
    with pytest.raises(EOFError):
        command.evaluate(Options(load_weights_folder=NAME, eval_mono=True))


def test_the_page(folder):
    predictors = Predictors([NAME], parse_page_options(["--load_weights_folder", NAME, "--device", "cpu"]))
    assert predictors.names == [NAME] and predictors[NAME].size == (64, 96)


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        (export_model, f"--load_weights_folder {NAME} --out out --format paddle"),
        (convert_weights, f"{NAME} out --format safetensors"),
        (set_scale, f"--load_weights_folder {NAME} --fov 80 --distance 9 --at 30 40 --device cpu image.png"),
    ],
)
def test_tools(folder, tmp_path, monkeypatch, tool, line):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)).save(tmp_path / "image.png")
    monkeypatch.setattr(sys, "argv", ["tool.py", *line.split()])
    tool.main()
    if tool is set_scale:
        assert read_weights_info(folder).metres_per_unit > 0
    else:
        assert any((tmp_path / "out").iterdir())
    assert not (tmp_path / NAME).exists()
