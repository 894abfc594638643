"""Datasets in the layout of their own release: paths, camera, ground truth, lists, protocol and damage."""

import json
from pathlib import Path

import numpy as np
import public_trees as trees
import pytest
from PIL import Image

from common.errors import DataError
from datasets.build import build_dataset
from datasets.cityscapes_dataset import CityscapesDataset
from datasets.make3d_dataset import Make3DDataset
from datasets.splits import SplitLine


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> Path:
    return trees.cityscapes_tree(tmp_path_factory.mktemp("cityscapes"))


@pytest.fixture(scope="module")
def make3d(tmp_path_factory) -> Path:
    return trees.make3d_tree(tmp_path_factory.mktemp("make3d"))


def build(name: str, root: Path, line: SplitLine, **changes):
    settings = {"height": 32, "width": 64, "frame_ids": (0,), "scales": (0,), "train": False, **changes}
    return build_dataset(name, str(root), [line], **settings)


CITY_LINE = SplitLine("train/aachen/aachen_000003", 2, "l")


def test_cityscapes_lists(city):
    lists = CityscapesDataset.split_lists(city)
    assert lists["train"] == [CITY_LINE, CITY_LINE._replace(frame=3)]  # with both second neighbours
    assert lists["val"] == [SplitLine("val/munster/munster_000003", 19, "l")]
    assert lists["test"] == [SplitLine("test/bonn/bonn_000003", 19, "l")]
    with pytest.raises(DataError, match=r"neither leftImg8bit_sequence/train.*Unpack leftImg8bit_sequence"):
        CityscapesDataset.split_lists(city / "nowhere")


def test_cityscapes_samples_show_no_bonnet(city):
    dataset = build("cityscapes", city, CITY_LINE, frame_ids=(0, -2, 2, "s"))
    assert [Path(path).name for path in dataset.frame_paths(CITY_LINE)] == [
        "aachen_000003_000002_leftImg8bit.png",
        "aachen_000003_000000_leftImg8bit.png",
        "aachen_000003_000004_leftImg8bit.png",
        "aachen_000003_000002_rightImg8bit.png",
    ]
    sample = dataset[0]
    assert sample["color/0/0"].min() > 0  # the bonnet is black
    # Of 2048x1024, 2048x768 remain, reduced by 32 across and 24 down; pixel centres are at whole numbers.
    K = [[2000 / 32, 0, 1000.5 / 32 - 0.5], [0, 2100 / 24, 500.5 / 24 - 0.5], [0, 0, 1]]
    np.testing.assert_allclose(sample["K/0"][:3, :3], K, rtol=1e-6)
    np.testing.assert_allclose(np.abs(sample["stereo_T"][0, 3]), 0.2 / 5.4, rtol=1e-6)


def test_cityscapes_crops_stay_above_the_bonnet(city):
    dataset = build("cityscapes", city, CITY_LINE, train=True, crop_scale=0.3, crop_aspect=1.2)
    samples = [dataset[0, epoch] for epoch in range(8)]
    assert min(sample["color/0/0"].min() for sample in samples) > 0
    assert len({sample["K/0"][1, 2] for sample in samples}) > 1


def test_cityscapes_ground_truth(city):
    dataset = build("cityscapes", city, line := CITY_LINE._replace(frame=3))
    depth = dataset.ground_truth(line)
    assert depth.shape == (768, 2048) and depth.dtype == np.float32
    assert not depth[:2].any() and (depth[2:] == 0.2 * 2000 / 40).all()
    assert dataset.ground_truth(CITY_LINE) is None  # only frame 3 is annotated
    assert dataset.ground_truth(line._replace(side="r")) is None


def test_cityscapes_depth_maps_are_fitted_to_the_same_part(city):
    line = CITY_LINE._replace(frame=3)
    depth = build("cityscapes", city, line, supervise_depth=True)[0]["map/depth"]
    assert depth.shape == (1, 32, 64) and (depth[:, 1:] == 10).all()


def test_cityscapes_reads_annotated_frames_without_the_video(city):
    line = SplitLine("test/bonn/bonn_000003", 19, "l")
    dataset = build("cityscapes", city, line)
    assert dataset.frame_paths(line) == [str(city / "leftImg8bit/test/bonn/bonn_000003_000019_leftImg8bit.png")]
    assert dataset[0]["color/0/0"].shape == (3, 32, 64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "intrinsic/fx: expected 1 finite numbers, got None"),
        ('{"intrinsic": {"fx": 1', "is damaged"),
        (
            json.dumps({**trees.CITY_CAMERA, "extrinsic": {"baseline": -0.2}}),
            "extrinsic/baseline: got -0.2 m, expected more than 0",
        ),
    ],
)
def test_cityscapes_damaged_camera(tmp_path, content, message):
    path = tmp_path / "camera/train/aachen/aachen_000003_000003_camera.json"
    dataset = build("cityscapes", tmp_path, CITY_LINE)
    with pytest.raises(DataError, match=r"_camera\.json not found\. Unpack .*camera_trainvaltest"):
        dataset.intrinsics(CITY_LINE, "l")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(DataError) as error:
        build("cityscapes", tmp_path, CITY_LINE).intrinsics(CITY_LINE, "l")
    assert message in str(error.value) and str(path) in str(error.value)


def test_cityscapes_damaged_disparity(tmp_path):
    path = tmp_path / "disparity/train/aachen/aachen_000003_000002_disparity.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.ones((4, 8), np.uint16)).save(path)
    dataset = build("cityscapes", tmp_path, CITY_LINE)
    with pytest.raises(DataError, match=r"got 8x4 of mode I.*expected 2048x1024, 16-bit grey"):
        dataset.ground_truth(CITY_LINE)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="Disparity map"):
        dataset.ground_truth(CITY_LINE)


def test_make3d(make3d):
    lines = Make3DDataset.split_lists(make3d)["test"]
    assert lines == [SplitLine(name, 0, "l") for name in trees.MAKE3D_NAMES]
    dataset = build("make3d", make3d, lines[0], scales=())
    depth = dataset.ground_truth(lines[0])
    assert depth.shape == (21, 305) and not depth[:, 0].any()
    assert (depth[:, 1] == np.arange(18, 39)).all()  # rows 17 to 37 of 55, counted from 0
    # The central 3/8 of the height, 40 to 88 of 128 rows: 2:1 for the 3:4 photos.
    assert 48 * 2 == 96 and [round(border) for border in dataset.REGION.box(128, 96)] == [0, 40, 96, 88]
    assert dataset[0]["color/0/0"].min() > 0
    with pytest.raises(DataError, match="evaluation only"):
        dataset.intrinsics(lines[0], "l")
    with pytest.raises(DataError, match=r"has no photos img-NAME\.jpg"):
        Make3DDataset.split_lists(make3d / "nowhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "cannot be read"),
        (lambda path: trees.savemat(path, {"Position3DGrid": np.ones((55, 305))}), r"of shape \(55, 305\), expected"),
        (lambda path: trees.savemat(path, {"depth": np.ones(3)}), "got no Position3DGrid"),
    ],
)
def test_make3d_damaged_laser_grid(tmp_path, damage, message):
    trees.make3d_tree(tmp_path / "tree")
    line = SplitLine(trees.MAKE3D_NAMES[0], 0, "l")
    dataset = build("make3d", tmp_path / "tree", line, scales=())
    damage(Path(dataset.ground_truth_path(line)))
    with pytest.raises(DataError, match=message):
        dataset.ground_truth(line)


@pytest.mark.parametrize(("name", "root"), [("cityscapes", "city"), ("make3d", "make3d")])
def test_kitti_options_are_refused(name, root, request):
    with pytest.raises(DataError, match="--kitti_mean_intrinsics is for KITTI only"):
        build(name, request.getfixturevalue(root), CITY_LINE, mean_intrinsics=True)
