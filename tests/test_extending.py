"""The worked examples of docs/extending.md, run as they stand there."""

import re
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from common.errors import DataError
from datasets.batch import prepare_batch
from datasets.build import DATASETS, build_loader
from layers.self_supervised_loss import monodepth2_loss
from networks.build import POSE_MODELS
from networks.monodepth import Monodepth
from training.forward_pass import ForwardPass

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
SIZE = (96, 48)  # (width, height) of the frames


def run_section(title: str) -> dict:
    """What the Python blocks of a section define, run one after the other."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)[1]
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", section, re.M | re.S):
        exec(compile(block, f"{DOCUMENT.name}: {title}", "exec"), names)
    return names


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """my_frames/walk in the current folder, as the document has it."""
    folder = tmp_path / "my_frames" / "walk"
    folder.mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", SIZE, (10 * i, 100, 200)).save(folder / f"{i:06d}.jpg")
    (folder / "camera.txt").write_text("80 82 47.5 23.5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DATASETS, "phone", None)  # put back afterwards
    return folder


def step(loader, model, loss) -> dict[str, float]:
    batch = prepare_batch(next(iter(loader)), (0, 1, 2, 3))
    return {name: float(value) for name, value in ForwardPass(model, loss)(batch).losses.items()}


def test_the_dataset_gives_samples_that_train(frames):
    names = run_section("A dataset")
    sample = names["sample"]
    # From 96x48 to 96x64: twice the third in height, the centre (c + 0.5) s - 0.5.
    expected = [[80, 0, 47.5], [0, 82 * 64 / 48, 24 * 64 / 48 - 0.5], [0, 0, 1]]
    np.testing.assert_allclose(sample["K/0"][:3, :3], expected, rtol=1e-6)
    for frame, red in ((0, 10), (-1, 0), (1, 20)):
        np.testing.assert_allclose(sample[f"color/{frame}/0"][0], red, atol=3)
    loader = build_loader(names["dataset"], batch_size=1, shuffle=True, num_workers=0, seed=0, drop_last=True)
    assert np.isfinite(step(loader, Monodepth(), monodepth2_loss((-1, 1)))["loss"])
    (frames / "camera.txt").write_text("80 82\n")
    with pytest.raises(DataError, match=r"camera\.txt should hold fx fy cx cy"):
        _ = names["dataset"][0]


def test_the_network_predicts_motion(monkeypatch):
    monkeypatch.setitem(POSE_MODELS, "linear", None)  # put back afterwards
    names = run_section("A network")
    model = names["model"]
    # With no weight but a bias, every motion is the bias times the decoder's 0.01, whatever the images.
    model.pose.linear.weight.set_value(paddle.zeros_like(model.pose.linear.weight))
    model.pose.linear.bias.set_value(paddle.to_tensor([0.0, 0, 0, 100, 200, 300]))
    images = {f: paddle.rand([2, 3, 64, 96]) for f in (0, -1, 1)}
    motions = model.motions(images)
    np.testing.assert_allclose(motions["T_target_to_source/1"].numpy()[1, :3, 3], [1, 2, 3], rtol=1e-5)
    np.testing.assert_allclose(motions["T_target_to_source/-1"].numpy()[1, :3, 3], [-1, -2, -3], rtol=1e-5)


def test_the_loss_adds_what_it_says(frames):
    names = run_section("A loss")
    rows, columns = (paddle.arange(n, dtype="float32") for n in (6, 8))
    plane = (2 * rows[:, None] + 3 * columns[None])[None, None]
    assert float(names["bending_loss"](plane)) == pytest.approx(0, abs=1e-5)
    bowl = (0.5 * rows[:, None] ** 2 + columns[None] ** 2)[None, None]  # second differences 1 and 2
    assert float(names["bending_loss"](bowl)) == pytest.approx(3)

    dataset = run_section("A dataset")["dataset"]
    loader = build_loader(dataset, batch_size=1, shuffle=True, num_workers=0, seed=0, drop_last=True)
    model = Monodepth()
    model.eval()
    plain = step(loader, model, monodepth2_loss((-1, 1), tie_breaking_noise=0.0))
    bent = step(loader, model, names["BendingLoss"]((-1, 1), tie_breaking_noise=0.0, weight=10.0))
    assert bent["bending"] > 0
    assert bent["loss"] == pytest.approx(plain["loss"] + 10 * bent["bending"], rel=1e-4)
