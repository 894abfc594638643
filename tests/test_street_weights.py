"""The weights that the project ships: size, and scores on real streets that they have never seen."""

import pytest

from options import Options
from serialization.published_weights import SHIPPED_WEIGHTS, WEIGHTS_DIR
from serialization.weights_folder import read_weights_info

FOLDER = WEIGHTS_DIR / SHIPPED_WEIGHTS
CONSTANT_DEPTH = {"kitti_sample": 0.351, "kitti_sample_colour": 0.338}  # abs_rel, median-scaled


def test_files_are_small_and_have_a_card():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.suffix == ".safetensors") < 12e6
    assert "Not trained on KITTI" in (FOLDER / "README.md").read_text()
    assert read_weights_info(FOLDER).model["depth_network"] == "efficientnet_lite0"


@pytest.mark.slow
@pytest.mark.parametrize("name", CONSTANT_DEPTH)
def test_depth_of_real_streets(name, request, tmp_path):
    from evaluate_depth import evaluate

    drive = request.getfixturevalue(name)
    options = {"data_path": str(drive), "split": name, "eval_split": name, "eval_mono": True}
    scores = evaluate(Options(**options, load_weights_folder=SHIPPED_WEIGHTS, eval_out_dir=str(tmp_path)))
    assert scores["abs_rel"] < 0.75 * CONSTANT_DEPTH[name]
