"""Test exported ground truth: the reference's numbers, and metrics identical to those without the export."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluate_depth import evaluate
from options import Options

ROOT = Path(__file__).resolve().parents[2]
DRIVE = "2011_09_26/2011_09_26_drive_0007_sync"
PAIR = [f"{DRIVE} {frame} l" for frame in (278, 282)]  # from a drive that the tests write


def scan_of(root, line):
    folder, frame, _ = line.split()
    return root / folder / f"velodyne_points/data/{int(frame):010d}.bin"


def export(*arguments, status=0):
    command = [sys.executable, "tools/export_gt_depth.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def make_split(tmp_path):
    """Write a split folder from a name and test lines."""

    def make(name, lines):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "test_files.txt").write_text("\n".join(lines) + "\n")
        return folder

    return make


@pytest.mark.parametrize(("axis", "num_workers"), [("legacy", 2), ("camera", 0)])
def test_export_equals_the_reference(stereo_drive, sample_lines, load_reference, make_split, axis, num_workers):
    reference = load_reference("evaluation.npz")
    drive = sample_lines["test"][0].split()[0]
    scans = stereo_drive / drive / "velodyne_points/data"
    frames = [frame for frame in reference["frames"] if (scans / f"{frame:010d}.bin").is_file()]
    if not frames:
        pytest.skip("no lidar scan of this sample is in the reference")
    split = make_split("eigen", [f"{drive} {frame} l" for frame in frames])
    options = ["--data_path", stereo_drive, "--split", split, "--num_workers", num_workers]
    printed = export(*options, *([] if axis == "legacy" else ["--gt_depth", axis]))
    assert (
        f"lidar ground truth of {len(frames)} frames, {axis} axis" in printed
        and str(split / "gt_depths.npz") in printed
    )
    with np.load(split / "gt_depths.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {*map(str, range(len(frames))), "kind", "axis"}
        assert (arrays["kind"], arrays["axis"]) == ("lidar", axis)
        for i, frame in enumerate(frames):
            depth, points = arrays[str(i)], reference[f"gt_{frame}_points"]
            assert (depth > 0).sum() == reference[f"gt_{frame}_count"]
            np.testing.assert_allclose(depth.sum(dtype=np.float64), reference[f"gt_{frame}_{axis}_sum"], rtol=1e-6)
            rows, columns = points[:, :2].astype(int).T
            np.testing.assert_allclose(depth[rows, columns], points[:, 2 if axis == "camera" else 3], rtol=1e-6)


def metrics(data_path, split, tmp_path, **changes) -> bytes:
    """Evaluate disparities that vary between and within frames; return the bytes of metrics.json."""
    lines = len((split / "test_files.txt").read_text().splitlines())
    np.save(tmp_path / "disps.npy", np.random.default_rng(0).uniform(0.02, 0.4, (lines, 24, 80)).astype(np.float32))
    settings = {"data_path": str(data_path), "eval_split": str(split), "ext_disp_to_eval": str(tmp_path / "disps.npy")}
    evaluate(Options(**settings, eval_mono=True, **changes))
    return (tmp_path / "metrics.json").read_bytes()


@pytest.mark.parametrize("axis", ["legacy", "camera"])
def test_metrics_equal_those_without_the_export(stereo_drive, sample_lines, make_split, tmp_path, capsys, axis):
    lines = sample_lines["test"]
    split = make_split("two", [line for line in lines if scan_of(stereo_drive, line).is_file()][:2])
    straight = metrics(stereo_drive, split, tmp_path, gt_depth=axis)
    export("--data_path", stereo_drive, "--split", split, "--gt_depth", axis, "--num_workers", 0)
    exported = metrics(stereo_drive, split, tmp_path, gt_depth=axis)
    assert f"lidar ground truth from {split / 'gt_depths.npz'}" in capsys.readouterr().out
    assert exported == straight and 0 < json.loads(exported)["abs_rel"] < 10


def test_improved_ground_truth_of_the_benchmark_split(make_split, tmp_path, capsys):
    split = make_split("eigen_benchmark", PAIR)
    stored = np.random.default_rng(1).integers(0, 256 * 70, (2, 37, 124), dtype=np.uint16)
    folder = tmp_path / DRIVE / "proj_depth/groundtruth/image_02"
    folder.mkdir(parents=True)
    for frame, values in zip((278, 282), stored, strict=True):
        Image.fromarray(values).save(folder / f"{frame:010d}.png")
    straight = metrics(tmp_path, split, tmp_path)
    export("--data_path", tmp_path, "--split", split, "--num_workers", 0)
    with np.load(split / "gt_depths.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["1"], stored[1] / np.float32(256))
        assert (arrays["kind"], arrays["axis"]) == ("improved", "camera")
    assert metrics(tmp_path, split, tmp_path) == straight
    printed = capsys.readouterr().out
    assert f"improved ground truth from {split / 'gt_depths.npz'}" in printed and "crop none" in printed


def test_error_names_frames_without_ground_truth(make_split, tmp_path):
    split = make_split("eigen", PAIR)
    scan = tmp_path / DRIVE / "velodyne_points/data/0000000278.bin"
    scan.parent.mkdir(parents=True)
    scan.write_bytes(bytes(10))
    options = ["--data_path", tmp_path, "--split", split, "--num_workers", 0]
    printed = export(*options, status=2)
    assert "1 of the 2 test frames of eigen have no lidar ground truth" in printed
    assert f"{PAIR[1]}: {scan.with_name('0000000282.bin')}" in printed and PAIR[0] not in printed
    scan.with_name("0000000282.bin").write_bytes(bytes(16))
    assert re.search(rf"{scan}.* truncated.*10 bytes", export(*options, status=2))
    assert not (split / "gt_depths.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "nowhere"], "Split 'nowhere' not found"),
        (["--dataset", "kitti_odom"], "--dataset kitti_odom has no ground truth"),
        (["--out", "tests"], "tests is a folder, expected a file"),
        (["--gt_dept", "camera"], "unknown option --gt_dept; the nearest is --gt_depth"),
    ],
)
def test_errors_are_one_line(make_split, tmp_path, arguments, message):
    split = make_split("eigen", PAIR)
    assert message in export("--data_path", tmp_path, "--split", split, *arguments, status=2)
