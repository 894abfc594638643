"""Frame table and displacement, computed by hand."""

import pytest

from common.errors import DataError
from datasets.folder_dataset import FolderDataset
from datasets.frame_table import FrameRow, displacement, kept_numbers, read_speeds, read_times, write_frame_table
from datasets.splits import SplitLine


def test_round_trip(tmp_path):
    path = tmp_path / "frames.csv"
    write_frame_table(path, [FrameRow(0, 4, 0.2, None), FrameRow(1, 7, 0.35, 0.0123456)], kept={0})
    assert path.read_text() == "number,source_frame,seconds,motion,kept\n0,4,0.200000,,1\n1,7,0.350000,0.01235,0\n"
    assert kept_numbers(path) == [0] and read_speeds(path) == {}


def test_displacement_is_mean_speed_times_time(tmp_path):
    path = tmp_path / "frames.csv"
    path.write_text("number,source_frame,seconds,speed\n3,9,0.3,10\n4,12,0.5,12\n5,15,0.9,\n")
    speeds = read_speeds(path)
    assert displacement(speeds, 3, 4) == displacement(speeds, 4, 3) == pytest.approx(11 * 0.2)
    assert displacement(speeds, 4, 5) is None and displacement(speeds, 4, 6) is None


def test_speeds_are_empty_without_column_or_file(tmp_path):
    assert read_speeds(tmp_path / "absent.csv") == {}
    for content in ("", "number,seconds\n", "number,seconds\n1,0.1\n"):
        (tmp_path / "frames.csv").write_text(content)
        assert read_speeds(tmp_path / "frames.csv") == {}


@pytest.mark.parametrize("row", ["x,0.1,3", "1,0.1,fast", "1,,3", "1.5,0,3", "1,nan,3", "1,inf,3", "1,0.1,3e999"])
def test_malformed_row_is_reported(tmp_path, row):
    path = tmp_path / "frames.csv"
    path.write_text(f"number,seconds,speed\n{row}\n")
    with pytest.raises(DataError, match=r"frames\.csv, line 2"):
        read_speeds(path)


def test_folder_dataset_reads_speeds_from_its_table(tmp_path):
    for name, speed in (("known", ",speed"), ("unknown", "")):
        rows = "".join(f"{i},{i / 10}{',5' if speed else ''}\n" for i in range(3))
        (tmp_path / name).mkdir()
        (tmp_path / name / "frames.csv").write_text(f"number,seconds{speed}\n{rows}")
    dataset = FolderDataset(str(tmp_path), [], height=32, width=32, frame_ids=(0, -1, 1), train=False)
    assert dataset.displacement(SplitLine("known", 1, "l"), -1) == pytest.approx(0.5)
    assert dataset.displacement(SplitLine("unknown", 1, "l"), -1) is None


TABLE = "number,source_frame,seconds,motion,kept,speed\n3,9,0.3,,1,10\n4,12,0.5,0.01,1,12.5\n5,15,0.9,0.02,0,\n"
SAVED = {
    "byte order mark": "\ufeff" + TABLE,
    "windows": TABLE.replace("\n", "\r\n"),
    "semicolons": TABLE.replace(",", ";"),
    "semicolons and decimal commas": TABLE.replace(",", ";").replace(".", ","),
    "tabs": TABLE.replace(",", "\t"),
    "capitals": TABLE.title(),
    "spaces": TABLE.replace(",", " , "),
    "quotes": '"' + TABLE.replace(",", '","').replace("\n", '"\n"')[:-1],
    "blank lines": TABLE.replace("\n", "\n\n"),
    "without empty cells at the end": TABLE.replace(",0,\n", ",0\n"),
    "with empty cells at the end": TABLE.replace("\n", ",,\n"),
    "floats": TABLE.replace(",1,", ",1.0,").replace("\n4,", "\n4.0,"),
    "another order": "speed,number,kept,seconds\n10,3,1,0.3\n12.5,4,1,0.5\n,5,0,0.9\n",
}


@pytest.mark.parametrize("way", SAVED)
def test_tables_saved_by_other_programs(tmp_path, way):
    path = tmp_path / "frames.csv"
    path.write_text(SAVED[way], encoding="utf-8", newline="")
    assert kept_numbers(path) == [3, 4]
    assert read_speeds(path) == {3: (0.3, 10.0), 4: (0.5, 12.5), 5: (0.9, None)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", r"got columns \['a', 'b'\], expected also number"),
        ("number|kept\n1|1\n", "expected also number"),
        ("PK\x03\x04\0\0\n", "expected also number"),
        ("number,kept\n1,yes\n", "line 2: kept: got 'yes', expected an integer"),
        ("number,kept\n" + "9" * 5000 + ",1\n", "line 2: number: got str of length 5000"),
    ],
)
def test_other_tables_are_reported(tmp_path, content, words):
    path = tmp_path / "frames.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=words):
        kept_numbers(path)
    path.unlink()
    with pytest.raises(DataError, match="not found"):
        kept_numbers(path)


def test_unknown_times_are_empty_and_required_for_speeds(tmp_path):
    path = tmp_path / "frames.csv"
    write_frame_table(path, [FrameRow(0, 0, None, None), FrameRow(1, 3, None, 0.01)], kept={0, 1})
    assert path.read_text() == "number,source_frame,seconds,motion,kept\n0,0,,,1\n1,3,,0.01000,1\n"
    assert kept_numbers(path) == [0, 1] and read_speeds(path) == {}
    path.write_text("number,source_frame,seconds,motion,kept,speed\n0,0,,,1,\n1,3,,0.01,1,12\n")
    with pytest.raises(DataError, match=r"line 3: has a speed, but no time.*--fps.*seconds"):
        read_speeds(path)


HEADER = "number,source_frame,seconds,motion,kept,speed\n"
AS_NUMBERS = f"{HEADER}0,0,0.000000,,1,9\n1,3,3.000000,0.01,1,9\n"  # of images, by an earlier version


@pytest.mark.parametrize(
    ("rows", "record", "times"),
    [
        (f"{HEADER}1,3,0.3,,1,\n0,0,0.0,,1,\n2,6,,,1,\n", None, {0: 0.0, 1: 0.3}),
        (f"{HEADER}0,0,,,1,\n1,3,,,1,\n", None, {}),
        (AS_NUMBERS, '{"frames_per_second": null}', {}),
        (AS_NUMBERS, '{"frames_per_second": 1.0}', {0: 0.0, 1: 3.0}),  # a video of 1 frame per second
        (AS_NUMBERS, None, {0: 0.0, 1: 3.0}),
        (AS_NUMBERS, "[", {0: 0.0, 1: 3.0}),
        (AS_NUMBERS.replace("3.000000", "3.5"), '{"frames_per_second": null}', {0: 0.0, 1: 3.5}),  # corrected by hand
    ],
)
def test_times_are_known_or_left_out(tmp_path, rows, record, times):
    path = tmp_path / "frames.csv"
    path.write_text(rows)
    if record:
        (tmp_path / "sequence.json").write_text(record)
    assert list(read_times(path).items()) == list(times.items())


def test_speeds_require_the_true_times(tmp_path):
    path, record = tmp_path / "frames.csv", tmp_path / "sequence.json"
    path.write_text(AS_NUMBERS)
    assert read_speeds(path) == {0: (0, 9), 1: (3, 9)}
    record.write_text('{"frames_per_second": null}')
    with pytest.raises(DataError, match=r"numbers of the images.*--fps"):
        read_speeds(path)


@pytest.mark.parametrize("second", ["0.0", "-1", "12:30", "nan"])
def test_times_that_do_not_increase_are_reported(tmp_path, second):
    (tmp_path / "frames.csv").write_text(f"{HEADER}0,0,0.0,,1,\n1,3,{second},,1,\n")
    with pytest.raises(DataError, match=r"frame 1 is not after|line 3: seconds"):
        read_times(tmp_path / "frames.csv")
