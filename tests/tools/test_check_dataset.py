"""Test the dataset check command: exit status, JSON, error messages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATE = "2011_09_26"
DRIVE = f"{DATE}/{DATE}_drive_0007_sync"


def check(*arguments, status=0):
    command = [sys.executable, "tools/check_dataset.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_sample_has_no_problems(stereo_drive, sample_lines, sample_view, tmp_path):
    path = tmp_path / "new" / "findings.json"
    printed = check(
        *("--data_path", stereo_drive, "--split", "kitti_sample", "--use_stereo", "--num_workers", 2, "--json", path)
    )
    size = f"{sample_view.width}x{sample_view.height}"
    seen = "field of view {:.1f} x {:.1f} degrees".format(*sample_view.field_of_view)
    assert f"{seen}, focal length {sample_view.fx:.1f} pixels at {size}: 1 drive" in printed
    assert "files read in " in printed and "No problems found" in printed and str(path) in printed
    found = json.loads(path.read_text())
    assert found["healthy"] is True and found["counts"] == {} and found["findings"] == []
    # Count the files that the lists require.
    needed, lines = set(), {}
    for part in ("train", "val", "test"):
        listed = [line.split() for line in sample_lines[part]]
        lines[part] = len(listed)
        for folder, frame, side in listed:
            needed |= {(folder, int(frame) + offset, side) for offset in ((0,) if part == "test" else (-1, 0, 1))}
            if part != "test":
                needed |= {(folder, int(frame), other) for other in "lr"}
    assert found["lines"] == lines and found["images"] == len(needed)
    assert (found["split"], found["dataset"], found["drives"]) == ("kitti_sample", "kitti", 1)
    (view,) = found["views"]
    assert (view["height"], view["width"], view["drives"]) == (sample_view.height, sample_view.width, 1)


def test_colour_sample_has_no_errors(kitti_sample_colour):
    printed = check("--data_path", kitti_sample_colour, "--split", "kitti_sample_colour", "--num_workers", 0)
    assert "No problems found" in printed


@pytest.fixture
def faulty(stereo_drive, sample_lines, tmp_path) -> Path:
    """Copy frames 24 to 26, one line of the sample with its neighbours; the left image of frame 26 is truncated."""
    folder, number, _ = sample_lines["train"][0].split()
    for camera in ("image_02", "image_03"):
        (tmp_path / DRIVE / camera / "data").mkdir(parents=True)
        for frame, source in zip((24, 25, 26), range(int(number) - 1, int(number) + 2), strict=True):
            image = stereo_drive / folder / camera / f"data/{source:010d}.jpg"
            os.symlink(image, tmp_path / DRIVE / camera / f"data/{frame:010d}.jpg")
    for name in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt"):
        os.symlink((stereo_drive / folder).parent / name, tmp_path / DATE / name)
    cut = tmp_path / DRIVE / "image_02/data/0000000026.jpg"
    content = cut.read_bytes()
    cut.unlink()
    cut.write_bytes(content[: len(content) // 2])
    (tmp_path / "splits/mine").mkdir(parents=True)
    (tmp_path / "splits/mine/train_files.txt").write_text(f"{DRIVE} 25 l\n")
    (tmp_path / "splits/mine/test_files.txt").write_text("image 0\n")
    return tmp_path


def test_error_names_the_file_and_exits_with_status_1(faulty):
    path = faulty / "findings.json"
    printed = check("--data_path", faulty, "--split", "mine", "--num_workers", 0, "--json", path, status=1)
    cut = faulty / f"{DRIVE}/image_02/data/0000000026.jpg"
    assert f"ERROR image_damaged: 1 images that cannot be decoded\n  {cut}: " in printed
    found = json.loads(path.read_text())
    assert found["healthy"] is False and found["counts"] == {"test_list_unreadable": 1, "image_damaged": 1}
    unreadable, damaged = found["findings"]
    assert (unreadable["severity"], unreadable["part"]) == ("warning", "test")
    assert damaged.pop("detail").startswith("image file is truncated")
    line = f"{DRIVE} 25 l"
    expected = {"kind": "image_damaged", "severity": "error", "path": str(cut), "line": line, "part": "train"}
    assert damaged == {**expected, "frames": 1}


def test_exported_ground_truth_replaces_the_lidar(faulty):
    split = faulty / "splits/mine"
    (split / "test_files.txt").write_text(f"{DRIVE} 24 l\n")
    (split / "train_files.txt").unlink()
    options = ("--data_path", faulty, "--split", "mine", "--num_workers", 0)
    assert "ERROR test_depth_missing: 1 test lines" in check(*options, status=1)
    (split / "gt_depths.npz").write_bytes(b"")
    assert "No problems found" in check(*options)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--split", "nowhere"], ["Split 'nowhere' not found"]),
        (["--data_path", "nowhere", "--split", "SPLIT"], ["None of the 1 lines", "nowhere/2011_09_26", "--data_path"]),
        (["--png"], ["Omit --png"]),
        (["--json", "/proc/none/findings.json"], ["/proc/none/findings.json cannot be written"]),
        (["--json", "tests"], ["tests is a folder, expected a file"]),
        (["--use_stero"], ["unknown option --use_stero; the nearest is --use_stereo"]),
    ],
)
def test_errors_are_one_line(faulty, arguments, words):
    arguments = [faulty / "splits/mine" if word == "SPLIT" else word for word in arguments]
    printed = check("--data_path", faulty, "--split", "mine", *arguments, status=2)
    assert all(word in printed for word in words)
