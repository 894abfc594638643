"""Submission archive and images of KITTI's depth prediction benchmark."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError, OptionsError
from datasets.kitti_benchmark import KITTIBenchmarkDataset, read_benchmark_lines
from evaluate_depth import evaluate
from options import Options


@pytest.fixture
def benchmark(tmp_path):
    """Options and disparities for three benchmark frames."""
    split = tmp_path / "splits" / "benchmark"
    split.mkdir(parents=True)
    (split / "test_files.txt").write_text("image 0\nimage 1\nimage 499\n")
    disps = np.stack([np.full((24, 80), 5.4 / depth, np.float32) for depth in (10, 0.001, 200)])
    np.save(tmp_path / "d.npy", disps)
    settings = {"ext_disp_to_eval": str(tmp_path / "d.npy"), "eval_split": "benchmark", "data_path": str(tmp_path)}
    return Options(**settings, eval_stereo=True)


def depths(path):
    """Read name -> 16-bit values from an archive of depth maps."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()}


def test_depth_is_stored_in_metres_times_256(benchmark, tmp_path, capsys):
    assert evaluate(benchmark) is None
    found = depths(tmp_path / "benchmark_submission.zip")
    assert list(found) == ["0000000000.png", "0000000001.png", "0000000499.png"]
    for image, value in zip(found.values(), (2560, 1, 80 * 256), strict=True):  # capped, and never 0: unknown
        assert image.shape == (352, 1216) and image.dtype in (np.uint16, np.int32) and (image == value).all()
    assert "benchmark_submission.zip" in capsys.readouterr().out and not (tmp_path / "metrics.json").exists()


def test_the_archive_is_reproducible_and_never_partial(benchmark, tmp_path):
    evaluate(benchmark)
    path = tmp_path / "benchmark_submission.zip"
    first = path.read_bytes()
    evaluate(benchmark)
    assert path.read_bytes() == first
    disps = np.load(tmp_path / "d.npy")
    disps[2, 3, 3] = np.nan
    np.save(tmp_path / "d.npy", disps)
    with pytest.raises(DataError, match=r"image 499 l: .*positive"):
        evaluate(benchmark)
    assert path.read_bytes() == first
    assert sorted(file.name for file in tmp_path.iterdir()) == ["benchmark_submission.zip", "d.npy", "splits"]


def test_median_scaling_needs_ground_truth(benchmark):
    with pytest.raises(OptionsError, match="--eval_split benchmark"):
        benchmark.replace(eval_stereo=False, eval_mono=True).check_for_evaluation()
    benchmark.check_for_evaluation()


@pytest.mark.parametrize("folder", ["depth_selection/test_depth_prediction_anonymous", "."])
def test_images_are_found_in_the_archive_layout(tmp_path, folder):
    path = tmp_path / folder / "image" / "0000000012.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (1216, 352), (200, 0, 0)).save(path)
    (tmp_path / "list.txt").write_text("image 12\n\n")
    lines = read_benchmark_lines(tmp_path / "list.txt")
    dataset = KITTIBenchmarkDataset(
        str(tmp_path), lines, height=64, width=192, frame_ids=(0,), train=False, extension=".png"
    )
    assert dataset[0]["color/0/0"][0].min() == 200 and dataset.ground_truth(lines[0]) is None


@pytest.mark.parametrize(
    ("text", "words"), [(None, "not found"), ("\n", "is empty"), ("image 1\nimage x\n", "line 2: got 'image x'")]
)
def test_invalid_lists(tmp_path, text, words):
    if text is not None:
        (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        read_benchmark_lines(tmp_path / "list.txt")


def test_published_list(shared_splits):
    lines = read_benchmark_lines(shared_splits / "benchmark" / "test_files.txt")
    assert [line.frame for line in lines] == list(range(500)) and {line.folder for line in lines} == {"image"}
