"""Run the examples of docs/extending.md, in the files and with the registry lines that the document gives."""

import importlib
import re
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from common import registry
from common.errors import DataError
from datasets.batch import prepare_batch
from datasets.build import build_loader, dataset_class
from datasets.splits import SplitLine
from inference import DepthPredictor
from options import Options, parse_options
from serialization.weights_folder import save_weights
from training import setup
from training.forward_pass import ForwardPass
from training.setup import build_loss, build_model, weights_info

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
TABLES = {
    **{name: getattr(registry, name) for name in ("DATASETS", "DEPTH_NETWORKS", "POSE_MODELS", "MODELS")},
    "LOSS_TERMS": setup.LOSS_TERMS,
}
SIZE = (96, 48)  # (width, height) of the example dataset's frames


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Return a function that writes and registers the example of a section, and returns its module."""

    def add_example(title: str):
        section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)[1]
        path, code = re.search(r"^`(\w+/\w+\.py)`:\n\n```python\n(.*?)^```", section, re.M | re.S).groups()
        table, line = re.search(r"The line, in `(\w+)`:\s+`(.+?)`", section, re.S).groups()
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(code)
        package = importlib.import_module(path.split("/")[0])
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(file.parent)])
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        ((name, entry),) = eval(f"{{{line}}}", vars(module)).items()
        monkeypatch.setitem(TABLES[table], name, entry)
        return module

    return add_example


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """Create my_frames/walk in the current folder, as in the document."""
    folder = tmp_path / "my_frames" / "walk"
    folder.mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", SIZE, (10 * i, 100, 200)).save(folder / f"{i:06d}.jpg")
    (folder / "camera.txt").write_text("80 82 47.5 23.5\n")
    monkeypatch.chdir(tmp_path)
    return folder


def options(line: str) -> Options:
    return parse_options(f"--height 64 --width 96 --batch_size 1 {line}".split())


def random_batch(opt: Options) -> dict:
    """Make a batch of one sample of noise."""
    random = np.random.default_rng(0)
    K = np.array([[90, 0, 47.5, 0], [0, 90, 31.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "float32")[None]
    batch = {"K/0": K, "inv_K/0": np.linalg.inv(K), "name": ["noise"]}
    for f in opt.all_frames:
        batch[f"color/{f}/0"] = batch[f"color_aug/{f}/0"] = random.integers(0, 256, (1, 3, 64, 96), np.uint8)
    return prepare_batch(batch, opt.scales)


def step(opt: Options, batch: dict) -> tuple[paddle.nn.Layer, dict[str, float]]:
    """Run a forward and backward pass; return the model and the scalars."""
    paddle.seed(0)
    model = build_model(opt)
    losses = ForwardPass(model, build_loss(opt))(batch).losses
    losses["loss"].backward()
    return model, {name: float(value) for name, value in losses.items()}


def predictor_of(folder: Path, model: paddle.nn.Layer, opt: Options) -> DepthPredictor:
    """Save the model's weights and load them again, with ``weights.json`` as the only description."""
    save_weights(folder, model.networks(), weights_info(opt, None))
    return DepthPredictor.from_folder(folder)


def test_dataset_is_selected_by_name_and_trains(add, frames):
    phone = add("A dataset").PhoneDataset
    assert dataset_class("phone") is phone and options("--dataset phone").dataset == "phone"
    code = re.findall(r"^```python\n(sample = .*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)[0]
    names = {"PhoneDataset": phone, "SplitLine": SplitLine}
    exec(code, names)
    # Resizing 96x48 to 96x64 scales fy by 64 / 48 and moves cy to (cy + 0.5) s - 0.5.
    expected = [[80, 0, 47.5], [0, 82 * 64 / 48, 24 * 64 / 48 - 0.5], [0, 0, 1]]
    np.testing.assert_allclose(names["sample"]["K/0"][:3, :3], expected, rtol=1e-6)
    for frame, red in ((0, 10), (-1, 0), (1, 20)):
        np.testing.assert_allclose(names["sample"][f"color/{frame}/0"][0], red, atol=3)
    settings = {"height": 64, "width": 96, "frame_ids": (0, -1, 1), "scales": (0, 1, 2, 3), "train": True}
    dataset = phone("my_frames", [SplitLine("walk", 1, "l")], **settings)
    loader = build_loader(dataset, batch_size=1, shuffle=True, num_workers=0, seed=0, drop_last=True)
    opt = options("--dataset phone")
    assert np.isfinite(step(opt, prepare_batch(next(iter(loader)), opt.scales))[1]["loss"])
    (frames / "camera.txt").write_text("80 82\n")
    with pytest.raises(DataError, match=r"camera\.txt.*fx fy cx cy"):
        _ = dataset[0]


def test_extra_map_is_resized_and_mirrored_with_its_image(add, tmp_path):
    masked = add("An extra map").MaskedKITTIDataset
    folder = tmp_path / "date" / "drive" / "image_02" / "data"
    folder.mkdir(parents=True)
    objects = np.zeros((48, 192), np.uint8)
    objects[:, :64] = 255  # the left third is masked out, and dark in the image
    Image.fromarray(255 - objects).convert("RGB").save(folder / "0000000000.jpg", quality=95)
    Image.fromarray(objects).save(folder / "0000000000_mask.png")
    line = SplitLine("date/drive", 0, "l")
    dataset = masked(str(tmp_path), [line], height=32, width=96, frame_ids=(0,), train=True)
    flips = set()
    for epoch in range(8):
        sample = dataset[0, epoch]
        static, grey = sample["map/static"], sample["color/0/0"][0]
        assert static.shape == (1, 32, 96) and static.dtype == np.float32 and static.mean() == pytest.approx(2 / 3)
        np.testing.assert_array_equal(static[0, :, ::8], grey[:, ::8] > 128)
        flips.add(bool(static[0, 0, 0]))
    assert flips == {False, True}
    loader = build_loader(dataset, batch_size=1, shuffle=False, num_workers=0, seed=0, drop_last=False)
    assert prepare_batch(next(iter(loader)), (0,))["map/static"].shape == [1, 1, 32, 96]


def test_depth_network_with_four_stages_trains_and_predicts_from_its_weights_folder(add, tmp_path):
    add("A depth network")
    opt = options("--depth_network patches")
    model, losses = step(opt, random_batch(opt))
    assert np.isfinite(losses["loss"]) and float(model.encoder.stem.weight.grad.norm()) > 0
    model.eval()
    batch = random_batch(opt)
    outputs = model(batch)
    assert [outputs[f"disp/{s}"].shape for s in opt.scales] == [[1, 1, 64 >> s, 96 >> s] for s in opt.scales]
    predictor = predictor_of(tmp_path / "w", model, opt)
    assert type(predictor.model.encoder).__name__ == "PatchEncoder" and predictor.left_out == ()
    expected = 0.01 + (10 - 0.01) * outputs["disp/0"].numpy()[:, 0]  # paper, section 3: depth from 0.1 to 100
    np.testing.assert_allclose(predictor.predict({"color_aug/0/0": batch["color_aug/0/0"]}), expected, rtol=1e-4)


def test_pose_network_predicts_motion(add):
    add("A pose network")
    opt = options("--pose_model_type linear")
    model = build_model(opt)
    # With zero weights every motion is the bias times the decoder's 0.01, for any images.
    model.pose.linear.weight.set_value(paddle.zeros_like(model.pose.linear.weight))
    model.pose.linear.bias.set_value(paddle.to_tensor([0.0, 0, 0, 100, 200, 300]))
    motions = model.motions(random_batch(opt))
    np.testing.assert_allclose(motions["T_target_to_source/1"].numpy()[0, :3, 3], [1, 2, 3], rtol=1e-5)
    np.testing.assert_allclose(motions["T_target_to_source/-1"].numpy()[0, :3, 3], [-1, -2, -3], rtol=1e-5)


def test_loss_term_adds_its_weighted_value(add):
    opt = options("")
    batch = random_batch(opt)
    _, plain = step(opt, batch)
    bending_loss = add("A loss term").bending_loss
    rows, columns = (paddle.arange(n, dtype="float32") for n in (6, 8))
    plane = (2 * rows[:, None] + 3 * columns[None])[None, None]
    assert float(bending_loss(plane)) == pytest.approx(0, abs=1e-5)
    bowl = (0.5 * rows[:, None] ** 2 + columns[None] ** 2)[None, None]  # second differences 1 and 2
    assert float(bending_loss(bowl)) == pytest.approx(3)
    _, bent = step(opt, batch)
    assert bent["bending"] > 0
    assert bent["loss"] == pytest.approx(plain["loss"] + 0.01 * bent["bending"], abs=1e-5)
    assert np.mean([bent[f"loss/{s}"] for s in opt.scales]) == pytest.approx(bent["loss"], rel=1e-5)


def test_two_frame_model_uses_both_frames_and_predicts_from_its_weights_folder(add, tmp_path):
    add("A two-frame model")
    opt = options("--type TwoFrame")
    batch = random_batch(opt)
    model, losses = step(opt, batch)
    assert np.isfinite(losses["loss"]) and float(model.pose_encoder.encoder.conv1.weight.grad.norm()) > 0
    model.eval()
    predictor = predictor_of(tmp_path / "w", model, opt)
    images = {f"color_aug/{f}/0": batch[f"color_aug/{f}/0"] for f in (0, -1)}
    both = predictor.predict(images)
    np.testing.assert_allclose(both, 0.01 + 9.99 * model(batch)["disp/0"].numpy()[:, 0], rtol=1e-4)
    alone = predictor.predict({"color_aug/0/0": images["color_aug/0/0"]})
    assert abs(alone - both).max() > 1e-4
