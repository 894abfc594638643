"""The tool that makes depth hints, on two frames of the real drive."""

import re

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from options import Options
from tools.depth_hints.hint_files import HintMaker
from tools.make_depth_hints import make_hints


@pytest.fixture(scope="module")
def split(stereo_drive, sample_lines, tmp_path_factory):
    """One frame of each side, with lidar: the left one in two lines."""
    for line in sample_lines["train"]:
        folder, frame, _ = line.split()
        if (stereo_drive / folder / f"velodyne_points/data/{int(frame):010d}.bin").is_file():
            break
    out = tmp_path_factory.mktemp("split")
    (out / "train_files.txt").write_text(f"{folder} {frame} l\n{folder} {frame} r\n")
    (out / "val_files.txt").write_text(f"{folder} {frame} l\n")
    return out


@pytest.mark.slow
def test_hints_are_made_once_and_agree_with_the_lidar(stereo_drive, split, tmp_path, capsys):
    opt = Options(data_path=str(stereo_drive), split=str(split), num_workers=0, gt_depth="camera")
    scores = make_hints(opt, tmp_path / "hints")
    assert [score.made for score in scores] == [True, True]
    for score in scores:
        assert score.valid_share > 0.7 and score.gt_share > 0.7
        assert score.metrics["a1"] > 0.8  # the drive's lidar is up to two pixels of disparity off
    paths = sorted((tmp_path / "hints").rglob("*.png"))
    assert [path.parent.parent.name for path in paths] == ["image_02", "image_03"]
    hints = [np.asarray(Image.open(path)).astype(float) / 256 for path in paths]
    known = [hint > 0 for hint in hints]
    assert hints[0].shape == (375, 1242) and np.median(hints[0][known[0]]) == pytest.approx(
        np.median(hints[1][known[1]]), rel=0.15
    )
    text = capsys.readouterr().out
    assert "2 hints made, 0 found" in text
    assert re.search(r"against the ground truth of 2 frames.*abs_rel 0\.\d{3}", text)

    before = [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()
    again = make_hints(opt, tmp_path / "hints")
    assert [score.made for score in again] == [False, True]
    assert [score.metrics["abs_rel"] for score in again] == pytest.approx(
        [score.metrics["abs_rel"] for score in scores], rel=0.01
    )
    assert paths[0].stat().st_mtime_ns == before[0]
    paths[0].write_bytes(paths[0].read_bytes()[:1000])
    with pytest.raises(DataError, match=str(paths[0])):
        make_hints(opt, tmp_path / "hints")


def test_a_split_without_pairs_is_reported(kitti_sample_colour, tmp_path):
    folder = next(path for path in kitti_sample_colour.glob("*/*_sync"))
    for part in ("train", "val"):
        (tmp_path / f"{part}_files.txt").write_text(f"{folder.parent.name}/{folder.name} 3 l\n")
    opt = Options(data_path=str(kitti_sample_colour), split=str(tmp_path), num_workers=0)
    with pytest.raises(DataError, match=r"both images of its stereo pair.*image_02.*image_03"):
        make_hints(opt, tmp_path / "hints")


def test_pairs_of_different_sizes_are_reported(stereo_drive, split, tmp_path, monkeypatch):
    sizes = iter([(375, 1242), (370, 1242)])
    monkeypatch.setattr(
        "tools.depth_hints.hint_files.load_image", lambda path: Image.fromarray(np.zeros(next(sizes), np.uint8))
    )

    class Pair:
        """The only method that is called before the sizes are compared."""

        frame_paths = staticmethod(lambda line: ("left.png", "right.png"))

    with pytest.raises(DataError, match=r"same size, but left\.png has shape \(375, 1242\) and right\.png"):
        HintMaker(Pair(), tmp_path).make(None)
