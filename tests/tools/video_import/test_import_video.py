"""Import of videos and folders as a dataset."""

import csv
import json
import os
import re
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from datasets.build import build_dataset
from datasets.loader import collate
from datasets.splits import find_split, read_split_lines
from options import parse_options
from tools import import_video
from tools.video_import import sequence
from tools.video_import.split_lists import write_lists
from training.setup import with_weights_size


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function: arguments -> (exit status, output)."""

    def run_(*arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["import_video.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            import_video.run_script(import_video.main)
            raise SystemExit(0)
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return run_


def lines_of(out, part: str) -> list:
    return read_split_lines(out / "splits" / "folder", part)


def table_of(folder) -> list[dict]:
    with open(folder / "frames.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def dataset_of(out, part="train", **kwargs):
    defaults = {"height": 64, "width": 192, "frame_ids": [0, -1, 1], "scales": [0, 1], "train": False}
    return build_dataset("folder", str(out), lines_of(out, part), **{**defaults, **kwargs})


def test_stride_follows_from_the_motion(tmp_path, video, run):
    """The image moves by 1 % of its width per frame, KITTI's by 1.81 %: the stride is 2."""
    out = tmp_path / "data"
    broken = tmp_path / "broken video.mp4"
    broken.write_bytes(video.read_bytes()[:5000])
    status, printed = run(
        video, broken, tmp_path / "none.mov", "--out", out, "--fov", 90, "--height", 64, "--width", 192
    )
    assert status == 1
    assert "stride 2" in printed and "90.0 x 36.9 degrees" in printed  # 2 atan(1 / 3) down
    assert "broken video.mp4 cannot be read as a video" in printed and "none.mov not found" in printed
    assert "2 of 3" in printed
    rows = table_of(out / "drive")
    assert [int(row["source_frame"]) for row in rows] == list(range(0, 60, 2))
    assert [int(row["number"]) for row in rows] == list(range(30))
    np.testing.assert_allclose([float(row["seconds"]) for row in rows], np.arange(30) / 15, atol=0.002)
    np.testing.assert_allclose([float(row["motion"]) for row in rows[1:]], 0.02, atol=0.001)
    reader = cv2.VideoCapture(str(video))
    frames = [reader.read()[1][:, :, ::-1] for _ in range(60)]
    with Image.open(out / "drive" / "left" / "0000000007.jpg") as image:
        assert abs(np.asarray(image).astype(int) - frames[14]).mean() < 3
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["sequences"]["drive"]["stride"] == 2
    assert manifest["sequences"]["drive"]["motion"] == pytest.approx(0.02, abs=0.001)
    assert not (out / "broken_video").exists()
    np.testing.assert_allclose(dataset_of(out)[0]["K/0"][:2, :3], [[96, 0, 95.5], [0, 96, 31.5]], rtol=1e-6)


@pytest.mark.parametrize("option", [("--stride", 5), ("--fps", 6)])
def test_options_override_the_stride(tmp_path, video, run, option):
    """The video has 30 frames per second."""
    status, printed = run(video, "--out", tmp_path / "data", "--height", 64, "--width", 192, *option)
    assert status == 0 and re.search(r"stride [45](\.\d+)?, as given", printed)
    rows = table_of(tmp_path / "data" / "drive")
    assert [int(row["source_frame"]) for row in rows] == [*range(0, 60, 5), 59]  # the end is almost a stride away


def test_bars_are_cropped_and_the_mask_of_the_user_is_stored(tmp_path, pan, write_video, run):
    """8 of 80 rows at the top and the bottom are bars; 16 more at the bottom are masked."""
    frames = [np.pad(frame, ((8, 8), (0, 0), (0, 0)), constant_values=16) for frame in pan(1.92 * i for i in range(40))]
    video, mask, out = write_video(tmp_path / "bars.mp4", frames), tmp_path / "mask.png", tmp_path / "data"
    ignored = np.zeros((80, 192), bool)
    ignored[56:72] = True
    Image.fromarray(np.where(ignored, 0, 255).astype(np.uint8)).save(mask)
    status, printed = run(video, "--out", out, "--fov", 90, "--stride", 2, "--mask", mask)
    assert status == 0 and "letterbox bars" in printed and "mask: " in printed
    folder = out / "bars"
    record = json.loads((folder / "sequence.json").read_text())
    assert record["source_size"][0] in (62, 63, 64) and record["source_size"][1] == 192
    np.testing.assert_allclose(record["field_of_view"][0], 90, atol=0.01)
    with Image.open(folder / "mask.png") as stored, Image.open(folder / "mask_picture.png") as picture:
        assert stored.size == picture.size == (record["plan"]["size"][1], record["plan"]["size"][0])
        share = 1 - np.asarray(stored).mean() / 255
    assert share == pytest.approx(record["masked_share"]) == pytest.approx(16 / 64, abs=0.03)
    sample = dataset_of(out)[0]
    assert sample["map/overlays"].shape == (1, 64, 192)
    assert sample["map/overlays"].mean() == pytest.approx(share, abs=0.02)
    assert sample["map/overlays"][0, -8:].all() and not sample["map/overlays"][0, :32].any()


def test_videos_without_time_stamps_are_imported_with_the_others(tmp_path, video, run, pan, write_video):
    """H.264 with B-frames in AVI; and raw H.264, which is refused."""
    avi, raw, out = tmp_path / "dash.avi", tmp_path / "raw.h264", tmp_path / "data"
    frames = pan(3.5 * i for i in range(60))
    for path in (avi, raw):
        write_video(path, frames)
    status, printed = run(avi, raw, video, "--out", out, "--fov", 90, "--height", 64, "--width", 192)
    assert status == 1 and "1 of 3" in printed
    assert "dash.avi" in printed and "no reliable time stamps: decoded in order" in printed
    rows = table_of(out / "dash")
    assert [int(row["source_frame"]) for row in rows] == list(range(60))
    for number in (0, 13, 59):
        with Image.open(out / "dash" / "left" / f"{number:010d}.jpg") as image:
            assert np.argmin([abs(np.asarray(image).astype(int) - frame).mean() for frame in frames]) == number
    assert len(table_of(out / "drive")) == 30


def test_parts_share_no_frame(tmp_path, video, run):
    out = tmp_path / "data"
    assert run(video, "--out", out)[0] == 0
    frames = {
        part: {line.frame + offset for line in lines_of(out, part) for offset in (-1, 0, 1)}
        for part in ("train", "val", "test")
    }
    assert max(frames["train"]) < min(frames["val"]) and max(frames["val"]) < min(frames["test"])
    assert all(len(numbers) >= 3 for numbers in frames.values())


def test_training_uses_the_lists_and_size_of_the_dataset(tmp_path, video, run):
    out = tmp_path / "data"
    assert run(video, "--out", out)[0] == 0
    opt = with_weights_size(parse_options(["--dataset", "folder", "--data_path", str(out)]))
    assert (opt.split, opt.eval_split, find_split(opt.split, out)) == ("folder", "folder", out / "splits" / "folder")
    assert (opt.height, opt.width) == (192, 608)  # 3 to 1, about as many pixels as 640x192
    with Image.open(out / "drive" / "left" / "0000000000.jpg") as image:
        assert image.size == (608, 192)
    given = ["--dataset", "folder", "--data_path", str(out), "--split", "eigen", "--height", "96", "--width", "320"]
    opt = with_weights_size(parse_options(given))
    assert (opt.split, opt.height, opt.width) == ("eigen", 96, 320)


def test_static_stretches_are_removed_and_counted(tmp_path, pan, write_video, run):
    shifts = [*(3.5 * i for i in range(20)), *[66.5] * 10, *(66.5 + 3.5 * i for i in range(1, 21))]
    video = write_video(tmp_path / "stop.mp4", pan(shifts))
    status, printed = run(video, "--out", tmp_path / "data", "--height", 64, "--width", 192)
    assert status == 0 and re.search(r"\b41 frames\b.*\b9\b", printed)
    left = [int(row["number"]) for row in table_of(tmp_path / "data" / "stop") if row["kept"] == "0"]
    assert left == list(range(20, 29))  # from the first static frame to the last one before motion resumes
    assert len(list((tmp_path / "data" / "stop" / "left").iterdir())) == 41


def test_interrupted_import_resumes_and_complete_import_is_kept(tmp_path, video, run, monkeypatch):
    from tools.video_import import sequence

    out, whole = tmp_path / "data", tmp_path / "whole"
    size = ("--height", 64, "--width", 192)
    assert run(video, "--out", whole, *size)[0] == 0
    store, stored = sequence._store, []

    def stop_after_ten(plan, path, *rest):
        stored.append(path.name)
        if len(stored) == 11:
            raise KeyboardInterrupt
        store(plan, path, *rest)

    monkeypatch.setattr(sequence, "_store", stop_after_ten)
    assert run(video, "--out", out, *size)[0] == 130
    with open(out / "drive" / "import.csv", "a") as stream:
        stream.write("10,20,0.6")  # truncated within a line
    assert run(video, "--out", out, *size)[0] == 0
    assert stored[10:] == [f"{number:010d}.jpg" for number in (10, *range(10, 30))]
    for path in sorted(whole.rglob("*")):
        if path.is_file() and path.name != "sequence.json":
            assert (out / path.relative_to(whole)).read_bytes() == path.read_bytes()
    status, printed = run(video, "--out", out, *size)
    assert status == 0 and len(stored) == 31, printed
    status, printed = run(video, "--out", out, *size, "--fov", 70)
    assert status == 1 and "different settings (camera)" in printed


def test_adding_a_video_keeps_the_parts_of_earlier_ones(tmp_path, video, pan, write_video, run):
    out = tmp_path / "data"
    assert run(video, "--out", out, "--height", 64, "--width", 192)[0] == 0
    before = {part: lines_of(out, part) for part in ("train", "val", "test")}
    other = write_video(tmp_path / "other.mp4", pan((3.5 * i for i in range(40)), 96, 128))
    assert run(other, "--out", out, "--fov", 60)[0] == 0
    for part, lines in before.items():
        assert lines_of(out, part)[: len(lines)] == lines
        assert {line.folder for line in lines_of(out, part)} == {"drive", "other"}
    dataset = dataset_of(out)
    batch = collate([dataset[0], dataset[len(dataset) - 1]])
    assert batch["K/0"][0, 0, 0] != batch["K/0"][1, 0, 0] and batch["color/0/0"].shape == (2, 3, 64, 192)
    status, printed = run(video, "--out", out, "--height", 96, "--width", 192)
    assert status == 2 and "192x64" in printed and "--out" in printed


def test_many_videos_are_split_by_video(tmp_path, pan, write_video, run):
    frames = pan(3.5 * i for i in range(14))
    videos = [write_video(tmp_path / f"{number}.mp4", frames) for number in range(8)]
    assert run(*videos, "--out", tmp_path / "data", "--height", 64, "--width", 192)[0] == 0
    parts = {part: {line.folder for line in lines_of(tmp_path / "data", part)} for part in ("train", "val", "test")}
    assert parts == {"train": {"0", "1", "2", "3", "4", "5"}, "val": {"6"}, "test": {"7"}}


@pytest.fixture
def stereo(tmp_path, pan):
    """Create folders of 20 left images, right images shifted by 5 pixels, and depth maps."""
    folders = {}
    for name, offset in (("left", 0.0), ("right", 5.0)):
        folders[name] = tmp_path / "rig" / name
        folders[name].mkdir(parents=True)
        for number, frame in enumerate(pan(3.5 * i + offset for i in range(20))):
            Image.fromarray(frame).save(folders[name] / f"{number}.png")
    folders["depth"] = tmp_path / "rig" / "depth"
    folders["depth"].mkdir()
    for number in range(20):
        Image.fromarray(np.full((64, 192), 256 * (number + 1), np.uint16)).save(folders["depth"] / f"{number}.png")
    return folders


def test_stereo_pairs_have_a_baseline_and_ground_truth(tmp_path, stereo, run):
    out = tmp_path / "data"
    options = (
        "--right",
        stereo["right"],
        "--baseline",
        1.08,
        "--depth",
        stereo["depth"],
        "--height",
        64,
        "--width",
        192,
    )
    assert run(stereo["left"], "--out", out, *options)[0] == 0
    dataset = dataset_of(out, frame_ids=[0, "s"])
    assert {line.side for line in dataset.lines} == {"l", "r"}
    sample = dataset[0]
    assert dataset.lines[0].side == "l" and sample["stereo_T"][0, 3] == pytest.approx(-1.08 / 5.4)
    # Points are 5 pixels further left in the right image.
    left, right = (sample[f"color/{frame}/0"].astype(int) for frame in (0, "s"))
    assert abs(right[:, :, 10:180] - left[:, :, 15:185]).mean() < 3
    test = dataset_of(out, "test", frame_ids=[0], load_depth=True)
    line = test.lines[0]
    np.testing.assert_array_equal(test[0]["depth_gt"], np.full((64, 192), line.frame + 1, np.float32))


def test_cameras_with_different_distortion_share_a_batch(tmp_path, pan, write_video, run):
    frames = pan((3.5 * i for i in range(14)), 96, 128)
    videos = [write_video(tmp_path / f"{name}.mp4", frames) for name in ("bent", "straight", "round")]
    lens = {"fx": 100, "fy": 100, "cx": 60, "cy": 50, "width": 128, "height": 96}
    for video, extra in zip(
        videos,
        ({"distortion": [-0.2, 0.05, 0.001, 0.002]}, {}, {"model": "fisheye", "distortion": [0.01, 0, 0, 0]}),
        strict=True,
    ):
        (tmp_path / "cam.json").write_text(json.dumps({**lens, **extra}))
        status, printed = run(video, "--out", tmp_path / "data", "--camera", tmp_path / "cam.json", "--keep_distortion")
        assert status == 0, printed
    dataset = dataset_of(tmp_path / "data", height=96, width=128)
    samples = {dataset.lines[i].folder: dataset[i] for i in range(len(dataset))}
    distortion = {name: sample["distortion"] for name, sample in samples.items()}
    np.testing.assert_allclose(distortion["bent"], [0, -0.2, 0.05, 0.001, 0.002, 0, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(distortion["round"], [1, 0.01, *[0] * 7], rtol=1e-6)
    assert not distortion["straight"].any()
    assert collate(list(samples.values()))["distortion"].shape == (3, 9)
    flipped = dataset_of(tmp_path / "data", height=96, width=128, train=True)
    where = next(i for i, line in enumerate(flipped.lines) if line.folder == "bent")
    seen = [flipped[where, epoch] for epoch in range(20)]
    p2 = {round(float(sample["K/0"][0, 2]), 3): round(float(sample["distortion"][4]), 6) for sample in seen}
    assert p2 == {60.0: 0.002, 67.0: -0.002}  # the mirrored principal point is 127 - 60


def test_focal_length_comes_from_exif(tmp_path, pan, run):
    folder = tmp_path / "photos"
    folder.mkdir()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 27  # 35 mm equivalent focal length in mm; the diagonal of the format is 43.267 mm
    for number, frame in enumerate(pan(3.5 * i for i in range(14))):
        Image.fromarray(frame).save(folder / f"{number}.jpg", exif=exif, quality=95)
    assert run(folder, "--out", tmp_path / "data", "--height", 64, "--width", 192)[0] == 0
    K = dataset_of(tmp_path / "data")[0]["K/0"]
    assert K[0, 0] == pytest.approx(27 / 43.2666 * np.hypot(64, 192), rel=1e-4)


@pytest.mark.parametrize(("fps", "metres"), [(None, None), (10, 1.0), (2.5, 4.0)])
def test_times_of_images_are_unknown_without_their_frame_rate(tmp_path, pan, run, fps, metres):
    """At a constant 10 m/s; the image moves by the target motion per frame, so that the stride is 1."""
    folder, out = tmp_path / "images", tmp_path / "data"
    folder.mkdir()
    for number, frame in enumerate(pan(3.5 * i for i in range(14))):
        Image.fromarray(frame).save(folder / f"{number}.png")
    options = () if fps is None else ("--fps", fps)
    arguments = (folder, "--out", out, "--fov", 90, "--height", 64, "--width", 192, *options)
    assert run(*arguments)[0] == 0
    rows = table_of(out / "images")
    record = json.loads((out / "images/sequence.json").read_text())
    assert record["frames_per_second"] == (fps and pytest.approx(fps))
    assert [row["seconds"] for row in rows] == ["" if fps is None else f"{i / fps:.6f}" for i in range(14)]
    assert [row["source_frame"] for row in rows] == [str(i) for i in range(14)]
    assert "Already in" in run(*arguments)[1]
    assert "different settings (fps)" in run(*arguments[:7], "--width", 192, "--fps", 7)[1]
    lines = [f"{','.join(row.values())},10" for row in rows]
    (out / "images/frames.csv").write_text("\n".join([f"{','.join(rows[0])},speed", *lines]))
    dataset, line = dataset_of(out), lines_of(out, "train")[0]
    if fps is None:
        with pytest.raises(DataError, match="has a speed, but no time"):
            dataset.displacement(line, 1)
    else:
        assert dataset.displacement(line, 1) == pytest.approx(metres)


def test_interrupted_import_of_images_resumes(tmp_path, pan, run, monkeypatch):
    folder, out = tmp_path / "images", tmp_path / "data"
    folder.mkdir()
    for number, frame in enumerate(pan(3.5 * i for i in range(14))):
        Image.fromarray(frame).save(folder / f"{number}.png")
    arguments = (folder, "--out", out, "--fov", 90, "--height", 64, "--width", 192)
    with monkeypatch.context() as patch:
        patch.setattr(sequence, "_remove_static", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run(*arguments)[0] == 130
    assert run(*arguments)[0] == 0
    assert [(row["number"], row["seconds"]) for row in table_of(out / "images")] == [(str(i), "") for i in range(14)]


def test_table_saved_by_a_spreadsheet_does_not_stop_the_next_import(tmp_path, video, run):
    out = tmp_path / "data"
    arguments = (video, "--out", out, "--fov", 90, "--height", 64, "--width", 192)
    assert run(*arguments)[0] == 0
    before = {part: lines_of(out, part) for part in ("train", "val", "test")}
    table = out / "drive/frames.csv"
    table.write_text("\ufeff" + table.read_text().title().replace(",", ";").replace(".", ","), encoding="utf-8")
    assert run(*arguments)[0] == 0
    assert {part: lines_of(out, part) for part in before} == before
    table.write_text("a,b\n1,2\n")
    status, printed = run(*arguments)
    assert status == 2 and "expected also number, kept" in printed


SEQUENCE = {  # the smallest valid record
    **{"plan": {"source": ["a"], "size": [64, 192]}, "frames": 9, "frames_still": 0, "frames_not_decoded": 0},
    **{"breaks": 0, "field_of_view": [90.0, 37.0], "baseline": None},
}


@pytest.mark.parametrize("name", ["a/sequence.json", "manifest.json"])
@pytest.mark.parametrize(
    "content",
    ["[]", "5", "{", "[" * 100_000, '{"plan": 5}', '{"sequences": {"a": 5}}', '{"sequences": [1]}', "9" * 5000],
)
def test_damaged_records_are_one_sentence(tmp_path, name, content):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/sequence.json").write_text(json.dumps(SEQUENCE))
    (tmp_path / "a/frames.csv").write_text("number,kept\n" + "".join(f"{i},1\n" for i in range(9)))
    assert write_lists(tmp_path)["lines"]["train"]
    if name == "manifest.json" and content == '{"plan": 5}':
        content = '{"sequences": {"a": {"plan": 5, "parts": {"train": "x"}}}}'
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name}'? is damaged.*(Remove|Choose)") as error:
        write_lists(tmp_path)
    assert len(str(error.value)) < 600 and str(error.value).isprintable()


def test_lists_of_many_frames_are_written_in_linear_time(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/sequence.json").write_text(json.dumps(SEQUENCE))
    rows = "".join(f"{i},{i},{i / 10},0.02,1\n" for i in range(20_000))
    (tmp_path / "a/frames.csv").write_text(f"number,source_frame,seconds,motion,kept\n{rows}")
    started = time.process_time()
    assert write_lists(tmp_path)["lines"] == {"train": 15_958, "val": 2000, "test": 2000}
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fov", 80, "--camera", "c.json"), ("--camera", "--fov")),
        (("--fov", 0), ("--fov: got 0", "179")),
        (("--right", "r.mp4"), ("--right", "--baseline")),
        (("--right", "r.mp4", "r.mp4", "--baseline", 1), ("--right: got 2", "1")),
        (("--keep_distortion",), ("--keep_distortion", "--camera")),
        (("--height", 64), ("--height", "--width")),
        (("--height", 100, "--width", 64), ("--height: got 100", "32")),
        (("--oot", 1), ("--oot", "--out")),
        (("--fps", 10, "--stride", 2), ("--fps", "--stride")),
        (("--stride", 0), ("--stride: got 0",)),
        (("--fps", 0), ("--fps: got 0",)),
        (("--fps", "nan"), ("--fps: got nan",)),
    ],
)
def test_invalid_options_are_reported(tmp_path, video, run, arguments, words):
    status, printed = run(video, "--out", tmp_path / "data", *arguments)
    assert status == 2 and all(word in printed for word in words)
    assert not (tmp_path / "data").exists()


def test_duplicate_source_is_an_error_and_equal_names_get_different_folders(tmp_path, video, run):
    out, size = tmp_path / "data", ("--height", 64, "--width", 192)
    status, printed = run(video, video, "--out", out, *size)
    assert status == 2 and "twice" in printed
    namesake = tmp_path / "other day" / video.name
    namesake.parent.mkdir()
    namesake.write_bytes(video.read_bytes())
    assert run(video, namesake, "--out", out, *size)[0] == 0
    assert {line.folder for line in lines_of(out, "train")} == {"drive", "other_day_drive"}


def test_implausible_camera_leaves_no_sequence(tmp_path, video, run):
    camera = tmp_path / "cam.json"
    camera.write_text('{"fx": 0.58, "fy": 1.9, "cx": 0.5, "cy": 0.5}')
    status, printed = run(video, "--out", tmp_path / "data", "--camera", camera)
    assert status == 2 and "pixels" in printed and "othing was imported" in printed
    assert not os.path.exists(tmp_path / "data" / "drive")
