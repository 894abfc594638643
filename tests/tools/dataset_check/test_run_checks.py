"""Each fault inserted into real data is reported with its file, and nothing else is."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError

DATE = "2011_09_26"
DRIVE = Path(DATE) / f"{DATE}_drive_1405_sync"
LEFT, RIGHT = DRIVE / "image_02/data", DRIVE / "image_03/data"
CAMERAS, LIDAR = Path(DATE) / "calib_cam_to_cam.txt", Path(DATE) / "calib_velo_to_cam.txt"


def jpg(frame, folder=LEFT):
    return folder / f"{frame:010d}.jpg"


def scan(frame):
    return DRIVE / f"velodyne_points/data/{frame:010d}.bin"


def test_intact_data_has_no_findings(tree, sample_view):
    result = tree.check(num_workers=1)
    assert result.passed and not result.findings
    assert result.lines == {"train": 12, "val": 2, "test": 1}
    # Frames 24 to 33 of both cameras, and frame 34 of the left one.
    assert (result.drives, result.images, result.depth_maps) == (1, 21, 3)
    # For KITTI's usual 1242x375 at 721.5377 pixels these are 81.4 and 29.1 degrees.
    (view,) = result.views
    assert view.size == (sample_view.height, sample_view.width)
    assert view.focal_length == pytest.approx((sample_view.fx, sample_view.fy))
    assert view.field_of_view == pytest.approx(sample_view.field_of_view, abs=0.01) and result.views[view] == 1


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_truncated_image(tree, kept):
    content = tree.image(29).read_bytes()
    tree.image(29).write_bytes(content[: kept if kept in (0, 100) else int(kept * len(content))])
    assert tree.found() == {("image_damaged", jpg(29), "29 l")}
    assert not tree.check().passed


def test_image_of_another_size(tree):
    with Image.open(tree.image(33, "r")) as image:
        width, height = image.size
        image.resize((width - 18, height - 5)).save(tree.image(33, "r"))
    assert tree.found() == {("image_size", jpg(33, RIGHT), "32 r")}
    detail = tree.check().findings[0].detail
    assert f"{width - 18}x{height - 5}" in detail and f"{width}x{height}" in detail


def test_missing_images(tree):
    tree.image(24).unlink()
    assert tree.found() == {("neighbour_missing", jpg(24), "25 l")}
    tree.image(30, "r").unlink()
    missing = {("neighbour_missing", jpg(24), "25 l"), ("image_missing", jpg(30, RIGHT), "30 r")}
    missing |= {("pair_missing", jpg(30, RIGHT), "30 l"), ("neighbour_missing", jpg(30, RIGHT), "29 r")}
    assert tree.found() == missing
    assert tree.found(frame_ids=(0,)) == {("image_missing", jpg(30, RIGHT), "30 r")}


def test_split_without_any_image_is_an_error(tree):
    for folder in (LEFT, RIGHT):
        shutil.rmtree(tree.root / folder)
    with pytest.raises(DataError, match=r"12 .*train"):
        tree.check()


@pytest.mark.parametrize(("content", "words"), [(b"", "0 bytes"), (bytes(70), "70 bytes")])
def test_empty_and_truncated_scans(tree, content, words):
    tree.scan(34).write_bytes(content)
    assert tree.found() == {("depth_damaged", scan(34), "34 l")}
    assert words in tree.check().findings[0].detail


def test_scan_outside_the_image(tree):
    np.full((100, 4), -5, np.float32).tofile(tree.scan(27))  # all of it behind the car
    assert tree.found() == {("depth_damaged", scan(27), "27 l")}


def test_missing_ground_truth(tree):
    for frame in (31, 34):
        tree.scan(frame).unlink()
    assert tree.found() == {("val_depth_missing", scan(31), "31 l"), ("test_depth_missing", scan(34), "34 l")}
    del tree.lists["test"]
    assert tree.check().passed  # validation works without ground truth
    improved = {
        ("val_depth_missing", DRIVE / f"proj_depth/groundtruth/image_02/{f:010d}.png", f"{f} l") for f in (27, 31)
    }
    assert tree.found(name="kitti_depth") == improved


@pytest.mark.parametrize("key", ["P_rect_02", "S_rect_03", "R_rect_00"])
def test_missing_calibration_entry(tree, key):
    tree.edit_calibration("calib_cam_to_cam.txt", lambda line: "" if line.startswith(f"{key}:") else line)
    assert tree.found() == {("calibration_incomplete", CAMERAS, "25 l")}
    assert key in tree.check().findings[0].detail


def test_truncated_calibration_entries(tree):
    tree.edit_calibration("calib_velo_to_cam.txt", lambda line: line[:40] if line[:2] in ("R:", "T:") else line)
    assert tree.found() == {("calibration_incomplete", LIDAR, "31 l")}
    assert "entry R: expected 9 numbers" in tree.check().findings[0].detail


def test_missing_calibration_file(tree):
    (tree.root / LIDAR).unlink()
    assert tree.found() == {("calibration_missing", LIDAR, "31 l")}
    (tree.root / CAMERAS).unlink()
    del tree.lists["val"], tree.lists["test"]
    assert tree.found() == {("calibration_missing", CAMERAS, "25 l")}
    assert tree.check(mean_intrinsics=True).passed  # training then needs no calibration


@pytest.mark.parametrize(
    ("key", "line", "kind", "words"),
    [
        ("P_rect_02", "7 0 609 0 0 721 172 0 0 0 1 0", "calibration_implausible", "179 degrees"),
        ("P_rect_02", "9e4 0 609 0 0 9e4 172 0 0 0 1 0", "calibration_implausible", "1 degrees"),
        ("P_rect_02", "-721 0 609 0 0 721 172 0 0 0 1 0", "calibration_implausible", "-721"),
        ("P_rect_02", "721 0 609 0 0 721 400 0 0 0 1 0", "calibration_implausible", "(609, 400)"),
        ("P_rect_02", "nan 0 609 0 0 721 172 0 0 0 1 0", "calibration_incomplete", "not finite"),
        ("S_rect_02", "1000 300", "calibration_size", "1000x300"),
    ],
)
def test_implausible_calibrations(tree, key, line, kind, words):
    tree.edit_calibration("calib_cam_to_cam.txt", lambda old: f"{key}: {line}\n" if old.startswith(key) else old)
    tree.lists["val"] = []  # its ground truth would not match the image either
    assert (kind, CAMERAS, "25 l") in tree.found()
    assert [words in finding.detail for finding in tree.check().findings if finding.kind == kind] == [True]


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((192, 640), "images_downscaled"),
        ((320, 1024), "images_downscaled"),
        ((188, 621), "images_downscaled"),
        ((352, 1216), "calibration_size"),  # cropped, as for the depth benchmark
        ((370, 1226), "calibration_size"),  # of another day
        ((375, 600), "calibration_size"),
    ],
)
def test_images_of_another_size_than_the_calibration(tree, size, kind):
    height, width = size
    tree.edit_calibration(
        "calib_cam_to_cam.txt", lambda line: f"{line.split(':')[0]}: 1242 375\n" if "S_rect" in line else line
    )
    for path in (tree.root / DRIVE).glob("image_0*/data/*.jpg"):
        with Image.open(path) as image:
            image.resize((width, height)).save(path)
    tree.lists["val"] = tree.lists["test"] = []
    result = tree.check()
    assert {finding.kind for finding in result.findings} == {kind}
    assert all("1242x375" in finding.detail and f"{width}x{height}" in finding.detail for finding in result.findings)
    assert result.passed == (kind == "images_downscaled") == bool(result.views)


def test_swapped_stereo_cameras(tree):
    folders = [tree.root / DRIVE / name for name in ("image_02", "aside", "image_03")]
    for i in (0, 2, 1):
        os.rename(folders[i], folders[i - 2 if i else 1])
    assert tree.found() == {("stereo_swapped", LEFT, "25 l")}
    tree.lists["train"] = [(25, "l"), (26, "l")]
    # Reported for monocular training too: ground truth and calibration would be the other camera's.
    assert tree.found(frame_ids=(0, -1, 1)) == {("stereo_swapped", LEFT, "25 l")}


def test_duplicate_image(tree):
    shutil.copyfile(tree.image(29), tree.image(30))
    assert tree.found() == {("duplicate_frames", jpg(30), "30 l")}
    assert tree.check().passed


def test_faults_at_the_boundaries_of_stretches(tree, monkeypatch):
    monkeypatch.setattr("tools.dataset_check.image_checks.STRETCH", 3)  # frames 24 to 26, 27 to 29, ...
    shutil.copyfile(tree.image(26), tree.image(27))
    tree.image(29).write_bytes(b"")
    assert tree.found() == {("duplicate_frames", jpg(27), "27 l"), ("image_damaged", jpg(29), "29 l")}
    assert len(tree.check().findings) == 2


def test_static_stretch_by_image_motion(tree):
    for side in "lr":
        for frame in (28, 29, 30):
            with Image.open(tree.image(27, side)) as image:
                # Sensor noise on an otherwise identical image.
                noise = np.random.default_rng(frame).normal(0, 1.5, (image.height, image.width))
                noisy = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tree.image(frame, side), quality=92)
    assert tree.found() == {("static_images", jpg(28), "28 l")}
    (finding,) = tree.check().findings
    assert (finding.detail, finding.frames) == ("frames 28 to 30", 3)


def test_static_stretch_by_recorded_speed(tree):
    folder = tree.root / DRIVE / "oxts/data"
    folder.mkdir(parents=True)
    for frame in range(24, 34):
        speed = 0.2 if frame in (26, 28, 29, 30, 31) else 6.0
        (folder / f"{frame:010d}.txt").write_text(" ".join(["0"] * 8 + [str(speed)] + ["0"] * 21))
    (finding,) = tree.check().findings
    assert (finding.kind, finding.detail, finding.frames) == ("static_speed", "frames 28 to 31", 4)


def test_lines_listed_twice_or_in_two_parts(tree):
    tree.lists["train"] += [(25, "l"), (31, "l"), (34, "l")]
    tree.lists["train"].remove((32, "r"))
    found = tree.found(frame_ids=(0,))
    assert found == {("listed_twice", None, "25 l"), ("parts_overlap", None, "31 l"), ("parts_overlap", None, "34 l")}
    tree.lists["train"] = tree.lists["train"][:-2]
    assert tree.check(frame_ids=(0,)).passed


def test_summary_has_counts_examples_and_advice(tree, sample_view):
    for frame in (25, 26, 28, 29):
        tree.image(frame).write_bytes(b"")
    summary = tree.check().summary()
    assert "12 train, 2 val, 1 test lines; 21 images and 3 ground truths" in summary
    assert "{:.1f} x {:.1f} degrees".format(*sample_view.field_of_view) in summary
    assert "ERROR image_damaged: 4 " in summary
    assert str(tree.image(25)) in summary and "(train: " in summary and "and 1 more" in summary
    assert "these files again" in summary and "4 errors" in summary.splitlines()[-1]
