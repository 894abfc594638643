"""Test that weights, a checkpoint and results of commit a4b2ce4 are still readable.

``tests/data/make_old_artifacts.py`` created the archive in a checkout of that commit.
"""

import shutil
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.result_files import read_frames
from options import Options
from serialization.checkpoint import OPTIONS_FILE, check_checkpoint, restore_checkpoint
from serialization.optimizer_state import optimizer_arrays
from serialization.weights_folder import load_weights, read_weights_info
from training.setup import build_model, build_optimizer

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = ROOT / "tests" / "data" / "old_artifacts.tar.xz"


def rule(name, shape):
    """Return the values of the archive's parameters."""
    pattern = (zlib.crc32(name.encode()) % 900 + np.arange(np.prod(shape, dtype=int)) % 7) / np.float32(1000)
    return pattern.astype(np.float32).reshape(shape)


@pytest.fixture
def unpack(tmp_path):
    """Name -> unpacked folder of the archive; deleted after the test, since it takes up to 200 MB."""

    def extract(name: str) -> Path:
        with tarfile.open(ARCHIVE) as archive:
            members = [member for member in archive if member.name.startswith(f"{name}/")]
            archive.extractall(tmp_path, members, filter="data")
        return tmp_path / name

    yield extract
    shutil.rmtree(tmp_path)


def assert_by_rule(networks):
    for role, network in networks.items():
        for name, tensor in network.state_dict().items():
            expected = rule(f"{role}/{name}", tuple(tensor.shape))
            np.testing.assert_array_equal(tensor.numpy(), expected, err_msg=f"{role}: {name}")


@pytest.mark.parametrize(
    ("folder", "roles"),
    [
        ("weights", ("encoder", "depth", "pose_encoder", "pose")),
        ("safetensors", ("encoder", "depth")),
        ("pytorch", ("encoder", "depth")),
    ],
)
def test_weights(unpack, folder, roles):
    folder = unpack(folder)
    networks = {role: network for role, network in build_model(Options()).networks().items() if role in roles}
    assert set(networks) == set(roles)
    reports = load_weights(folder, networks, roles)
    assert not any(report.missing or report.unexpected for report in reports.values())
    assert_by_rule(networks)
    info = read_weights_info(folder)
    assert (info.height, info.width, info.use_stereo) == (96, 320, False)


def test_weights_without_a_network_name_predict_without_options(unpack, tmp_path):
    folder = unpack("weights")
    Image.fromarray(np.full((96, 320, 3), 128, np.uint8)).save(tmp_path / "grey.png")
    command = [sys.executable, "predict.py", str(tmp_path / "grey.png"), "--load_weights_folder", str(folder)]
    command += ["--output_dir", str(tmp_path / "out"), "--device", "cpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Saved predictions of 1 image to" in done.stdout and any((tmp_path / "out").iterdir())


def test_a_checkpoint(unpack):
    folder = unpack("checkpoint")
    check_checkpoint(folder)
    options = Options.load(folder / OPTIONS_FILE)
    assert (options.model_name, options.pose_model_type, options.use_stereo) == ("old", "shared", True)
    model = build_model(options)
    optimizer, schedule = build_optimizer(options, model)
    state = restore_checkpoint(folder, model.networks(), model, optimizer)
    assert (state.step, state.epoch, state.samples_done, state.samples, state.best) == (12, 1, 4, 100, 0.125)
    assert schedule.last_epoch == 1 and optimizer.get_lr() == pytest.approx(1e-4)
    assert_by_rule(model.networks())
    moments = optimizer_arrays(optimizer, model)
    parameters = {name for name, parameter in model.named_parameters() if not parameter.stop_gradient}
    assert {name.rpartition("/")[0] for name in moments} == parameters
    for name, array in moments.items():
        np.testing.assert_array_equal(array, rule(name, array.shape), err_msg=name)


def test_results(unpack):
    folder = unpack("results")
    frames, columns = read_frames(folder / "frames.csv")
    assert frames == [f"2011_09_26/drive {number} l" for number in range(3)]
    np.testing.assert_allclose(columns["ratio"], [1.1, 2.2, np.nan], rtol=1e-6)
    np.testing.assert_array_equal(columns["rmse_edges"], [1, 2, np.nan])
    command = [sys.executable, "tools/compare_runs.py", str(folder), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "abs_rel" in done.stdout and "0.661" in done.stdout
