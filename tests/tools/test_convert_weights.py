"""Test the conversion command: exact round trips, files for the original code, nothing overwritten."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from serialization.naming import to_paddle
from serialization.pdparams import read_pdparams, write_pdparams

ROOT = Path(__file__).resolve().parents[2]
INFO = {"height": 320, "width": 1024, "use_stereo": True}
MODULES = {"encoder": "encoder18", "depth": "depth18", "pose_encoder": "pose_encoder", "pose": "pose"}


@pytest.fixture
def convert(monkeypatch, capsys):
    """Run the script in this process, check its exit status and return its output."""

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["convert_weights.py", *map(str, arguments)])
        found = 0
        try:
            runpy.run_path(str(ROOT / "tools" / "convert_weights.py"), run_name="__main__")
        except SystemExit as stop:
            found = stop.code
        printed = "".join(capsys.readouterr())
        assert found == status, printed
        return printed

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def small(tmp_path):
    """Write a weights folder with a few numbers and unrelated files."""
    folder = tmp_path / "w"
    folder.mkdir()
    write_pdparams(folder / "encoder.pdparams", {"encoder.bn1._mean": np.arange(3, dtype=np.float32)})
    write_pdparams(folder / "pose.pdparams", {"net.0.bias": np.ones(2, np.float32)})
    (folder / "weights.json").write_text(json.dumps(INFO))
    (folder / "metrics.json").touch()
    (folder / "adam.pth").touch()
    return folder


def test_fp16_halves_the_files_and_refuses_larger_numbers(convert, small, tmp_path):
    convert(small, tmp_path / "half", "--format", "safetensors", "--fp16")
    assert load_file(tmp_path / "half" / "encoder.safetensors")["encoder.bn1._mean"].dtype == np.float16
    write_pdparams(small / "pose.pdparams", {"net.0.bias": np.full(2, 7e4, np.float32)})
    message = convert(small, tmp_path / "large", "--format", "safetensors", "--fp16", status=2)
    assert "net.0.bias has numbers above 65504" in message and not (tmp_path / "large").exists()


def test_round_trip_through_all_formats_is_exact(convert, rule_arrays, tmp_path):
    """Start from trained weights: encoders without a classifier. The intermediate files have the original's keys."""
    first = tmp_path / "first"
    first.mkdir()
    arrays = {role: to_paddle(rule_arrays(module)) for role, module in MODULES.items()}
    for role, content in arrays.items():
        kept = {name: array for name, array in content.items() if ".fc." not in name}
        write_pdparams(first / f"{role}.pdparams", kept)
    (first / "weights.json").write_text(json.dumps(INFO))
    folders = [first, *(tmp_path / name for name in ("safetensors", "pytorch", "pdparams"))]
    for source, target in pairwise(folders):
        convert(source, target, "--format", target.name)
        assert json.loads((target / "weights.json").read_text()) == INFO
        assert set(json.loads((target / "manifest.json").read_text())) == set(names(target)) - {"manifest.json"}
    for role, module in MODULES.items():
        before, after = (read_pdparams(folder / f"{role}.pdparams") for folder in (first, folders[-1]))
        assert before.keys() == after.keys()
        for name, array in before.items():
            assert (array.dtype, array.shape) == (after[name].dtype, after[name].shape)
            assert array.tobytes() == after[name].tobytes(), name
        original, written = rule_arrays(module), load_file(folders[2] / f"{role}.safetensors")
        assert original.keys() == written.keys()
        for name, array in written.items():
            assert array.shape == original[name].shape
            assert ".fc." in name or np.array_equal(array, original[name]), name
        assert load_file(folders[1] / f"{role}.safetensors").keys() == before.keys()


def test_summary(small, tmp_path):
    target = tmp_path / "new" / "st"
    command = [sys.executable, "tools/convert_weights.py", small, target, "--format", "safetensors"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "file                 arrays      MB",
        "encoder.safetensors       1     0.0",
        "pose.safetensors          1     0.0",
    ]
    assert lines[3:] == [
        "1024x320, with stereo pairs: weights.json",
        "Not converted: adam.pth, metrics.json",
        f"Saved to '{target}'",
    ]
    assert names(target) == ["encoder.safetensors", "manifest.json", "pose.safetensors", "weights.json"]


def test_printed_code_saves_files_for_the_original(convert, small, tmp_path):
    """Run the code with a stand-in for PyTorch that records the saved objects."""
    printed = convert(small, tmp_path / "pt", "--format", "pytorch")
    recipe = printed[printed.index("import torch") :]
    assert len(recipe.strip().splitlines()) == 3
    stand_ins = tmp_path / "stand_ins"
    (stand_ins / "safetensors").mkdir(parents=True)
    (stand_ins / "torch.py").write_text(
        "import json\n"
        "def save(state, path, **options):\n"
        "    json.dump([{k: getattr(v, 'tolist', lambda: v)() for k, v in state.items()}, options], open(path, 'w'))\n"
    )
    (stand_ins / "safetensors" / "__init__.py").touch()
    (stand_ins / "safetensors" / "torch.py").write_text(
        "import pickle, sys\nsys.path[:] = [p for p in sys.path if 'stand_ins' not in p]\n"
        "del sys.modules['safetensors']\nfrom safetensors.numpy import load_file\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", recipe], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(stand_ins)}, timeout=60
    )
    assert done.returncode == 0
    state, options = json.loads((tmp_path / "encoder.pth").read_text())
    assert options == {"_use_new_zipfile_serialization": False}
    assert state == {"encoder.bn1.running_mean": [0, 1, 2], **INFO}
    assert json.loads((tmp_path / "pose.pth").read_text())[0] == {"net.0.bias": [1, 1]}


def test_run_folder_suggests_its_weights(convert, small, tmp_path):
    shutil.copytree(small, tmp_path / "run/models/weights_best")
    printed = convert(tmp_path / "run", tmp_path / "pt", "--format", "pytorch", status=2)
    assert f"Pass '{tmp_path}/run/models/weights_best'" in printed


def test_another_input_size(convert, small, tmp_path):
    convert(small, tmp_path / "wide", "--format", "safetensors", "--size", 96, 320)
    assert json.loads((tmp_path / "wide" / "weights.json").read_text()) == {**INFO, "height": 96, "width": 320}
    (small / "weights.json").unlink()
    message = convert(small, tmp_path / "x", "--format", "safetensors", "--size", 96, 320, status=2)
    assert f"'{small}' has no weights.json" in message and not (tmp_path / "x").exists()


def test_weights_without_a_size(convert, small, tmp_path):
    (small / "weights.json").unlink()
    printed = convert(small, tmp_path / "pt", "--format", "pytorch")
    assert "640x192 is assumed" in printed
    assert "{'height': 192, 'width': 640}" in printed
    assert "weights.json" not in names(tmp_path / "pt")


def test_single_file(convert, tmp_path):
    with h5py.File(tmp_path / "resnet.h5", "w") as file:
        file["bn1.running_mean"] = np.arange(3, dtype=np.float32)
        file["fc.weight"] = np.arange(6, dtype=np.float32).reshape(2, 3)
    steps = (("resnet.h5", "a.safetensors", "safetensors"), ("a.safetensors", "b.safetensors", "pytorch"))
    for source, target, name in (*steps, ("b.safetensors", "new/c.pdparams", "pdparams")):
        printed = convert(tmp_path / source, tmp_path / target, "--format", name)
        assert printed.splitlines()[1].split()[:2] == [Path(target).name, "2"]
    pytorch, paddle = load_file(tmp_path / "b.safetensors"), read_pdparams(tmp_path / "new" / "c.pdparams")
    assert pytorch["bn1.running_mean"].tolist() == paddle["bn1._mean"].tolist() == [0, 1, 2]
    assert pytorch["fc.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert paddle["fc.weight"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_nothing_is_overwritten_and_errors_are_reported(convert, small, tmp_path):
    file = small / "encoder.pdparams"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    (tmp_path / "empty").mkdir()
    before = {path: path.read_bytes() for path in small.iterdir()}
    for arguments, message in (
        ((small, small, "--format", "pdparams"), "w' exists and is not replaced. Choose a new folder"),
        ((small, tmp_path / "taken", "--format", "pdparams"), "taken' exists and is not replaced"),
        ((file, file, "--format", "pdparams"), "encoder.pdparams' exists and is not replaced. Choose a new file"),
        ((file, tmp_path / "x.pth", "--format", "pytorch"), "expected .safetensors"),
        ((tmp_path / "absent", tmp_path / "x", "--format", "pdparams"), "absent' not found"),
        ((tmp_path / "empty", tmp_path / "x", "--format", "pdparams"), "empty' contains no weights"),
        ((small / "metrics.json", tmp_path / "x.pdparams", "--format", "pdparams"), "metrics.json' cannot be read"),
        ((small, tmp_path / "x", "--format", "onnx"), "invalid choice: 'onnx'"),
        ((small, tmp_path / "x"), "the following arguments are required: --format"),
        (
            (small, tmp_path / "x", "--format", "pdparams", "--size", 100, 320),
            "--size: got 100 320, expected multiples",
        ),
        ((file, tmp_path / "x.pdparams", "--format", "pdparams", "--size", 96, 320), "a file stores no input size"),
    ):
        assert message in convert(*arguments, status=2)
    assert {path: path.read_bytes() for path in small.iterdir()} == before
    assert names(tmp_path) == ["empty", "taken", "w"] and names(tmp_path / "taken") == ["thesis.tex"]
    convert(small, tmp_path / "empty", "--format", "pdparams")


def test_damaged_weights_write_no_files(convert, small, tmp_path):
    (small / "pose.pdparams").write_bytes(b"damaged")
    assert "pose.pdparams' cannot be read" in convert(small, tmp_path / "x", "--format", "safetensors", status=2)
    assert names(tmp_path) == ["w"]
