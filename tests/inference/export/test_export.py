"""Exported models in their runtimes against the networks; resizing against Pillow and OpenCV."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import paddle
import pytest
from PIL import Image

from common.errors import OptionsError, UserError, WeightsError
from inference.depth_predictor import DepthPredictor
from inference.export.engines import ExportedPredictor
from inference.export.exported_folder import read_info
from inference.export.model_writers import can_write_onnx
from inference.export.traced_network import resize_like_opencv, resize_like_pillow, upsampled_by_phases
from inference.predict_options import parse_predict_options
from layers.blocks import ConvBlock
from networks.monodepth import Monodepth
from predict import predict
from serialization.weights_folder import save_weights
from tools.export_model import _compare, _formats

ROOT = Path(__file__).resolve().parents[3]
SIZES = ((50, 70), (33, 101), (50, 70), (201, 300))  # (height, width); the networks' is (64, 96)


def picture(height, width, seed=0):
    """Smooth image with some noise: uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    smooth = cv2.resize(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8), (width, height)).astype(int)
    return (smooth + rng.integers(-20, 20, smooth.shape)).clip(0, 255).astype(np.uint8)


FORMATS = ("paddle", "onnx") if can_write_onnx() else ("paddle",)
needs_paddle2onnx = pytest.mark.skipif(
    not can_write_onnx(), reason="Paddle2ONNX is not installed: it has no wheel for Python 3.13"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights with a stereo scale."""
    paddle.seed(3)
    folder = tmp_path_factory.mktemp("weights") / "w"
    save_weights(folder, Monodepth.for_depth().networks(), {"height": 64, "width": 96, "use_stereo": True})
    return folder


def export(weights, out, *words, status=0):
    command = [sys.executable, "tools/export_model.py", "--load_weights_folder", str(weights), "--out", str(out)]
    done = subprocess.run([*command, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def exported(weights, tmp_path_factory):
    """Folder of exported models, and the printed output."""
    root = tmp_path_factory.mktemp("exported")
    for i in range(2):
        Image.fromarray(picture(120, 400, seed=i)).save(root / f"{i}.png")
    done = export(weights, root / "models", "--images", root)
    return root / "models", done.stdout


def test_files_and_printed_output(exported):
    folder, printed = exported
    found = {path.name for path in folder.iterdir()}
    onnx = {"depth.onnx"} if can_write_onnx() else set()
    assert found == {"depth.json", "depth.pdiparams", "export.json", "manifest.json"} | onnx
    info = json.loads((folder / "export.json").read_text())
    assert (info["height"], info["width"], info["scale"], info["bare"], info["fp16"]) == (64, 96, 5.4, False, False)
    for kind in FORMATS:
        assert f"{kind}: maximum relative depth difference on the same input " in printed
        assert f"{kind}: with its own resizing" in printed


@needs_paddle2onnx
def test_onnx_runtime_accepts_any_batch_and_image_size(exported, weights):
    session = onnxruntime.InferenceSession(exported[0] / "depth.onnx", providers=["CPUExecutionProvider"])
    (images,), (depth,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["batch", "height", "width", 3])
    assert (depth.name, depth.type, depth.shape) == ("depth", "tensor(float)", ["batch", "height", "width"])
    assert session.get_modelmeta().custom_metadata_map["unit"] == "metres"
    predictor = DepthPredictor.from_folder(weights)
    for count, size in ((1, (33, 101)), (3, (201, 300))):
        batch = [picture(*size, seed=i) for i in range(count)]
        (depths,) = session.run(None, {"images": np.stack(batch)})
        expected = np.stack([prediction.depth for prediction in predictor(batch)])
        assert depths.dtype == np.float32
        np.testing.assert_allclose(depths, expected, rtol=2e-3)


@pytest.mark.parametrize("engine", ["inference", pytest.param("onnx", marks=needs_paddle2onnx)])
def test_predict_with_an_engine(exported, weights, tmp_path, engine):
    (tmp_path / "images").mkdir()
    for i, size in enumerate(SIZES):
        Image.fromarray(picture(*size, seed=i)).save(tmp_path / f"images/{i}.png")

    def run(folder, out, *words):
        command = [str(tmp_path / "images"), "--load_weights_folder", str(folder), "--output_dir", str(tmp_path / out)]
        assert predict(parse_predict_options([*command, "--device", "cpu", "--save", "depth_npy", *words])) == []
        return [np.load(tmp_path / out / f"{i}_depth.npy") for i in range(len(SIZES))]

    expected = run(weights, "paddle")
    for depth, wanted, size in zip(run(exported[0], "own", "--engine", engine), expected, SIZES, strict=True):
        assert depth.shape == size
        np.testing.assert_allclose(depth, wanted, rtol=2e-3)
    scaled = run(exported[0], "scaled", "--engine", engine, "--scale", "10.8")
    np.testing.assert_allclose(scaled[0], 2 * expected[0], rtol=2e-3)


@needs_paddle2onnx
def test_post_processing_with_an_engine(exported, weights):
    image = picture(64, 96)  # of the networks' size, so that the order of blending and resizing does not matter
    depth = ExportedPredictor(exported[0], "onnx")(image, post_process=True).depth
    expected = DepthPredictor.from_folder(weights)(image, post_process=True).depth
    np.testing.assert_allclose(depth, expected, rtol=1e-4)
    assert abs(DepthPredictor.from_folder(weights)(image).depth / expected - 1).max() > 1e-3


def test_a_model_that_differs_from_the_networks_is_not_exported(exported, capsys):
    paddle.seed(4)
    other = DepthPredictor(Monodepth.for_depth(), (64, 96), scale=5.4)
    frames = [picture(80, 120), picture(64, 96)]
    for kind in FORMATS:
        with pytest.raises(UserError, match=f"The {kind} model.*Nothing was exported"):
            _compare(exported[0], kind, other, frames, read_info(exported[0]))
    assert not capsys.readouterr().out


@needs_paddle2onnx
@pytest.mark.slow
def test_core_model_with_fp16_weights(weights, tmp_path):
    printed = export(weights, tmp_path / "models", "--bare", "--fp16", "--format", "onnx").stdout
    assert "(allowed: 1e-02)" in printed and "own resizing" not in printed
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"depth.onnx", "export.json", "manifest.json"}
    assert 27e6 < (tmp_path / "models/depth.onnx").stat().st_size < 30e6  # 14.3 M weights
    session = onnxruntime.InferenceSession(tmp_path / "models/depth.onnx", providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(0).random((2, 3, 96, 160), dtype=np.float32)
    (scaled_disps,) = session.run(None, {"images": batch})
    predictor = DepthPredictor.from_folder(weights)
    np.testing.assert_allclose(scaled_disps, predictor.predict({"color_aug/0/0": paddle.to_tensor(batch)}), rtol=1e-2)
    with pytest.raises(OptionsError, match=r"--bare"):
        ExportedPredictor(tmp_path / "models", "onnx")
    with pytest.raises(WeightsError, match="--format paddle"):
        ExportedPredictor(tmp_path / "models", "inference")


@needs_paddle2onnx
def test_folders_without_a_complete_model_are_an_error(exported, weights, tmp_path):
    with pytest.raises(WeightsError, match=r"export\.json not found.*tools/export_model\.py"):
        ExportedPredictor(weights, "onnx")
    shutil.copytree(exported[0], tmp_path / "damaged")
    with open(tmp_path / "damaged/depth.onnx", "r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(WeightsError, match=r"depth\.onnx"):
        ExportedPredictor(tmp_path / "damaged", "onnx")
    (tmp_path / "damaged/export.json").write_text("{}")
    with pytest.raises(WeightsError, match="is damaged"):
        ExportedPredictor(tmp_path / "damaged", "onnx")


def test_without_paddle2onnx_only_the_paddle_model_is_written(monkeypatch, capsys):
    monkeypatch.setattr("inference.export.model_writers.can_write_onnx", lambda: False)
    assert _formats(None) == ("paddle",) and _formats(["onnx"]) == ("onnx",)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 1 and "Python 3.13" in printed and "requirements-export.txt" in printed


def test_a_non_empty_folder_is_not_overwritten(weights, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert "is not replaced" in export(weights, tmp_path, status=2).stderr
    assert "--formt" in export(weights, tmp_path / "new", "--formt", "onnx", status=2).stderr


@pytest.mark.parametrize("size", [(375, 1242), (64, 96), (40, 200), (33, 50)])
def test_resizing_in_the_graph_matches_pillow_and_opencv(size):
    image = picture(*size)
    x = paddle.to_tensor(image).astype("float32").transpose([2, 0, 1])
    resized = resize_like_pillow(x, size, (64, 96)).numpy().transpose(1, 2, 0)
    expected = np.asarray(Image.fromarray(image).resize((96, 64), Image.Resampling.LANCZOS)).astype(int)
    assert abs(resized - expected).max() <= 1 and (resized != expected).mean() < 0.01
    disp = np.random.default_rng(1).random((64, 96), dtype=np.float32)
    back = resize_like_opencv(paddle.to_tensor(disp), (64, 96), size).numpy()
    np.testing.assert_allclose(back, cv2.resize(disp, size[::-1], interpolation=cv2.INTER_LINEAR), atol=1e-4)


@pytest.mark.parametrize("skipped", [0, 5])
def test_phases_match_the_convolution_of_doubled_pixels(skipped):
    """Compare with the sum over taps in NumPy, float64."""
    rng = np.random.default_rng(skipped)
    block = ConvBlock(3 + skipped, 4)
    x, skip = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, skipped, 8, 10))
    both = np.concatenate([x.repeat(2, axis=2).repeat(2, axis=3), skip], axis=1)
    padded = np.pad(both, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    weight, bias = (array.numpy().astype(float) for array in (block.conv.conv.weight, block.conv.conv.bias))
    y = bias[:, np.newaxis, np.newaxis] + sum(
        np.einsum("oc,bchw->bohw", weight[:, :, i, j], padded[:, :, i : i + 8, j : j + 10])
        for i in range(3)
        for j in range(3)
    )
    expected = np.where(y > 0, y, np.expm1(y))
    x, skip = (paddle.to_tensor(array.astype(np.float32)) for array in (x, skip))
    found = upsampled_by_phases(block, x, skip if skipped else None)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
