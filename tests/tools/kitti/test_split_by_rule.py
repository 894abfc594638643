import os
import shutil

import cv2
import numpy as np
import pytest

from common.errors import DataError
from datasets.splits import read_split_lines
from tools.kitti.split_by_rule import EIGEN_TEST_DRIVES, split_by_rule, write_lists

DAY = "2011_09_26"
DRIVE = f"{DAY}/{DAY}_drive_0001_sync"
TEST_DRIVE = f"{DAY}/{DAY}_drive_0002_sync"


def _oxts(forward):
    """Build KITTI's 30 oxts fields with this forward speed; east and north velocities have other values."""
    fields = [49.0, 8.4, 116.0, 0.0, 0.0, 0.0, 77.0, 77.0, forward, 77.0, 0.0]
    return " ".join(map(str, [*fields, *[0] * 19])) + "\n"


@pytest.fixture
def add_frame(tmp_path):
    """Add a frame with empty images and a speed in m/s to the tree."""

    def add(folder, frame, forward=9.0, cameras=(2, 3), suffix="jpg"):
        for camera in cameras:
            path = tmp_path / folder / f"image_0{camera}/data/{frame:010d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        path = tmp_path / folder / f"oxts/data/{frame:010d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_oxts(forward))

    return add


@pytest.fixture
def make(tmp_path, pool):
    def run(val_share=0.0, seed=0, min_speed=1.0, tree=tmp_path):
        return split_by_rule(tree, val_share, seed, min_speed, pool)

    return run


def _frames(lines):
    return sorted({line.frame for line in lines})


def test_frames_require_neighbours_and_both_cameras(add_frame, make):
    for frame in range(10):
        add_frame(DRIVE, frame, cameras=(2,) if frame == 3 else (2, 3), suffix="png" if frame % 2 else "jpg")
    split = make()
    assert [str(line) for line in split.train] == [f"{DRIVE} {n} {side}" for n in (1, 5, 6, 7, 8) for side in "lr"]
    assert split.val == [] and (split.drives, split.test_drives, split.without_neighbours, split.static) == (1, 0, 5, 0)


def test_speed_in_either_direction_decides_which_frames_are_static(add_frame, make):
    for frame, forward in enumerate([9, 0.99, 1.0, 0, -0.5, -1.2, 9]):
        add_frame(DRIVE, frame, forward)
    split = make()
    assert _frames(split.train) == [2, 5] and split.static == 3
    assert _frames(make(min_speed=0.9).train) == [1, 2, 5]
    assert _frames(make(min_speed=0).train) == [1, 2, 3, 4, 5]


def test_seed_selects_stretches_for_validation(add_frame, make, tmp_path):
    for drive, count in (("0001", 302), ("0005", 202)):
        for frame in range(count):
            add_frame(DRIVE.replace("0001", drive), frame)
    split = make(val_share=0.1, seed=1)
    train, val = ({(line.folder, line.frame) for line in lines} for lines in (split.train, split.val))
    assert not train & val and len(train | val) == 500 and len(val) == 50 and len(split.val) == 100
    borders = sum((folder, frame + 1) in train for folder, frame in val)
    assert borders <= 2  # one complete stretch of 50, or two parts
    again = make(val_share=0.1, seed=1)
    assert (again.train, again.val) == (split.train, split.val)
    assert make(val_share=0.1, seed=2).val != split.val
    # The order of stretches does not depend on other drives in the tree or on the machine.
    copy = shutil.copytree(tmp_path / DAY, tmp_path / "other" / DAY, copy_function=os.link).parent
    assert make(val_share=0.1, seed=1, tree=copy).val == split.val


def test_folder_order_does_not_matter(add_frame, make, monkeypatch):
    from pathlib import Path

    for drive in ("0001", "0005", "0011"):
        for frame in range(60):
            add_frame(DRIVE.replace("0001", drive), frame)
    split = make(val_share=0.2)
    for name in ("glob", "iterdir"):
        listing = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda *args, listing=listing: reversed(list(listing(*args))))
    again = make(val_share=0.2)
    assert (again.train, again.val) == (split.train, split.val) and len(split.val) == round(0.2 * 3 * 58) * 2


def test_eigen_test_drives_are_excluded(shared_splits, add_frame, make):
    lines = read_split_lines(shared_splits / "eigen", "test")
    assert {line.folder.split("/")[1] for line in lines} == EIGEN_TEST_DRIVES and len(EIGEN_TEST_DRIVES) == 28
    for frame in range(3):
        add_frame(DRIVE, frame)
        for folder in {line.folder for line in lines}:
            add_frame(folder, frame)
    split = make()
    assert {line.folder for line in split.train} == {DRIVE} and split.test_drives == 28


def test_membership_equals_the_published_split(shared_splits, add_frame, make):
    """Reproduce the split of Zhou et al. for drives of all kinds with their real frames (from eigen_full).

    Frames that their optical flow classified as static have speed 0 in this tree. The rule must find all other
    exclusions: missing neighbours, missing cameras, test drives.
    """
    drives = {
        f"{DAY}/{DAY}_drive_{n}_sync" for n in ("0001", "0005", "0017", "0018", "0057", "0060", "0079", "0104", "0113")
    }

    def members(name):
        parts = (read_split_lines(shared_splits / name, part) for part in ("train", "val"))
        return {line for lines in parts for line in lines if line.folder in drives}

    published, all_of_them = members("eigen_zhou"), members("eigen_full")
    assert published < all_of_them
    moving = {(line.folder, line.frame) for line in published}
    for folder, frame in {(line.folder, line.frame) for line in all_of_them}:
        add_frame(folder, frame, 9.0 if (folder, frame) in moving else 0.0)
    for frame in range(5):
        add_frame(TEST_DRIVE, frame)
    split = make(val_share=0.1)
    assert set(split.train) | set(split.val) == published
    assert len(split.val) == pytest.approx(0.1 * len(published), abs=2)


def _write_pictures(folder, offsets, noise):
    """Write a street that moves by the given pixels per frame (at a width of 1242), with a passing car."""
    rng = np.random.default_rng(0)
    street = cv2.resize(rng.integers(0, 256, (24, 160, 3), dtype=np.uint8), (1600, 375), interpolation=cv2.INTER_CUBIC)
    for frame, offset in enumerate(np.cumsum(offsets)):
        shift = np.float32([[1, 0, -offset], [0, 1, 0]])
        image = cv2.warpAffine(street, shift, (1242, 375), flags=cv2.INTER_LINEAR)
        image[200:300, 30 * frame : 30 * frame + 250] = 255 * (frame % 2)
        image = np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)
        for camera in (2, 3):
            path = folder / f"image_0{camera}/data/{frame:010d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 92])


def test_image_motion_is_used_without_oxts(tmp_path, make):
    """The steps to frames 3 to 7 are zero; a passing car does not count as motion.

    The motion of a frame is the mean of its two steps.
    """
    _write_pictures(tmp_path / DRIVE, [3, 3, 3, 0, 0, 0, 0, 0, 3, 3, 3, 3], noise=3)
    split = make()
    assert _frames(split.train) == [1, 2, 7, 8, 9, 10] and split.static == 4 and split.by_images == 10


def test_real_street(tmp_path, make, kitti_sample):
    """In a real drive without oxts, all frames move; a repeated frame is static."""
    source = next(kitti_sample.glob("*/*_sync"))
    folder = tmp_path / DRIVE
    for camera in (2, 3):
        (folder / f"image_0{camera}/data").mkdir(parents=True)
    first = min(int(path.stem) for path in (source / "image_02/data").glob("*.jpg"))
    for frame in range(24):
        shown = first + min(frame, 12)
        for camera in (2, 3):
            name = f"image_0{camera}/data/{frame:010d}.jpg"
            shutil.copy(source / f"image_0{camera}/data/{shown:010d}.jpg", folder / name)
    assert _frames(make().train) == list(range(1, 13))


def test_odometry_sequences(tmp_path, make):
    """Sequences have no speed: their image motion decides, as in drives without oxts. 9 and 10 are for testing."""
    _write_pictures(tmp_path / "written", [3] * 5, noise=0)
    for name in ("00", "09", "10", "50"):
        for camera in (2, 3):
            images = tmp_path / f"sequences/{name}/image_{camera}"
            images.mkdir(parents=True)
            for path in (tmp_path / f"written/image_0{camera}/data").iterdir():
                os.link(path, images / f"{int(path.stem):06d}.jpg")
    split = make()
    assert [str(line) for line in split.train] == [f"{n} {f} {s}" for n in (0, 50) for f in (1, 2, 3) for s in "lr"]
    assert (split.drives, split.test_drives, split.by_images) == (2, 2, 6)


def test_no_usable_frames_and_damaged_files(tmp_path, add_frame, make):
    with pytest.raises(DataError, match="no frames for training: 0 drives"):
        make()
    for frame in range(4):
        add_frame(DRIVE, frame, 0.0)
    with pytest.raises(DataError, match=r"1 drives.*2 frames lack a neighbour or the other camera, 2 are static"):
        make()
    (tmp_path / DRIVE / "oxts/data/0000000001.txt").write_text("49.0 8.4\n")
    with pytest.raises(DataError, match=r"0000000001\.txt' is not an oxts file"):
        make()
    (tmp_path / DRIVE / "oxts/data/0000000001.txt").unlink()
    with pytest.raises(DataError, match=r"\.jpg cannot be read"):  # the images are empty
        make()


def test_existing_lists_are_not_overwritten(tmp_path, add_frame, make):
    for frame in range(60):
        add_frame(DRIVE, frame)
    split, folder = make(val_share=0.1), tmp_path / "splits/mine"
    write_lists({"train": split.train, "val": split.val}, folder)
    assert read_split_lines(folder, "train") == split.train and read_split_lines(folder, "val") == split.val
    write_lists({"train": split.train, "val": split.val}, folder)
    with pytest.raises(DataError, match=r"train_files\.txt' exists"):
        write_lists({"train": make(val_share=0.5).train}, folder)
    assert read_split_lines(folder, "train") == split.train
