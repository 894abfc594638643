"""Import of a checkout: what is patched, what is refused, and that this project's modules keep their names."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, UserError
from tools.original import sides
from tools.original.checkout import Checkout, check_checkout, check_torch
from tools.original.sides import OriginalSide

ROOT = Path(__file__).resolve().parents[3]


def test_modules_of_the_checkout_are_imported_and_ours_keep_their_names(stand_in):
    import layers
    import options

    path = list(sys.path)
    checkout = Checkout(stand_in)
    assert Path(checkout.trainer.__file__).parent == stand_in
    assert checkout.trainer.Trainer(checkout.parsed_options(["--height", "64"])).encoder.origin == "stand-in"
    assert sys.modules["layers"] is layers and sys.modules["options"] is options and sys.path == path
    assert "tensorboardX" not in sys.modules
    assert not list(stand_in.rglob("__pycache__"))  # the user's folder is not changed


def test_patches(stand_in, tmp_path):
    checkout = Checkout(stand_in)
    trainer = checkout.trainer.Trainer(checkout.parsed_options([]))
    assert trainer.encoder.encoder == "random"
    assert (trainer.noise() == 0).all() and trainer.noise().shape == (2, 3)
    assert trainer.sample() is True
    assert len(trainer.train) == len(list(trainer.loader)) == 0
    depths = np.empty(1, dtype=object)
    depths[0] = np.ones((2, 2))
    np.savez(tmp_path / "depths.npz", data=depths)
    assert checkout.evaluation.np.load(tmp_path / "depths.npz")["data"][0].shape == (2, 2)
    with pytest.raises(ValueError, match="pickle"):
        np.load(tmp_path / "depths.npz")["data"]


def test_folders_that_are_not_the_original(stand_in, tmp_path):
    bare = tmp_path / "bare repo"
    (bare / "objects").mkdir(parents=True)
    (bare / "HEAD").touch()
    (tmp_path / "empty").mkdir()
    for folder, message in {
        tmp_path / "nowhere": "is not a folder. Expected a checkout .* git clone https",
        tmp_path / "empty": "is not the original: it has no trainer.py and no layers.py. Expected a checkout",
        bare: "is a bare git repository.*git clone '.*bare repo' monodepth2",
        ROOT: "is not the original: it has no layers.py",
        tmp_path: "contains the original in a subfolder. Pass '.*monodepth2'",
    }.items():
        with pytest.raises(DataError, match=message):
            check_checkout(folder)
    check_checkout(stand_in)


def test_checkout_that_lacks_files(stand_in):
    (stand_in / "networks" / "pose_cnn.py").unlink()
    with pytest.raises(DataError, match=r"lacks networks/pose_cnn.py of the original. Restore the files"):
        Checkout(stand_in)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "layers.py",
            "import a_missing_package",
            r"trainer.py' cannot be imported \(ModuleNotFoundError: No module",
        ),
        ("trainer.py", "class Trainer", r"trainer.py' cannot be imported \(SyntaxError"),
        ("options.py", "exit(3)", r"options.py' cannot be imported \(SystemExit: 3\). Install what it needs"),
        (
            "trainer.py",
            "class Trainer: pass",
            "trainer.py' has no Trainer.process_batch. Expected an unmodified",
        ),
    ],
)
def test_failing_import_is_one_sentence_and_leaves_ours_alone(stand_in, file, content, message):
    import layers

    (stand_in / file).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        Checkout(stand_in)
    assert "\n" not in str(error.value)
    assert sys.modules["layers"] is layers and str(stand_in) not in sys.path


def test_missing_torch_is_explained(monkeypatch):
    found = {"torch": None, "torchvision": True}
    monkeypatch.setattr(importlib.util, "find_spec", found.get)
    with pytest.raises(UserError, match=r"^torch not found.*pip install torch torchvision$"):
        check_torch()
    found["torch"] = True
    check_torch()


def test_options_that_the_original_refuses(stand_in):
    with pytest.raises(UserError, match=r"does not accept these options .*invalid choice: 'odom'"):
        Checkout(stand_in).parsed_options(["--eval_split", "odom"])


def test_side_evaluates_with_the_checkout_and_explains_its_failures(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(sides, "check_torch", lambda: None)
    side = OriginalSide(str(stand_in), ["--height", "64"], threads=1, seed=0)
    depths = np.empty(2, dtype=object)
    depths[:] = [np.array([[2.0, 0.0, 4.0]]), np.array([[10.8], [5.4]])]
    (tmp_path / "eigen").mkdir()
    np.savez(tmp_path / "eigen" / "gt_depths.npz", data=depths)
    np.save(tmp_path / "disps.npy", np.full((2, 3, 4), 0.5))
    ask = side.answers()
    for mode, by_hand in {
        "mono": [(0 / 2 + 2 / 4) / 2, (8.8 / 10.8 + 3.4 / 5.4) / 2],  # 2 m everywhere
        "stereo": [(8.8 / 2 + 6.8 / 4) / 2, (0 / 10.8 + 5.4 / 5.4) / 2],  # 10.8 m
    }.items():
        scores = ask["evaluate"](str(tmp_path / "disps.npy"), str(tmp_path), "eigen", mode)
        assert [row[0] for row in scores] == pytest.approx(by_hand)
    assert ask["version"]() == "stand-in"
    with pytest.raises(UserError, match=r"The original's code failed \(step: "):
        ask["step"](str(tmp_path / "missing.npz"))
