"""Benchmarks: result lines are valid JSON, and the loader baseline matches the original."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.benchmarks import original_loader

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--repeat", "1", "--height", "64", "--width", "64", "--batch_size", "1"]
FACTS = {"name", "unit", "median", "min", "max", "baseline", "baseline_median", "ratio", "peak_memory_mb"}
FACTS |= {"python", "paddle", "numpy", "pillow", "opencv", "processor", "cores", "threads", "device"}


def benchmark(*arguments, status: int = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, "tools/benchmark.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done


def lines(*arguments) -> dict[str, dict]:
    found = [json.loads(line) for line in benchmark(*arguments).stdout.splitlines()]
    for line in found:
        assert set(line) >= FACTS
        assert 0 < line["min"] <= line["median"] <= line["max"] and line["peak_memory_mb"] > 50
        if line["baseline"]:
            # The ratio is rounded to two decimals, the medians to three.
            assert line["ratio"] == pytest.approx(line["baseline_median"] / line["median"], rel=0.05, abs=0.006)
        else:
            assert line["baseline_median"] is line["ratio"] is None
    return {line["name"]: line for line in found}


def test_step_evaluate_and_predict_print_their_lines():
    pytest.importorskip("paddle2onnx", reason="Paddle2ONNX is not installed: it has no wheel for Python 3.13")
    found = lines("--only", "step", "--only", "evaluate", "--only", "predict", *TINY, "--use_stereo")
    assert {name: line["unit"] for name, line in found.items()} == {
        "step": "s/step",
        "evaluate": "ms/frame",
        "predict": "ms/image",
        "predict_inference": "ms/image",
        "predict_onnx": "ms/image",
        "predict_inference_bare": "ms/image",
        "predict_onnx_bare": "ms/image",
    }
    for engine in ("inference", "onnx"):
        assert max(found[f"predict_{engine}"]["differences"].values()) < 1e-4
        assert {engine, f"{engine}_bare"} <= set(found[f"predict_{engine}"]["differences"])
    assert found["step"]["baseline"] == "plain port" and found["step"]["frames"] == [0, -1, 1, "s"]
    assert found["evaluate"]["baseline"] is None and found["predict"]["batch_size"] == 1


def test_loader_is_compared_with_the_original_loader(kitti_sample):
    found = lines("--only", "loader", *TINY, "--data_path", kitti_sample, "--split", "kitti_sample")
    assert all(line["unit"] == "ms/sample" and line["samples"] == 24 for line in found.values())
    assert all("Lanczos" in line["baseline"] for line in found.values())


def test_invalid_options_are_reported(tmp_path):
    assert "--only" in benchmark("--only", "lodaer", status=2).stderr
    assert "--repeat: got 0" in benchmark("--repeat", 0, status=2).stderr
    failed = benchmark("--only", "loader", "--only", "step", "--data_path", tmp_path, status=2)
    assert str(tmp_path) in failed.stderr and "Traceback" not in failed.stderr and not failed.stdout


def test_loader_baseline_matches_the_original_loader(tmp_path):
    """Compare the frames, scales and jitter of one sample with torchvision's steps, reimplemented here."""
    values = np.random.default_rng(0).integers(0, 256, (48, 128), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "frame.png")
    paths = [str(tmp_path / "frame.png")] * 3
    sample = original_loader.load_sample(paths, 32, 64, (0, 1, 2, 3), flip=True, jitter=False)
    assert len(sample) == 2 * 3 * 4
    image = Image.fromarray(values[:, ::-1]).convert("RGB")
    for scale, size in enumerate(((64, 32), (32, 16), (16, 8), (8, 4))):
        image = image.resize(size, Image.Resampling.LANCZOS)
        expected = np.asarray(image).transpose(2, 0, 1) / 255
        for i in range(3):
            for name in ("color", "color_aug"):
                assert sample[f"{name}/{i}/{scale}"].dtype == np.float32
                np.testing.assert_allclose(sample[f"{name}/{i}/{scale}"], expected, rtol=1e-6)
    jittered = original_loader.load_sample(paths, 32, 64, (0, 1), flip=False, jitter=True)
    for scale in (0, 1):
        assert (jittered[f"color_aug/0/{scale}"] != jittered[f"color/0/{scale}"]).mean() > 0.5
        np.testing.assert_array_equal(jittered[f"color_aug/0/{scale}"], jittered[f"color_aug/2/{scale}"])


@pytest.mark.parametrize("use_stereo", [False, True])
def test_step_in_pytorch_has_the_same_loss(use_stereo):
    """With the same weights, batch and no noise; in processes of their own, because a process has either framework."""
    pytest.importorskip("torch", reason="PyTorch is not installed; it is not a dependency")
    code = f"""
import json, sys, tempfile
from pathlib import Path
import numpy as np
from options import Options
from tools.benchmarks.step_benchmark import random_batch

opt = Options(height=64, width=96, batch_size=2, use_stereo={use_stereo}, device="cpu")
raw, folder = random_batch(opt), Path(sys.argv[2])
if sys.argv[1] == "paddle":
    import paddle
    from datasets.batch import prepare_batch
    from serialization.weights_folder import save_weights
    from tools.benchmarks.plain_port import PlainLoss
    from training.setup import build_model

    model = build_model(opt)
    save_weights(folder, model.networks(), {{"height": 64, "width": 96, "use_stereo": {use_stereo}}})
    model.train()
    batch = prepare_batch(raw, opt.scales)
    print(float(PlainLoss(opt.source_frames, opt.scales, 0.0)(batch, model(batch))))
else:
    from serialization.naming import to_pytorch
    from serialization.pdparams import read_pdparams
    from tools.benchmarks.torch_network import load_arrays
    from tools.benchmarks.torch_step import TorchStep

    arrays = {{role: to_pytorch(read_pdparams(folder / f"{{role}}.pdparams")) for role in
              ("encoder", "depth", "pose_encoder", "pose")}}
    step = TorchStep(raw, opt.source_frames, opt.scales, 1e-4, 0.0)
    load_arrays(step.depth, arrays["encoder"] | arrays["depth"])
    load_arrays(step.pose, arrays["pose_encoder"] | arrays["pose"])
    first = step()
    print(first)
    assert step() != first
"""
    with tempfile.TemporaryDirectory() as folder:
        losses = []
        for framework in ("paddle", "torch"):
            command = [sys.executable, "-c", code, framework, f"{folder}/weights"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            losses.append(float(done.stdout.splitlines()[-1]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
