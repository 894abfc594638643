"""Split lists: search order, line formats, malformed lists."""

import pytest

import datasets.splits
from common.errors import DataError
from datasets.kitti_benchmark import read_benchmark_lines
from datasets.splits import SplitLine, find_split, read_split_lines


def _write(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_search_order_is_path_repository_data(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.splits, "REPOSITORY_SPLITS", tmp_path / "repository")
    monkeypatch.chdir(tmp_path)
    data = _write(tmp_path / "data/splits/mine", "train_files.txt", "a 1 l\n")
    assert find_split("mine", tmp_path / "data") == data
    repository = _write(tmp_path / "repository/mine", "test_files.txt", "a 1 l\n")
    assert find_split("mine", tmp_path / "data") == repository
    (tmp_path / "mine").mkdir()  # a folder without lists is not a split
    assert find_split("mine", tmp_path / "data") == repository
    _write(tmp_path / "mine", "val_files.txt", "a 1 l\n")
    assert find_split("mine", tmp_path / "data").resolve() == tmp_path / "mine"
    assert find_split(str(data), tmp_path) == data


def test_missing_split_lists_the_searched_folders(tmp_path):
    with pytest.raises(DataError) as error:
        find_split("no_such_split", tmp_path)
    assert str(tmp_path / "splits" / "no_such_split") in str(error.value)
    assert str(datasets.splits.REPOSITORY_SPLITS / "no_such_split") in str(error.value)


def test_published_line_formats(tmp_path):
    _write(tmp_path, "test_files.txt", "day/drive 0000000069 l\n\n  day/drive 5 r \nday/drive 7 2\nday/drive 8 3")
    assert read_split_lines(tmp_path, "test") == [
        SplitLine("day/drive", 69, "l"),
        SplitLine("day/drive", 5, "r"),
        SplitLine("day/drive", 7, "l"),
        SplitLine("day/drive", 8, "r"),
    ]
    _write(tmp_path, "test_files_09.txt", "9 0 l\n")
    assert read_split_lines(tmp_path, "test_09") == [SplitLine("9", 0, "l")]
    assert str(SplitLine("9", 0, "l")) == "9 0 l"


@pytest.mark.parametrize(
    "bad", ["day/drive 5", "day/drive five l", "day/drive -5 l", "day/drive 5 x", "day/drive 5 l l"]
)
def test_malformed_line_is_reported_with_its_number(tmp_path, bad):
    _write(tmp_path, "train_files.txt", f"day/drive 4 l\n\n{bad}\n")
    with pytest.raises(DataError, match=r"train_files\.txt, line 3"):
        read_split_lines(tmp_path, "train")


def test_missing_and_empty_lists_are_reported(tmp_path):
    _write(tmp_path, "test_files.txt", "\n\n")
    with pytest.raises(DataError, match=r"train_files\.txt not found.*test_files\.txt"):
        read_split_lines(tmp_path, "train")
    with pytest.raises(DataError, match="is empty"):
        read_split_lines(tmp_path, "test")


def test_splits_of_the_sample(kitti_sample):
    folders = [path.parent for path in sorted(kitti_sample.glob("splits/*/train_files.txt"))]
    if not folders:
        pytest.skip("this sample has no train split")
    split = find_split(folders[0].name, kitti_sample)
    lines = read_split_lines(split, "train")
    text = (split / "train_files.txt").read_text().split("\n")
    assert [str(line) for line in lines] == [" ".join(line.split()) for line in text if line.strip()]


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16"]  # utf-16 writes a byte order mark


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_lists_of_any_system_keep_every_line(tmp_path, encoding):
    (tmp_path / "train_files.txt").write_bytes("day/drive 4 l\r\nday/straße 5 r\r\n".encode(encoding))
    assert read_split_lines(tmp_path, "train") == [SplitLine("day/drive", 4, "l"), SplitLine("day/straße", 5, "r")]
    (tmp_path / "test_files.txt").write_bytes("image 4\r\nimage 5\r\n".encode(encoding))
    assert [line.frame for line in read_benchmark_lines(tmp_path / "test_files.txt")] == [4, 5]


@pytest.mark.parametrize(
    "bad", ["day/dr\0ive 5 l", f"day/drive {'9' * 5000} l", "day/\ufeffdrive 5 l", "\x1b[2Jday 5 l"]
)
def test_hostile_lines_are_reported_in_one_printable_sentence(tmp_path, bad):
    _write(tmp_path, "train_files.txt", f"day/drive 4 l\n{bad}\n")
    with pytest.raises(DataError, match=r"train_files\.txt, line 2: got ") as error:
        read_split_lines(tmp_path, "train")
    assert len(str(error.value)) < 400 and str(error.value).isprintable()
    _write(tmp_path, "test_files.txt", f"image 4\n{bad.rpartition(' ')[0]}\n")
    with pytest.raises(DataError, match=r"test_files\.txt, line 2: got ") as error:
        read_benchmark_lines(tmp_path / "test_files.txt")
    assert len(str(error.value)) < 400 and str(error.value).isprintable()
