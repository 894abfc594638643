"""Weights offered in the menu, and rejection of others."""

import os
import shutil

import pytest

from common.errors import WeightsError
from serialization.published_weights import PUBLISHED, WEIGHTS_DIR
from tools.demo.demo_options import PageOptions
from tools.demo.weights_menu import OFFERED, Predictors, find_weights, with_published


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
        (["/srv/logs/run/models/weights_best", "weights/w"], ["run", "w"]),
        (["/srv/run/models/weights_best", "/srv/run/models/weights_3"], ["run", "run/weights_3"]),
        (
            ["logs/pretrain/demo/models/weights_best", "logs/finetune/demo/models/weights_best"],
            ["pretrain/demo", "finetune/demo"],
        ),
        (["/x/r/models/w", "/y/r/models/w"], ["x/r/w", "y/r/w"]),
        (["/x/r/models/weights_best", "/x/r"], ["models/weights_best", "r"]),
        (["../other/w"], ["w"]),
        (["w", "./w"], ["w"]),
    ],
)
def test_menu_shows_no_server_paths(folders, names):
    assert Predictors(folders, PageOptions()).names == names


def test_published_weights_are_offered_but_not_downloaded_by_the_menu(page_weights, monkeypatch):
    monkeypatch.setattr("tools.demo.weights_menu.find_published", lambda name: None)
    monkeypatch.setattr("serialization.weights_download.get_published", lambda *_: pytest.fail("downloads"))
    folders = with_published([str(page_weights / "mono"), "weights/mono+stereo_640x192"])
    assert set(folders[2:]) == set(OFFERED) - {"mono+stereo_640x192"}
    assert all(not PUBLISHED[name].backbone for name in OFFERED)
    choices = Predictors([folders[0], *OFFERED], PageOptions()).choices()
    assert choices[0] == ("mono (resnet18, 96x64)", "mono")
    assert choices[1] == ("mono+stereo_640x192 (download, non-commercial licence)", "mono+stereo_640x192")


def test_damaged_weights_are_named_in_the_menu(page_weights, tmp_path):
    shutil.copytree(page_weights / "mono", tmp_path / "mono")
    (tmp_path / "mono/weights.json").write_text("{")
    assert Predictors([str(tmp_path / "mono")], PageOptions()).choices() == [("mono (damaged)", "mono")]


def test_failed_download_does_not_show_the_path_of_the_weights(page_weights):
    predictors = Predictors([str(page_weights / "mono")], PageOptions())
    assert predictors.without_paths(f"NAME is not in '{WEIGHTS_DIR}'") == "NAME is not in 'weights'"
