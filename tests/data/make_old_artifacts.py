"""Create ``old_artifacts.tar.xz`` with the writers of commit a4b2ce4, for ``tests/serialization/test_old_artifacts``.

Run this script in a checkout of that commit and pass the path of the archive. Every parameter gets the values of
``rule``, which compress well.

| folder | written by |
| --- | --- |
| ``weights`` | ``save_weights``: the networks of a mono training |
| ``safetensors``, ``pytorch`` | ``tools/convert_weights.py`` from encoder and depth of ``weights`` |
| ``checkpoint`` | ``write_checkpoint``: shared encoder, Adam's moments, schedule, options |
| ``results`` | ``result_files`` and ``save_metrics`` of an evaluation of three frames |
"""

import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path.cwd()))

# ruff: noqa: I001 (the checkout determines which imports are first-party)
from evaluation.report import save_metrics
from scoring.ground_truth import GroundTruth
from scoring.results import result_files, write_results
from training.build import build_model, build_optimizer, weights_info

from evaluation.depth_protocol import DepthProtocol, evaluate_depths
from options import Options
from serialization.checkpoint import RunState, write_checkpoint
from serialization.optimizer_state import optimizer_arrays, restore_optimizer, schedule_state
from serialization.weights_folder import save_weights

SIZE = {"height": 96, "width": 320}


def rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return values in [0, 1] that depend on the name and, with a period of seven, on the position."""
    pattern = (zlib.crc32(name.encode()) % 900 + np.arange(np.prod(shape, dtype=int)) % 7) / np.float32(1000)
    return pattern.astype(np.float32).reshape(shape)


def model_by_rule(options: Options):
    """Build the networks of the options and fill them by rule."""
    model = build_model(options)
    for role, network in model.networks().items():
        for name, tensor in network.state_dict().items():
            tensor.set_value(rule(f"{role}/{name}", tuple(tensor.shape)))
    return model


def make_weights(folder: Path) -> None:
    """Save the networks of a training on monocular sequences, and two of them in the other formats."""
    options = Options(weights_init="scratch", **SIZE)
    model = model_by_rule(options)
    save_weights(folder / "weights", model.networks(), weights_info(options, None))
    two = folder / "two"
    save_weights(two, {role: model.networks()[role] for role in ("encoder", "depth")}, weights_info(options, None))
    for name in ("safetensors", "pytorch"):
        command = [sys.executable, "tools/convert_weights.py", str(two), str(folder / name), "--format", name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def make_checkpoint(folder: Path) -> None:
    """Save a checkpoint after one step, its moments and betas by rule."""
    options = Options(pose_model_type="shared", weights_init="scratch", use_stereo=True, model_name="old", **SIZE)
    model = model_by_rule(options)
    optimizer, schedule = build_optimizer(options, model)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()  # makes the moments
    schedule.step()
    moments = {name: rule(name, array.shape) for name, array in optimizer_arrays(optimizer, model).items()}
    model = model_by_rule(options)
    optimizer, fresh = build_optimizer(options, model)
    restore_optimizer(optimizer, model, moments, schedule_state(optimizer), "rule")
    fresh.step()
    state = RunState(
        step=12,
        epoch=1,
        samples_done=4,
        samples=100,
        best=0.125,
        schedule=schedule_state(optimizer),
        compiled=False,
        kernels=False,
        loss_scale=None,
        seconds={},
    )
    write_checkpoint(
        folder / "checkpoint",
        model.networks(),
        weights_info(options, None),
        model,
        optimizer,
        state,
        options.as_dict(),
    )


def make_results(folder: Path) -> None:
    """Save the scores of three frames, the last without ground truth."""
    truths = [np.full((40, 60), 10, np.float32), np.full((40, 60), 20, np.float32), None]
    disps = np.stack([np.linspace(0.02, 0.2, 24 * 32, dtype=np.float32).reshape(24, 32)] * 3)
    frames = [f"2011_09_26/drive {number} l" for number in range(3)]
    protocol = DepthProtocol(crop="none")
    result = evaluate_depths(disps, truths, protocol, frames)
    truth = GroundTruth(frames, truths.__getitem__, "lidar", "a test")
    files, _ = result_files("old", frames, result, {"rmse_edges": np.array([1, 2, np.nan])}, protocol, truth)
    write_results(folder / "results", files)
    save_metrics(folder / "results" / "metrics.json", result.means)


def main() -> None:
    """Make all of it and pack it, the same bytes each time but for the compressor's version."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_weights(folder)
        make_checkpoint(folder)
        make_results(folder)
        with tarfile.open(sys.argv[1], "w:xz", preset=6) as archive:
            for name in ("weights", "safetensors", "pytorch", "checkpoint", "results"):
                for path in sorted((folder / name).iterdir()):
                    info = tarfile.TarInfo(f"{name}/{path.name}")
                    info.size = path.stat().st_size
                    with open(path, "rb") as stream:
                        archive.addfile(info, stream)


if __name__ == "__main__":
    main()
