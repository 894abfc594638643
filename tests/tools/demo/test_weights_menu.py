"""Weights offered in the menu, and rejection of others."""

import os
import shutil

import pytest

from common.errors import WeightsError
from tools.demo.demo_options import PageOptions
from tools.demo.weights_menu import Predictors, find_weights


def test_finds_downloaded_weights_and_the_best_of_each_run(tmp_path, page_weights):
    runs = ["logs/old/models/weights_best", "logs/demo/finetune/demo/models/weights_best"]
    for folder in ["weights/released", *runs, "logs/old/models/weights_0"]:
        shutil.copytree(page_weights / "mono", tmp_path / folder)
    (tmp_path / "weights/empty").mkdir()
    (tmp_path / "weights/README.md").write_text("no weights")
    os.utime(tmp_path / runs[0], (1, 1))
    assert find_weights(tmp_path) == ["weights/released", runs[1], runs[0]]


def test_missing_weights_are_reported_with_remedies(tmp_path):
    with pytest.raises(WeightsError, match=r"--load_weights_folder.*demo\.sh"):
        find_weights(tmp_path)


def test_only_weights_in_the_menu_are_loaded(page_weights):
    mono, stereo = (str(page_weights / name) for name in ("mono", "stereo"))
    predictors = Predictors([mono], PageOptions())
    assert predictors["mono"] is predictors["mono"]
    for name in ("stereo", mono, stereo):
        with pytest.raises(WeightsError, match="not in the menu"):
            _ = predictors[name]
    with pytest.raises(WeightsError, match="--depth_network") as error:
        _ = Predictors([mono], PageOptions(depth_network="resnet50"))["mono"]
    assert str(page_weights) not in predictors.without_paths(str(error.value))


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/srv/w/mono", "/srv/w/stereo/"], ["mono", "stereo"]),
        (["/srv/a/w", "/srv/b/w"], ["a/w", "b/w"]),
        (["/srv/logs/run/models/weights_best", "weights/w"], ["run/models/weights_best", "w"]),
        (["/x/r/models/w", "/y/r/models/w"], ["x/r/models/w", "y/r/models/w"]),
        (["../other/w"], ["w"]),
        (["w", "./w"], ["w"]),
    ],
)
def test_menu_shows_no_server_paths(folders, names):
    assert Predictors(folders, PageOptions()).names == names
