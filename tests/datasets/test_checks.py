"""Check of a split before training: dropped lines, and messages when nothing is left."""

import shutil

import pytest
from PIL import Image

from common.errors import DataError
from datasets.checks import check_split
from datasets.splits import SplitLine


def test_lines_without_a_neighbour_are_dropped_and_listed(make_dataset, line, tmp_path):
    lines = [line(frame, side) for frame in (0, 1, 5, 9) for side in "lr"]
    dataset = make_dataset(lines)
    check = check_split(dataset, "train", tmp_path / "logs" / "run")
    assert check.kept == [line(1, "l"), line(1, "r")]
    assert [dropped for dropped, _ in check.dropped] == [kept for kept in lines if kept not in check.kept]
    assert check.dropped[2][1].endswith("image_02/data/0000000006.jpg")
    listed = (tmp_path / "logs" / "run" / "dropped_train_lines.txt").read_text().splitlines()
    assert len(listed) == 6
    assert str(line(5, "l")) in listed[2] and "image_02/data/0000000006.jpg" in listed[2]
    assert dataset.lines == tuple(lines)


def test_single_frames_need_no_neighbours(make_dataset, line, tmp_path):
    lines = [line(0), line(5)]
    assert check_split(make_dataset(lines, frame_ids=[0]), "test", tmp_path).kept == lines
    assert not (tmp_path / "dropped_test_lines.txt").exists()


def test_stereo_needs_the_other_camera(make_dataset, line, tree):
    for path in tree.glob("*/*/image_03/data/0000000002.jpg"):
        path.unlink()
    dataset = make_dataset([line(2), line(3)], frame_ids=[0, "s"])
    assert check_split(dataset, "train").kept == [line(3)]


def test_dataset_without_the_other_camera_is_recognised(make_dataset, line, tree):
    shutil.rmtree(next(tree.glob("*/*/image_03")))
    with pytest.raises(DataError, match="--no-use_stereo"):
        check_split(make_dataset([line(2), line(3)]), "train")


def test_missing_images_are_reported_with_their_paths(make_dataset):
    dataset = make_dataset([SplitLine("no/drive", frame, "l") for frame in range(5)])
    with pytest.raises(DataError) as error:
        check_split(dataset, "val")
    assert "None of the 5 lines of the val split" in str(error.value)
    assert dataset.frame_paths(dataset.lines[0])[0] in str(error.value)
    assert "--data_path" in str(error.value) and "--png" not in str(error.value)


def test_images_with_the_other_extension_are_reported(make_dataset, line, tree):
    with pytest.raises(DataError, match="Omit --png"):
        check_split(make_dataset(extension=".png"), "train")
    for path in tree.glob("*/*/image_0*/data/*.jpg"):
        with Image.open(path) as image:
            image.save(path.with_suffix(".png"))
        path.unlink()
    with pytest.raises(DataError, match="Pass --png"):
        check_split(make_dataset(), "train")
    assert len(check_split(make_dataset(extension=".png"), "train").kept) == 8


def test_empty_split_is_rejected(make_dataset):
    with pytest.raises(DataError, match="no lines"):
        check_split(make_dataset([]), "train")
