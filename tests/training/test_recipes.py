"""Training with extra supervision and crops: what is loaded, what is reported, and bit-exact resume."""

import numpy as np
import pytest

from common.errors import DataError, OptionsError
from datasets.depth_maps import encode_depth_png
from datasets.map_files import map_path
from training.setup import build_data, build_loss


@pytest.fixture
def hints(tiny_options, tmp_path):
    """A folder with hints of all training lines but two: planes of 12 m."""
    dataset = build_data(tiny_options(use_stereo=True), "train").dataset
    for line in dataset.lines[2:]:
        path = tmp_path / map_path("hints", dataset.image_path(line, 0, line.side), dataset.data_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".png").write_bytes(encode_depth_png(np.full((375, 1242), 12.0)))
    return str(tmp_path / "hints")


def test_hints_are_loaded_only_if_they_are_used(tiny_options, hints, capsys):
    plain, hinted = tiny_options(use_stereo=True), tiny_options(use_stereo=True, depth_hints=hints)
    assert "map/depth_hints" not in build_data(plain, "train").dataset[0]
    assert "lines have no depth hint" not in capsys.readouterr().out
    assert build_data(hinted, "train").dataset[5]["map/depth_hints"].max() == 12
    assert "train: 2 of 12 lines have no depth hint, and train without one" in capsys.readouterr().out
    assert "depth_hints" not in build_loss(plain).terms
    assert build_loss(hinted).weights["depth_hints"] == 1.0
    assert build_loss(hinted).terms["depth_hints"].metres_per_unit == 5.4


def test_hints_need_stereo_pairs_and_a_folder(tiny_options, tmp_path):
    with pytest.raises(OptionsError, match="--depth_hints requires --use_stereo"):
        tiny_options(depth_hints=str(tmp_path))
    with pytest.raises(DataError, match=r"--depth_hints: got '.*none', which is not a folder\. Make it with tools/"):
        build_data(tiny_options(use_stereo=True, depth_hints=str(tmp_path / "none")), "train")
