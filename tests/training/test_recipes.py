"""Training with extra supervision and crops: what is loaded, what is reported, and bit-exact resume."""

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError, OptionsError
from tools.make_pseudo_labels import encode_label, make_labels
from training.setup import build_data, build_loss


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


def test_labels_and_the_epoch_are_loaded_only_if_they_are_used(tiny_options, hints):
    labels = tiny_options(pseudo_labels=hints)  # any 16-bit PNG is one
    sample = build_data(labels, "train").dataset[5]
    assert "map/pseudo_labels" in sample and "epoch" not in sample
    assert "pseudo_labels" in build_loss(labels).terms and "depth_hints" not in build_loss(labels).terms
    changing = labels.replace(pseudo_label_late_weight=0.0, pseudo_label_late_epoch=1)
    assert build_data(changing, "train").dataset[5, 2]["epoch"] == 2
    assert "epoch" not in build_data(changing, "val").dataset[0]


def test_crops_are_for_training_only(tiny_options):
    opt = tiny_options(crop_scale=0.5, crop_aspect=1.2)
    assert build_data(opt, "train").dataset.crops and not build_data(opt, "val").dataset.crops


@pytest.mark.slow
def test_labels_of_a_run_train_another(run, tiny_options, tmp_path, capsys):
    teacher = run(model_name="teacher", max_steps=1, ema_decay=0.5)
    weights = str(teacher.opt.run_dir / "models" / "weights_0")
    opt = tiny_options()
    assert make_labels(opt, weights, tmp_path / "labels") == 14
    assert "weights_0_ema" in capsys.readouterr().out
    next(iter(sorted((tmp_path / "labels").rglob("*.png")))).unlink()
    assert make_labels(opt, weights, tmp_path / "labels") == 1
    student = run(model_name="student", max_steps=1, pseudo_labels=str(tmp_path / "labels"))
    assert student.step == 1


def test_encoded_labels_use_all_16_bits(tmp_path):
    disp = np.array([[0.5, 1.5], [1.0, 0.75]])
    (tmp_path / "label.png").write_bytes(encode_label(disp))
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "label.png")), (disp - 0.5) * 65535, atol=1)
    (tmp_path / "label.png").write_bytes(encode_label(np.ones((2, 2))))  # constant: no information
    assert not np.asarray(Image.open(tmp_path / "label.png")).any()
