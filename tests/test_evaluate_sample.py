"""Score real drives with every protocol: from weights, from their saved disparities, and in plain NumPy."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from datasets.kitti_calibration import lidar_to_depth
from evaluate_depth import evaluate
from evaluate_pose import evaluate as evaluate_motion
from networks.monodepth import Monodepth
from options import Options
from serialization.weights_folder import save_weights

# Top, bottom, left and right as parts of the image; of 375x1242 rows 153 to 371 and 124 to 342, columns 44 to 1197.
GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
EIGEN_2014 = (0.3324324, 0.91351351, 0.0359477, 0.96405229)
EVERYWHERE = (0, 1, 0, 1)


@pytest.fixture(scope="module")
def tree(kitti_sample, tmp_path_factory) -> Path:
    """Drive with improved ground truth, and its test frames as splits named like the protocols."""
    root = tmp_path_factory.mktemp("tree")
    lines = lines_of(kitti_sample, "kitti_sample")
    folder = lines[0].split()[0]
    drive = kitti_sample / folder
    (root / folder).mkdir(parents=True)
    for path in [*drive.iterdir(), *drive.parent.glob("calib_*.txt")]:
        (root / path.relative_to(kitti_sample)).symlink_to(path)
    improved = root / folder / "proj_depth/groundtruth/image_02"
    images = root / "depth_selection/test_depth_prediction_anonymous/image"
    for folder in (improved, images, *(root / "splits" / name for name in ("eigen", "eigen_benchmark", "benchmark"))):
        folder.mkdir(parents=True)
    for i, line in enumerate(lines):
        frame = f"{int(line.split()[1]):010d}"
        Image.fromarray((256 * lidar(root, line)).round().astype(np.uint16)).save(improved / f"{frame}.png")
        image = Image.open(drive / f"image_02/data/{frame}.jpg").crop((10, 20, 10 + 1216, 20 + 352))
        image.save(images / f"{i:010d}.png")
    picked = [i for i in range(len(lines)) if i % 3 != 1]
    splits = {"eigen": lines, "eigen_benchmark": [lines[i] for i in picked]}
    splits["benchmark"] = [f"image {i}" for i in range(len(lines))]
    for name, content in splits.items():
        (root / "splits" / name / "test_files.txt").write_text("\n".join(content) + "\n")
    np.save(root / "splits/benchmark/eigen_to_benchmark_ids.npy", np.array(picked))
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Untrained networks."""
    paddle.seed(8)
    folder = tmp_path_factory.mktemp("weights") / "w"
    save_weights(folder, Monodepth.for_depth().networks(), {"height": 64, "width": 192, "use_stereo": True})
    return folder


@pytest.fixture(scope="module")
def score(weights, tmp_path_factory):
    """Evaluate weights and, unless given a file, their saved disparities; return the output folders."""

    def run(data: Path, ext: Path | None = None, **changes) -> tuple[Path, Path]:
        settings = {"data_path": str(data), "num_workers": 0, "device": "cpu", **changes}
        by_weights, by_file = (tmp_path_factory.mktemp("out") for _ in range(2))
        if ext is None:
            what = {"load_weights_folder": str(weights), "save_pred_disps": True}
            checked_evaluate(eval_out_dir=str(by_weights), **what, **settings)
            (ext,) = by_weights.glob("disps_*.npy")
        settings.pop("post_process", None)
        checked_evaluate(eval_out_dir=str(by_file), ext_disp_to_eval=str(ext), **settings)
        return by_weights, by_file

    return run


def checked_evaluate(**settings) -> None:
    opt = Options(**settings)
    opt.check_for_evaluation()
    evaluate(opt)


def lidar(root: Path, line: str, axis: str = "camera") -> np.ndarray:
    """Read the depth of the frame of a split line."""
    folder, frame, _ = line.split()
    drive = root / folder
    return lidar_to_depth(drive / f"velodyne_points/data/{int(frame):010d}.bin", drive.parent, 2, axis)


def plain_metrics(disp, gt, crop=EVERYWHERE, low=0.0, high=np.inf, cap=80.0, factor=None) -> list[float]:
    """Compute the seven metrics in float64 with another resizing library; without a factor, median-scaled."""
    resized = Image.fromarray(disp).resize(gt.shape[::-1], Image.Resampling.BILINEAR)
    top, bottom, left, right = (int(part * gt.shape[i // 2]) for i, part in enumerate(crop))
    window = slice(top, bottom), slice(left, right)
    depth, gt = 1 / np.asarray(resized, np.float64)[window], gt.astype(np.float64)[window]
    depth, gt = depth[(gt > low) & (gt < high)], gt[(gt > low) & (gt < high)]
    depth = np.clip(depth * (factor or np.median(gt) / np.median(depth)), 1e-3, cap)
    ratio = np.exp(np.abs(np.log(gt / depth)))
    errors = [np.mean(np.abs(gt - depth) / gt), np.mean((gt - depth) ** 2 / gt), np.sqrt(np.mean((gt - depth) ** 2))]
    return [*errors, np.sqrt(np.mean(np.log(gt / depth) ** 2)), *(np.mean(ratio < 1.25**k) for k in (1, 2, 3))]


def rows(folder: Path, split: str) -> dict[str, list[float]]:
    """Read frame -> metrics from the written table."""
    with open(folder / f"scores_{split}/frames.csv", newline="") as stream:
        return {row["frame"]: [float(value) for value in list(row.values())[1:8]] for row in csv.DictReader(stream)}


def assert_scored(folder: Path, split: str, expected: dict[str, list[float]]) -> None:
    found = rows(folder, split)
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-3, atol=1e-4)


def assert_same(folders: tuple[Path, Path], split: str) -> None:
    """Compare bitwise, except the name of the prediction in summaries."""
    names = sorted(path.name for path in (folders[0] / f"scores_{split}").iterdir())
    assert names == sorted(path.name for path in (folders[1] / f"scores_{split}").iterdir())
    for name in {*names} - {"summary.json", "table.md", "table.tex"}:
        one, other = (folder / f"scores_{split}" / name for folder in folders)
        assert one.read_bytes() == other.read_bytes(), name
    assert (folders[0] / "metrics.json").read_bytes() == (folders[1] / "metrics.json").read_bytes()


def lines_of(root: Path, split: str) -> list[str]:
    return (root / "splits" / split / "test_files.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def eigen(tree, score) -> tuple[Path, Path]:
    """Output of the Eigen protocol with median scaling and details."""
    return score(tree, eval_mono=True, eval_details=True)


def test_eigen(tree, eigen):
    assert_same(eigen, "eigen")
    disps, lines = np.load(eigen[0] / "disps_eigen_split.npy"), lines_of(tree, "eigen")
    expected = [plain_metrics(d, lidar(tree, s, "legacy"), GARG, 1e-3, 80) for d, s in zip(disps, lines, strict=True)]
    assert_scored(eigen[0], "eigen", dict(zip(lines, expected, strict=True)))


def test_eigen_stereo_scaled_and_post_processed(tree, score, eigen):
    folders = score(tree, eval_stereo=True, post_process=True)
    assert_same(folders, "eigen")
    disps, lines = np.load(folders[0] / "disps_eigen_split.npy"), lines_of(tree, "eigen")
    assert np.abs(disps - np.load(eigen[0] / "disps_eigen_split.npy")).max() > 1e-4
    expected = [
        plain_metrics(d, lidar(tree, s, "legacy"), GARG, 1e-3, 80, factor=5.4)
        for d, s in zip(disps, lines, strict=True)
    ]
    assert_scored(folders[0], "eigen", dict(zip(lines, expected, strict=True)))


def test_eigen_benchmark_and_eigen_to_benchmark(tree, score, eigen, weights, tmp_path):
    folders = score(tree, eval_mono=True, eval_split="eigen_benchmark")
    assert_same(folders, "eigen_benchmark")
    lines = lines_of(tree, "eigen_benchmark")
    disps = np.load(folders[0] / "disps_eigen_benchmark_split.npy")
    truths = [(256 * lidar(tree, line)).round() / 256 for line in lines]
    expected = [plain_metrics(disp, truth) for disp, truth in zip(disps, truths, strict=True)]
    assert_scored(folders[0], "eigen_benchmark", dict(zip(lines, expected, strict=True)))
    # Of the file with all frames these are picked; with weights they are what is predicted.
    _, picked = score(tree, eigen[0] / "disps_eigen_split.npy", eval_mono=True, eval_eigen_to_benchmark=True)
    assert_scored(picked, "eigen_benchmark", dict(zip(lines, expected, strict=True)))
    again = {"load_weights_folder": str(weights), "eval_out_dir": str(tmp_path), "eval_eigen_to_benchmark": True}
    checked_evaluate(data_path=str(tree), num_workers=0, device="cpu", eval_mono=True, **again)
    assert rows(tmp_path, "eigen_benchmark") == rows(folders[0], "eigen_benchmark")


def test_benchmark(tree, score):
    folders = score(tree, eval_stereo=True, eval_split="benchmark")
    archives = [(folder / "benchmark_submission.zip").read_bytes() for folder in folders]
    assert archives[0] == archives[1]
    disps = np.load(folders[0] / "disps_benchmark_split.npy")
    with zipfile.ZipFile(io.BytesIO(archives[0])) as archive:
        assert archive.namelist() == [f"{i:010d}.png" for i in range(len(disps))]
        found = np.asarray(Image.open(io.BytesIO(archive.read(archive.namelist()[-1]))), np.float64)
    resized = Image.fromarray(disps[-1]).resize((1216, 352), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found, 256 * np.clip(5.4 / np.asarray(resized, np.float64), 1e-3, 80), atol=1)


@pytest.mark.parametrize(
    ("crop", "cap", "parts"),
    [("garg", 50, GARG), ("eigen_2014", 80, EIGEN_2014), ("eigen_2014", 50, EIGEN_2014), ("none", 50, EVERYWHERE)],
)
def test_crops_and_caps(tree, score, eigen, crop, cap, parts):
    path = eigen[0] / "disps_eigen_split.npy"
    _, folder = score(tree, path, eval_mono=True, eval_crop=crop, eval_max_depth=float(cap))
    low = 0.0 if crop == "none" else 1e-3
    expected = {
        line: plain_metrics(disp, lidar(tree, line, "legacy"), parts, low, cap, cap)
        for disp, line in zip(np.load(path), lines_of(tree, "eigen"), strict=True)
    }
    assert_scored(folder, "eigen", expected)


def test_colour_drive_with_depth_along_the_camera_axis(kitti_sample_colour, score):
    split = "kitti_sample_colour"
    folders = score(kitti_sample_colour, eval_mono=True, eval_split=split, gt_depth="camera", eval_details=True)
    assert_same(folders, split)
    disps, lines = np.load(folders[0] / f"disps_{split}_split.npy"), lines_of(kitti_sample_colour, split)
    truths = [lidar(kitti_sample_colour, line) for line in lines]
    expected = [plain_metrics(disp, gt, GARG, 1e-3, 80) for disp, gt in zip(disps, truths, strict=True)]
    assert_scored(folders[0], split, dict(zip(lines, expected, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize("pose_model_input", ["pairs", "all"])
@pytest.mark.parametrize("pose_model_type", ["separate_resnet", "shared", "posecnn"])
def test_colour_drive_trajectory(kitti_sample_colour, tmp_path, pose_model_type, pose_model_input):
    """The drive has no true poses."""
    names = {"pose_model_type": pose_model_type, "pose_model_input": pose_model_input}
    networks = Monodepth(scales=(0, 1, 2, 3), **names).networks()
    save_weights(tmp_path / "w", networks, {"height": 64, "width": 192, "use_stereo": False})
    drive = lines_of(kitti_sample_colour, "kitti_sample_colour")[0].split()[0]
    settings = {"data_path": str(kitti_sample_colour), "eval_split": drive, "no_eval": True}
    evaluate_motion(Options(load_weights_folder=str(tmp_path / "w"), num_workers=0, device="cpu", **settings, **names))
    poses = np.loadtxt(tmp_path / f"w/trajectory_{Path(drive).name}_kitti.txt")
    frames = len(list((kitti_sample_colour / drive / "image_02/data").iterdir()))
    assert poses.shape == (frames, 12) and np.isfinite(poses).all()
    np.testing.assert_allclose(poses[0].reshape(3, 4), np.eye(4)[:3], atol=1e-9)
