"""Every command that writes reports an unwritable output at once: before it loads weights, data or sources."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = "IMAGES"  # stands for a folder of two images

COMMANDS = {
    "train": ["../train", "--data_path", "DATA", "--split", "mine", "--log_dir", "FILE"],
    "export_model file": ["export_model", "--load_weights_folder", "WEIGHTS", "--out", "FILE/model"],
    "export_model proc": ["export_model", "--load_weights_folder", "WEIGHTS", "--out", "/proc/new"],
    "export_gt_depth": ["export_gt_depth", "--data_path", "DATA", "--split", "DATA/splits/mine", "--out", "/proc/new"],
    "report": ["report", "RUN", "--out", "/proc/new"],
    "report folder": ["report", "RUN", "--out", "DATA"],
    "check_dataset": ["check_dataset", "--data_path", "DATA", "--split", "mine", "--json", "FILE/new/findings.json"],
    "calibrate": ["calibrate", IMAGES, "--corners", "9x6", "--out", "FILE/camera.json"],
    "calibrate folder": ["calibrate", IMAGES, "--corners", "9x6", "--out", "DATA"],
    "import_video": ["import_video", IMAGES, "--out", "FILE"],
    "import_video below": ["import_video", IMAGES, "--out", "FILE/new"],
    "make_video": ["make_video", "--out", "FILE"],
    "make_synthetic": ["make_synthetic", "--out", "FILE"],
    "make_synthetic below": ["make_synthetic", "--out", "/proc/new"],
    "prepare_kitti": ["prepare_kitti", "--data_path", "FILE", "--split", "eigen"],
    "prepare_splits": ["prepare_splits", "--out", "FILE", "--source", "DATA"],
    "prepare_splits make": ["prepare_splits", "--make", "mine", "--out", "FILE", "--data_path", "DATA"],
    "convert_weights": ["convert_weights", "WEIGHTS", "FILE/new", "--format", "pytorch"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_unwritable_outputs_are_reported_at_once(tmp_path, words):
    """The inputs would fail, too: an error about them would show that the output is checked too late."""
    for name in ("IMAGES", "WEIGHTS", "DATA/splits/mine", "RUN"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(2):
        (tmp_path / "IMAGES" / f"{number}.png").write_bytes(b"damaged")
    (tmp_path / "DATA/splits/mine/test_files.txt").write_text("2011_09_26/2011_09_26_drive_0001_sync 0 l\n")
    (tmp_path / "FILE").touch()
    command = [sys.executable, str(ROOT / "tools" / f"{words[0]}.py"), *words[1:]]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2, result.stderr
    output = next(name for name in ("FILE", "/proc", "DATA") if any(word.startswith(name) for word in words))
    assert "Traceback" not in result.stderr and result.stderr.startswith("error: ") and output in result.stderr
    assert any(part in result.stderr for part in ("cannot be written", "is a folder", "is a file")), result.stderr
    assert (tmp_path / "FILE").read_bytes() == b""
